"""Adding photos in every way, zoom, the comparison of models, downloads, and error messages."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.end_to_end.page.conftest import wait_ready
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


def test_all_models_side_by_side_follow_the_light(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    page.get_by_role("button", name="Compare all models").click()
    cards = page.locator("#cards li")
    expect(cards).to_have_count(5)
    expect(cards.first).to_have_text("Original")
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    assert len(visitor.requests) == 4  # one of the four answers was cached
    bright = [mean_of(page, index) for index in range(4)]
    assert bright[1] > 1.1 * bright[0], "version 2 gives more light than version 1"
    visitor.set(strength=0)
    assert len({mean_of(page, index) for index in range(4)}) == 1
    assert len(visitor.requests) == 4
    cards.filter(has_text="glow, version 2").get_by_role("button").click()
    visitor.wait()
    assert page.locator("[name=model]").input_value() == "glow/2"
    expect(page.locator("#answered")).to_have_text("glow, version 2")
    visitor.set(strength=100, gamma=0.5)
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    visitor.wait()
    assert mean_of(page, 0) > 1.1 * bright[0], "the cards follow the gamma, too"
    assert len(visitor.requests) == 8  # the large picture and its card share a request
    visitor.add(("two.png", PNG), more=True)
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    page.get_by_role("button", name="Hide comparison").click()
    expect(page.locator("#comparison")).to_be_hidden()


def test_a_photo_that_is_decoded_late_is_not_shown_on_the_cards_of_another(visitor: Visitor, page: Page) -> None:
    page.evaluate("""() => {
      const decode = createImageBitmap;
      window.late = 0;
      const released = new Promise((resolve) => (window.release = resolve));
      window.createImageBitmap = async (file, ...rest) => {
        if (file.name !== "late.png") return decode(file, ...rest);
        await released;
        late++;
        return decode(file, ...rest);
      };
    }""")
    page.route("**/enhance?*", lambda route: None)  # no answer comes, so that all cards wait
    files = [{"name": name, "mimeType": "", "buffer": data} for name, data in (("late.png", PNG), ("next.jpg", JPEG))]
    page.locator("#file").set_input_files(files)
    page.get_by_role("button", name="Compare all models").click()
    page.get_by_role("button", name="next.jpg", exact=True).click()
    canvas = page.locator("#cards canvas").first
    expect(canvas).to_have_js_property("height", 200)
    page.evaluate("release()")
    page.wait_for_timeout(500)
    assert page.evaluate("late") >= 1  # for the thumbnail
    assert canvas.evaluate("canvas => canvas.height") == 200


def test_models_are_offered_as_they_come(visitor: Visitor, page: Page) -> None:
    state = "UNREACHABLE"

    def answer(route: Route) -> None:
        if state == "UNREACHABLE":
            route.abort()
            return
        body = route.fetch().json()
        for model in body["models"]:
            if model["name"] == "glow" and state != "READY":
                model.update(ready=False, state=state)
        route.fulfill(json=body)

    page.route("**/models", answer)
    page.reload()
    alert = page.locator("#problem")
    options = page.locator("select[name=model] option")
    expect(page.locator("#offline")).to_be_visible()
    expect(options).to_have_count(4)  # the list of the last visit
    page.evaluate("localStorage.removeItem('nightlift-models')")
    page.reload()
    expect(alert).to_contain_text("cannot be reached")
    state = "LOADING"
    expect(options).to_have_count(2)
    expect(alert).to_be_hidden()
    visitor.add(("one.png", PNG))
    visitor.set(model="brighten/1")
    state = "READY"
    expect(options).to_have_count(4)
    expect(page.locator("[name=model]")).to_have_value("brighten/1")
    expect(page.get_by_role("button", name="Compare all models")).to_be_visible()


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


def test_download_gives_what_the_service_gives(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    visitor.add(("holiday.jpg", JPEG))
    visitor.set(strength=60, protect=20)
    for format, name in (("", "holiday-bright.jpg"), ("png", "holiday-bright.png"), ("webp", "holiday-bright.webp")):
        visitor.set(format=format)
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download", exact=True).click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
        expected = visitor.answer(JPEG, strength=0.6, protect=0.2, **({"format": format} if format else {}))
        assert (tmp_path / name).read_bytes() == expected


def test_download_keeps_the_focus_and_tells_what_the_file_lacks(visitor: Visitor, page: Page) -> None:
    visitor.add(("holiday.jpg", JPEG))

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, "nightlift-dropped": "gain-map"})

    page.route("**/enhance?*", answer)
    button = page.get_by_role("button", name="Download", exact=True)
    button.focus()
    with page.expect_download():
        page.keyboard.press("Enter")
    expect(page.locator("#message")).to_have_text("Downloaded, without the HDR gain map.")
    expect(button).to_be_focused()


def test_download_all_names_what_failed_and_packs_the_rest(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    visitor.add(("a.png", PNG), ("A.png", PNG), ("broken.png", PNG[:200]), ("ü.jpg", JPEG))
    visitor.wait_all()
    page.get_by_role("button", name="broken.png", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download all").click()
    waiting.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        # The names of the first two differ only in case, which Windows and macOS ignore.
        assert archive.namelist() == ["a-bright.png", "A-bright-2.png", "ü-bright.jpg"]
        assert archive.read("A-bright-2.png") == visitor.answer(PNG)
    expect(page.get_by_role("alert")).to_contain_text("1 of 4 failed")
    expect(page.get_by_role("alert")).to_contain_text("broken.png")
    expect(page.get_by_text("3 of 4 downloaded.")).to_be_visible()  # though a photo that failed is the chosen one


def test_download_all_is_not_disturbed_and_makes_several_files_of_too_much(visitor: Visitor, page: Page) -> None:
    visitor.add(("a.png", PNG), ("b.png", PNG), ("c.png", PNG))
    visitor.wait_all()
    held: list[Route] = []
    page.route("**/enhance?*", lambda route: held.append(route), times=1)
    with page.expect_request("**/enhance?*"):
        page.get_by_role("button", name="Download all").click()
    for button in page.get_by_role("button", name="Download").all():
        expect(button).to_be_disabled()
    page.get_by_role("button", name="Remove c.png").click()
    with page.expect_download():
        held[0].continue_()
    expect(page.locator("#message")).to_have_text("3 of 3 downloaded.")
    page.evaluate("Object.defineProperty(Blob.prototype, 'size', { get: () => 3e9 })")
    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.suggested_filename))
    page.get_by_role("button", name="Download all").click()
    expect(page.locator("#message")).to_have_text("2 of 2 downloaded.")
    page.wait_for_timeout(500)
    assert sorted(downloads) == ["nightlift-1.zip", "nightlift-2.zip"]
    expect(page.get_by_role("button", name="Download all")).to_be_enabled()


def test_download_all_ends_when_it_is_cancelled_or_the_photos_are_cleared(visitor: Visitor, page: Page) -> None:
    visitor.add(("a.png", PNG), ("b.png", PNG), ("c.png", PNG))
    visitor.wait_all()
    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.suggested_filename))
    page.route("**/enhance?*", lambda route: None)  # never answered
    with page.expect_request("**/enhance?*"):
        page.get_by_role("button", name="Download all").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Download all")).to_be_enabled()
    with page.expect_request("**/enhance?*"):
        page.get_by_role("button", name="Download all").click()
    asked = len(visitor.requests)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_role("button", name="Remove all").click()
    page.unroute("**/enhance?*")  # it would go on now
    page.wait_for_timeout(500)
    assert len(visitor.requests) == asked
    assert downloads == []


def test_what_is_no_picture_is_explained_and_does_not_stop_the_next(visitor: Visitor, page: Page) -> None:
    visitor.add(("notes.txt", b"These are just a few words, no picture at all."))
    alert = page.locator("#problem")
    expect(alert).to_contain_text("This is a text file, not a photo")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    assert visitor.requests == [], "the browser sees that without a server"
    visitor.add(("one.png", PNG), more=True)
    expect(alert).to_be_hidden()
    expect(page.locator("#stage")).to_be_visible()
    assert difference(visitor.seen(240, 360)[:, :170], DARK[:, :170]) == 0


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


def test_a_server_that_was_away_is_waited_for(visitor: Visitor, page: Page) -> None:
    for path in ("**/enhance?*", "**/models"):
        page.route(path, lambda route: route.abort())
    visitor.add(("one.png", PNG), ("two.jpg", JPEG))
    expect(page.locator("#problem")).to_contain_text("cannot be reached")
    expect(page.locator("#film [data-state=failed]")).to_have_count(2)
    page.unroute("**/enhance?*")
    page.unroute("**/models")
    expect(page.locator("#film [data-state=done]")).to_have_count(2)
    expect(page.locator("#problem")).to_be_hidden()


def test_what_failed_is_tried_again_together(visitor: Visitor, page: Page) -> None:
    problem = {"type": "/problems/engine-failed", "title": "x", "detail": "the model failed", "status": 500}
    page.route("**/enhance?*", lambda route: route.fulfill(status=500, json=problem))
    visitor.add(("one.png", PNG), ("two.jpg", JPEG), ("notes.txt", b"no picture"))
    expect(page.locator("#film [data-state=failed]")).to_have_count(3)
    page.unroute("**/enhance?*")
    page.get_by_role("button", name="two.jpg", exact=True).click()
    page.get_by_role("button", name="Try all again").click()
    expect(page.locator("#film [data-state=done]")).to_have_count(2)


def test_a_default_model_that_is_not_ready_is_told_as_such(visitor: Visitor, page: Page) -> None:
    is_ready = False

    def answer_list(route: Route) -> None:
        body = route.fetch().json()
        for model in body["models"]:
            if model["name"] == "brighten" and not is_ready:
                model.update(ready=False, state="LOADING")
        route.fulfill(json=body)

    def answer(route: Route) -> None:
        problem = {"type": "/problems/model-not-ready", "title": "x", "detail": "x", "status": 503}
        if is_ready or "model=glow" in route.request.url:
            route.continue_()
        else:
            route.fulfill(status=503, json=problem)

    page.route("**/models", answer_list)
    page.route("**/enhance?*", answer)
    page.reload()
    wait_ready(page)
    expect(page.locator("[name=model] option:checked")).to_have_text("brighten (not ready)")
    visitor.add(("one.png", PNG))
    expect(page.locator("#problem")).to_contain_text("This model is not ready yet")
    visitor.set(model="glow/1")
    expect(page.locator("#answered")).to_have_text("glow, version 1")
    visitor.set(model="")
    expect(page.get_by_text("This model is not ready yet")).to_be_visible()
    is_ready = True  # the page sees that by itself
    expect(page.locator("#answered")).to_have_text("brighten, version 2")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_lost_connection_is_explained_and_can_be_tried_again(visitor: Visitor, page: Page) -> None:
    alert = page.locator("#problem")
    page.route("**/enhance?*", lambda route: route.abort())
    visitor.add(("one.png", PNG))
    expect(alert).to_contain_text("cannot be reached")
    page.unroute("**/enhance?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(alert).to_be_hidden()
    page.context.set_offline(True)
    visitor.add(("two.png", PNG), more=True)
    expect(alert).to_contain_text("cannot be reached")
    page.context.set_offline(False)  # the page tries again by itself
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(alert).to_be_hidden()


def mean_of(page: Page, card: int) -> float:
    """The mean code value of a card of the comparison."""
    data = page.locator("#cards button canvas").nth(card).evaluate("(canvas) => canvas.toDataURL().split(',')[1]")
    return float(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).mean())


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
