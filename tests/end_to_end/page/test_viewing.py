"""Looking at a photo: divider, zoom and pan, light and facts, and what is seen while a request is under way."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page, expect

from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded

DARK = dark_scene("coffee", (240, 360))
PNG = encoded(DARK)
JPEG = encoded(dark_scene("chelsea", (200, 300)), "jpeg", quality=90)


def test_dropped_and_pasted_photos_queue_up(visitor: Visitor, page: Page) -> None:
    visitor.send("drop", ("one.png", PNG), ("two.jpg", JPEG))
    visitor.send("paste", ("three.png", PNG))
    photos = page.locator("#film li")
    assert photos.count() == 3
    visitor.wait_all()
    assert len(visitor.requests) == 3
    page.get_by_role("button", name="two.jpg", exact=True).click()
    visitor.wait()
    expect(page.locator("#size")).to_have_text("300 × 200, 0.1 MP")
    page.get_by_role("button", name="Remove two.jpg").click()
    visitor.wait()
    assert photos.count() == 2
    expect(page.get_by_role("button", name="three.png", exact=True)).to_be_focused()
    visitor.add(("notes.txt", b"no picture"), more=True)
    page.get_by_role("button", name="Remove three.png").click()
    expect(page.get_by_role("alert")).to_be_visible()  # it is about the other photo
    for name in ("one.png", "notes.txt"):
        page.get_by_role("button", name=f"Remove {name}").click()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#file")).to_be_focused()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_the_divider_follows_mouse_and_keyboard(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    position = page.locator("#position")
    box = page.locator("#stage").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, middle, steps=4)
    page.mouse.up()
    dragged = float(position.input_value())
    assert 20 < dragged < 45
    position.press("ArrowLeft")
    assert float(position.input_value()) == dragged - 0.5
    position.press("Home")
    assert difference(visitor.seen(240, 360), visitor.service(PNG)) <= 2


def test_zoom_and_pan_by_wheel_buttons_and_keys(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    fitting = visitor.zoom
    stage = page.locator("#stage")
    stage.hover(position={"x": 100, "y": 100})
    page.mouse.wheel(0, -600)
    expect(stage).to_have_class("zoomed")
    assert visitor.zoom > 3 * fitting
    divider = page.locator("#position").input_value()
    picture = page.locator("#canvas").screenshot()
    page.mouse.down()
    page.mouse.move(400, 500, steps=3)
    page.mouse.up()
    assert page.locator("#canvas").screenshot() != picture, "dragging moves a photo that exceeds its stage"
    assert page.locator("#position").input_value() == divider
    page.locator("#fit").click()
    assert visitor.zoom == fitting
    page.locator("#zoom-in").click()
    page.locator("#zoom-out").click()
    stage.dblclick(position={"x": 50, "y": 50})  # as after "Fit"
    assert visitor.zoom > fitting
    page.locator("#position").press("1")
    assert visitor.zoom == 100
    page.locator("#position").press("+")
    assert visitor.zoom == 150
    for _ in range(4):
        page.locator("#zoom-in").click()
    moved = page.locator("#canvas").screenshot()
    page.locator("#position").press("Shift+ArrowLeft")
    assert page.locator("#canvas").screenshot() != moved
    stage.dblclick(position={"x": 50, "y": 50})
    assert visitor.zoom == fitting


def test_light_time_and_facts_are_told(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    visitor.open("Technical details")
    before, after = page.locator("#light").inner_text().split(" → ")
    weights = np.array([0.2126, 0.7152, 0.0722])
    for told, pixels in ((before, DARK), (after, visitor.service(PNG))):
        assert abs(float(told.removesuffix("%")) - 100 * (pixels @ weights).mean() / 255) < 1
    assert before in str(page.locator("#histogram").get_attribute("aria-label"))
    assert len(str(page.locator("#histogram .after").get_attribute("d"))) > 500
    stages = [item.split()[0] for item in page.locator("#timing li").all_inner_texts()]
    assert stages == ["Receive", "Decode", "Wait", "Network", "Render", "Encode", "Transfer"]
    expect(page.locator("#answered")).to_have_text("brighten, version 2")
    expect(page.locator("#rendered")).to_have_text("whole")


def test_a_photo_that_cannot_be_shown_does_not_look_like_the_one_before_it(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    page.get_by_role("button", name="Download", exact=True).scroll_into_view_if_needed()
    visitor.add(("notes.txt", b"no picture"), more=True)
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.locator("#stage")).to_be_hidden()
    expect(page.locator("#timing")).to_be_hidden()
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_disabled()
    page.locator("#film button").first.click()
    visitor.wait()
    expect(page.locator("#stage")).to_be_visible()
    assert difference(visitor.seen(240, 360)[:, :170], DARK[:, :170]) == 0


def test_a_photo_is_seen_before_it_is_enhanced(visitor: Visitor, page: Page) -> None:
    page.route("**/enhance?*", lambda route: None)  # never answered
    page.locator("#file").set_input_files({"name": "one.png", "mimeType": "", "buffer": PNG})
    expect(page.locator(".chip.left")).to_be_visible()
    expect(page.locator("#message")).to_have_text("Enhancing…")
    for part in ("#divider", ".chip.right", "#histogram"):
        expect(page.locator(part)).to_be_hidden()
    assert difference(visitor.seen(240, 360), DARK) == 0


def test_a_photo_whose_request_failed_keeps_its_last_result(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.jpg", JPEG))
    visitor.wait_all()
    problem = {"type": "/problems/engine-failed", "title": "x", "detail": "the model failed", "status": 500}
    page.route("**/enhance?*", lambda route: route.fulfill(status=500, json=problem))
    visitor.set(gamma=0.5)
    expect(page.locator("#problem")).to_be_visible()
    page.get_by_role("button", name="two.jpg", exact=True).click()
    expect(page.locator("#size")).to_have_text("300 × 200, 0.1 MP")
    page.get_by_role("button", name="one.png", exact=True).click()
    expect(page.locator("#size")).to_have_text("360 × 240, 0.1 MP")
    visitor.divide(0)
    assert difference(visitor.seen(240, 360), visitor.service(PNG)) <= 2


SCRIPTS = (
    '<img src=x onerror="window.hit=1">.png',
    "<script>window.hit=1</script>.png",
    '"><svg onload=window.hit=1>.png',
)


def test_names_of_files_are_text_wherever_they_are_shown(visitor: Visitor, page: Page) -> None:
    """In the list, on buttons and in messages; markup in a name must neither run nor become an element."""
    visitor.send("drop", *((name, PNG) for name in SCRIPTS[:2]))
    visitor.add((SCRIPTS[2], b"no picture"), more=True)
    for name in SCRIPTS:
        page.get_by_role("button", name=name, exact=True).click()
        visitor.wait()
    expect(page.get_by_role("alert")).to_be_visible()
    page.wait_for_timeout(200)
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x], svg[onload], body script").count() == page.locator("body script[src]").count()
