"""The list of models, and the comparison of all of them."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.end_to_end.page.conftest import wait_ready
from tests.end_to_end.page.visitor import Visitor
from tests.pictures import dark_scene, encoded

PNG = encoded(dark_scene("coffee", (240, 360)))
JPEG = encoded(dark_scene("chelsea", (200, 300)), "jpeg", quality=90)


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


def mean_of(page: Page, card: int) -> float:
    """The mean code value of a card of the comparison."""
    data = page.locator("#cards button canvas").nth(card).evaluate("(canvas) => canvas.toDataURL().split(',')[1]")
    return float(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).mean())
