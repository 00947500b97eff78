"""Accessibility (axe-core, keyboard, touch), small screens, and the Content Security Policy."""

from __future__ import annotations

import math
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from service.repository import ModelRepository
from tests.docs.documents import ROOT
from tests.end_to_end.page.visitor import Visitor
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

PNG = encoded(dark_scene("coffee", (120, 180)))
PHONE = {"width": 390, "height": 844}
KEPT = ModelRepository(ROOT / "model_repository")
MANY = tuple(name for name in KEPT.names() if KEPT.config(name).takes_pictures)
DIRECTIVES_WITHOUT_INLINE = ("default-src 'none'", "script-src 'self'", "style-src 'self'")

WATCH_VIOLATIONS = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_on_a_desktop(visitor: Visitor, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    check(page)
    visitor.add(("one.png", PNG), ("two.png", PNG))
    page.get_by_role("button", name="Compare all models").click()
    visitor.open()
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    visitor.add(("notes.txt", b"no picture"), more=True)
    expect(page.get_by_role("alert")).to_be_visible()
    check(page)


def test_a_phone_shows_all_and_pinches(browser: Browser, site: Server) -> None:
    context = browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(site.url)
    check(page)
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG), ("two.png", PNG))
    check(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    fitting = visitor.zoom
    pinch(page, 60, 160)
    assert visitor.zoom > 1.5 * fitting
    page.locator("#side-by-side").tap()
    page.locator("#fit").tap()
    fitting = visitor.zoom
    pinch(page, 60, 160)  # with a finger on either half
    assert 1.5 * fitting < visitor.zoom < 4 * fitting
    check_targets(page)
    context.close()


@pytest.mark.parametrize("width", [320, 360])
def test_all_buttons_fit_on_a_narrow_phone(browser: Browser, site: Server, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.add_init_script("navigator.canShare = () => true")
    page.goto(site.url)
    Visitor(page, site.url).add(("one.png", PNG), ("two.png", PNG))
    for name in ("Download", "Copy", "Share", "Download all"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_all_kept_models_side_by_side_fit_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models", MANY)
    with serving(repository, tmp_path, default_model=MANY[-1], required_models=",".join(MANY)) as site:
        context = browser.new_context(viewport=PHONE, device_scale_factor=2, has_touch=True, is_mobile=True)
        page = context.new_page()
        page.goto(site.url)
        visitor = Visitor(page, site.url)
        visitor.add(("one.png", PNG))
        page.get_by_role("button", name="Compare all models").tap()
        expect(page.locator("#cards button[data-done]")).to_have_count(len(MANY))
        boxes = [card.bounding_box() for card in page.locator("#cards button").all()]
        check_targets(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        context.close()
    lefts = {round(box["x"]) for box in boxes if box}
    rows = sorted({round(box["y"]) for box in boxes if box})
    # Plus one card for the original.
    assert (len(lefts), len(rows)) == (2, math.ceil((1 + len(MANY)) / 2))
    assert all(box and box["width"] >= 150 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    assert rows[-1] - rows[0] < PHONE["height"], "the first and the last row are seen together"


def test_the_divider_takes_the_focus_without_moving_the_photo(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    page.locator("#position").focus()
    assert page.locator("#stage").evaluate("stage => stage.scrollTop") == 0
    expect(page.locator(".chip.left")).to_be_in_viewport(ratio=1)


def test_a_keyboard_is_enough(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG), ("two.png", PNG))
    page.keyboard.press("Tab")
    wanted = ["one.png", "position", "zoom-out", "model", "compare", "strength", "protect", "apply", "download"]
    met = []
    for _ in range(40):
        met.append(page.evaluate("document.activeElement.ariaLabel + ' ' + document.activeElement.id"))
        met.append(page.evaluate("document.activeElement.name ?? ''"))
        page.keyboard.press("Tab")
    for name in wanted:
        assert any(name in text for text in met), f"{name} cannot be reached: {met}"


def test_the_policy_holds_and_nothing_on_the_page_or_in_the_documentation_needs_more(
    page: Page, site: Server
) -> None:
    for path in ("/", "/docs", "/models", "/models.html", "/enhance", "/nothing", "/static/style.css"):
        headers = httpx.get(site.url + path).headers
        policy = headers["content-security-policy"]
        assert all(directive in policy for directive in DIRECTIVES_WITHOUT_INLINE), path
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    page.add_init_script(WATCH_VIOLATIONS)
    page.goto(site.url)
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG))
    page.get_by_role("button", name="Compare all models").click()
    expect(page.locator("#cards button[data-done]")).to_have_count(4)
    assert page.evaluate("violations") == []
    page.goto(site.url + "/docs")
    page.locator(".opblock-summary", has_text="/enhance").click()
    expect(page.locator("button.execute")).to_be_visible()
    assert page.evaluate("violations") == []


def test_the_policy_stops_what_was_smuggled_in(browser: Browser, site: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.url)
    page.evaluate(WATCH_VIOLATIONS)
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.smuggled = true";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.smuggled = true'>");
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("window.smuggled") is None
    assert len(page.evaluate("violations")) >= 2
    context.close()


def check(page: Page) -> None:
    """Assert that axe-core finds no violation of any severity."""
    found = Axe().run(page).response["violations"]
    report = [f"{issue['impact']} {issue['id']}: {[node['html'] for node in issue['nodes']]}" for issue in found]
    assert report == []


def check_targets(page: Page) -> None:
    """Assert that all controls are at least 24 CSS pixels wide and high (WCAG 2.2, 2.5.8)."""
    for element in page.locator("button:visible, select:visible, label.button:visible, summary:visible").all():
        box = element.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24, element.evaluate("(element) => element.outerHTML")


def pinch(page: Page, start: float, end: float) -> None:
    """Pinch on the stage with two fingers, from a distance of `start` to one of `end` CSS pixels."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)

    def send(kind: str, distance: float | None) -> None:
        points = [] if distance is None else [{"x": x + side * distance / 2, "y": y} for side in (-1, 1)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", start)
    for step in range(1, 6):
        send("touchMove", start + (end - start) * step / 5)
    send("touchEnd", None)
