"""Presets, the original, side by side, keyboard shortcuts, descriptions of models, and the layout on phones."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.page.conftest import TIMEOUT
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded
from tests.servers import Server

DARK = dark_scene("coffee", (200, 300))
PNG = encoded(DARK)
PHONE = {"width": 390, "height": 844}


def test_presets_are_named_settings(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    natural, lift, night = (page.get_by_role("button", name=name) for name in ("Natural", "Lift shadows", "Night"))
    expect(natural).to_have_attribute("aria-pressed", "true")
    lift.click()
    expect(page.locator("[name=shadows]")).to_have_value("80")
    expect(natural).to_have_attribute("aria-pressed", "false")
    visitor.divide(0)
    assert difference(visitor.seen(200, 300), visitor.service(PNG, exposure=0.3, shadows=0.8)) <= 2
    night.click()
    expect(page.locator("[name=shadows]")).to_have_value("0")
    assert difference(visitor.seen(200, 300), visitor.service(PNG, exposure=-0.5, protect=0.8)) <= 2
    visitor.set(strength=99)
    for preset in (natural, lift, night):
        expect(preset).to_have_attribute("aria-pressed", "false")
    assert len(visitor.requests) == 1
    for word in ("Exposure", "Shadows", "Protect highlights", "Strength"):
        expect(page.get_by_role("slider", name=word)).to_be_visible()
    expect(page.locator("[name=denoise]")).to_be_hidden()  # there is no model for it
    expect(page.locator("#presets button", has_text="Denoise")).to_be_hidden()
    expect(page.locator("#gated")).to_be_hidden()  # the technical details are closed at first


def test_the_original_is_seen_while_a_key_or_the_photo_is_held(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    visitor.divide(0)
    bright = visitor.seen(200, 300)
    page.locator("[name=strength]").focus()
    page.keyboard.down("o")
    assert difference(visitor.seen(200, 300), DARK) == 0
    page.keyboard.up("o")
    assert difference(visitor.seen(200, 300), bright) == 0
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    expect(page.locator("#stage")).to_have_class("original")
    expect(page.locator(".chip.right")).to_be_hidden()
    page.mouse.up()
    expect(page.locator("#stage")).not_to_have_class("original")
    assert page.locator("#position").input_value() == "0", "resting is not sliding"


def test_side_by_side_shows_both_at_the_same_place(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Side by side")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#position")).to_be_disabled()
    expect(page.locator("#canvas")).to_have_accessible_name("The photo, before on the left and enhanced on the right")
    page.locator("#actual").click()
    box = page.locator("#stage").bounding_box()
    assert box is not None
    half = int(box["width"]) // 2
    seen = visitor.canvas()
    top, left = (round((room - length) / 2 + 1e-9) for room, length in ((seen.shape[0], 200), (half, 300)))
    before = seen[top : top + 200, left : left + 300, :3]
    after = seen[top : top + 200, half + left : half + left + 300, :3]
    assert difference(before, DARK) == 0
    assert difference(after, visitor.service(PNG)) <= 2


def test_keys_work_anywhere_and_can_be_turned_off(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.png", encoded(DARK[:150, :200])))
    visitor.wait_all()
    of_one = page.locator("#zoom").inner_text()
    page.locator("h1").click()
    page.keyboard.press("n")
    expect(page.get_by_role("button", name="two.png", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#zoom")).not_to_have_text(of_one)  # the other photo is fitted once it has been decoded
    page.keyboard.press("1")
    assert visitor.zoom == 100
    page.locator("[name=strength]").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[name=strength]")).to_have_value("99")
    page.keyboard.press("+")
    assert visitor.zoom == 150
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("p")  # not while a dialog is open
    expect(page.get_by_role("button", name="two.png", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("checkbox", name="Enable single-key shortcuts").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("p")
    page.keyboard.press("0")
    expect(page.get_by_role("button", name="two.png", exact=True)).to_have_attribute("aria-pressed", "true")
    assert visitor.zoom == 150


def test_models_say_what_they_are_good_for(page: Page, visitor: Visitor) -> None:
    page.route(
        "**/models",
        lambda route: route.fulfill(
            json={
                **(body := route.fetch().json()),
                "default": "nightlift",
                "models": [{**body["models"][0], "name": "nightlift"}],
            }
        ),
    )
    page.reload()
    expect(page.locator("[name=model] option")).to_have_text("Nightlift")
    expect(page.locator("#sentence")).to_contain_text("A good first choice.")
    page.unroute("**/models")
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="brighten default").first).to_be_visible()
    expect(page.locator("#list li")).to_have_count(4)
    page.get_by_role("link", name="API").click()
    expect(page.locator(".opblock-tag").first).to_contain_text("Enhance")
    dark = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(dark) == "rgb(28, 32, 34)"
    page.get_by_role("link", name="Enhance photos").click()
    expect(page.locator(".promise")).to_be_visible()


def test_on_a_phone_photo_and_download_stay_while_sliders_move(browser: Browser, site: Server) -> None:
    context = browser.new_context(
        viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True, service_workers="block"
    )
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(site.url)
    expect(page.locator(".showcase").first).to_be_in_viewport()
    expect(page.get_by_text("Take a photo")).to_be_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    visitor = Visitor(page, site.url)
    visitor.add(("tall.png", encoded(dark_scene("coffee", (300, 200)))), ("one.png", PNG))
    for name in ("exposure", "strength"):
        page.locator(f"[name={name}]").scroll_into_view_if_needed()
        expect(page.locator("#stage")).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Download", exact=True)).to_be_in_viewport(ratio=1)
        slider, stage = page.locator(f"[name={name}]").bounding_box(), page.locator("#stage").bounding_box()
        files = page.locator(".files").bounding_box()
        assert slider is not None
        assert stage is not None
        assert files is not None
        assert stage["y"] + stage["height"] <= slider["y"], "the photo covers the slider"
        assert slider["y"] + slider["height"] <= files["y"]
    height = page.locator("#stage").bounding_box()
    assert height is not None
    assert height["height"] < PHONE["height"] / 2, "a portrait fits"
    before = page.locator("[name=strength]").bounding_box()
    page.get_by_role("button", name="Compare all models").tap()
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    order = "(section) => !!(document.querySelector('.panel').compareDocumentPosition(section) & 4)"
    assert page.locator("#comparison").evaluate(order), "it opens below the controls, which stay where they are"
    assert before is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()
