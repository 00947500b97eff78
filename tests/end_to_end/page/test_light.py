"""After one inference, the page grades in the browser; what it shows must match the service's answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.end_to_end.page.conftest import wait_ready
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded, letterboxed, scene

TOLERANCE = 2
"""Largest difference from the service's answer, in code values (0 to 255), that docs/page.md promises."""

NO_WEBGL = """
  const { getContext } = HTMLCanvasElement.prototype;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    return kind === "webgl2" ? null : getContext.call(this, kind, ...rest);
  };
"""

PICTURES = {
    "whole": encoded(dark_scene("coffee", (300, 401))),
    "guided": encoded(dark_scene("astronaut", (500, 700)), "jpeg", quality=92),
    "well lit": encoded(scene("chelsea")),
    "black bars": encoded(letterboxed()),
}


@pytest.mark.parametrize(("name", "painter"), [*((name, "webgl") for name in PICTURES), ("guided", "canvas")])
def test_all_sliders_but_gamma_need_no_request_and_match_the_service(
    visitor: Visitor, page: Page, name: str, painter: str
) -> None:
    if painter == "canvas":
        page.add_init_script(NO_WEBGL)
        page.reload()
        wait_ready(page)
    data = PICTURES[name]
    visitor.add(("photo", data))
    visitor.divide(0)
    for light in (
        {"strength": 100, "protect": 50, "gate": True},
        {"strength": 70, "protect": 100, "gate": False},
        {"strength": 0, "protect": 30, "gate": True},
        {"strength": 100, "protect": 50, "gate": True, "exposure": -0.8},
        {"strength": 80, "protect": 20, "gate": True, "exposure": 1.2, "shadows": -60},
        {"strength": 100, "protect": 50, "gate": True, "exposure": 0, "shadows": 70},
    ):
        visitor.set(**light)
        options = {name: light[name] / 100 for name in ("strength", "protect", "shadows") if name in light}
        options |= {name: light[name] for name in ("gate", "exposure") if name in light}
        answer = visitor.service(data, **options)
        assert difference(visitor.seen(*answer.shape[:2]), answer) <= TOLERANCE, light
    assert len(visitor.requests) == 1


def test_the_divider_parts_before_and_after(visitor: Visitor) -> None:
    dark = dark_scene("coffee", (200, 300))
    visitor.add(("photo.png", encoded(dark)))
    visitor.divide(100)
    assert difference(visitor.seen(200, 300), dark) == 0
    visitor.divide(50)
    seen = visitor.seen(200, 300)
    assert difference(seen[:, :145], dark[:, :145]) == 0
    assert seen[:, 155:].mean() > 1.3 * dark[:, 155:].mean()


def test_gamma_and_models_ask_once_and_are_remembered(visitor: Visitor, page: Page) -> None:
    data = PICTURES["whole"]
    visitor.add(("photo.png", data))
    visitor.divide(0)
    visitor.set(gamma=0.7)
    visitor.wait()
    answer = visitor.service(data, gamma=0.7)
    assert difference(visitor.seen(300, 401), answer) <= TOLERANCE
    visitor.set(model="glow/2")
    visitor.wait()
    assert len(visitor.requests) == 3
    answer = visitor.service(data, gamma=0.7, model="glow", version=2)
    assert difference(visitor.seen(300, 401), answer) <= TOLERANCE
    visitor.set(model="brighten/2")  # the default, with its latest version
    visitor.wait()
    assert len(visitor.requests) == 3
    page.locator("button[type=reset]").click()
    visitor.wait()
    assert difference(visitor.seen(300, 401), visitor.service(data)) <= TOLERANCE
    assert len(visitor.requests) == 3


def test_photos_that_browsers_cannot_decode_are_shown_all_the_same(visitor: Visitor) -> None:
    deep = (dark_scene("rocket", (150, 220)).astype(np.uint16) * 257)[..., ::-1]
    data = cv2.imencode(".tiff", deep)[1].tobytes()
    visitor.add(("deep.tiff", data))
    visitor.divide(100)
    assert difference(visitor.seen(150, 220), dark_scene("rocket", (150, 220))) <= 1
    assert len(visitor.requests) == 2


def test_a_photo_on_its_side_stands_upright(visitor: Visitor) -> None:
    lying = Image.fromarray(dark_scene("coffee", (200, 300)))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to view
    data = encoded(np.asarray(lying), "jpeg", quality=95, exif=exif.tobytes())
    visitor.add(("lying.jpg", data))
    visitor.divide(0)
    answer = visitor.service(data)
    assert answer.shape == (300, 200, 3)
    assert difference(visitor.seen(300, 200), answer) <= TOLERANCE


def test_the_photo_comes_back_after_the_gpu_was_lost(visitor: Visitor, page: Page) -> None:
    data = PICTURES["whole"]
    visitor.add(("photo.png", data))
    visitor.divide(0)
    answer = visitor.service(data)
    lose_gpu(page)
    visitor.wait()
    assert difference(visitor.seen(300, 401), answer) <= TOLERANCE
    assert len(visitor.requests) == 1
    page.get_by_role("button", name="Remove photo.png").click()
    lose_gpu(page)
    expect(page.locator("#problem")).to_be_hidden()


def lose_gpu(page: Page) -> None:
    """Make the canvas lose its WebGL context, and restore it."""
    page.evaluate("""async () => {
      const canvas = document.querySelector("#canvas");
      const lost = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
      lost.loseContext();
      await new Promise((resolve) => setTimeout(resolve, 50));
      const restored = new Promise((resolve) => canvas.addEventListener("webglcontextrestored", resolve));
      lost.restoreContext();
      await restored;
    }""")
