"""The welcome screen: the animated samples, and what it says about privacy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, expect

import service.page
from docs.make_samples import SHOWCASES, make_samples
from tests.end_to_end.page.conftest import DESKTOP, TIMEOUT
from tests.end_to_end.page.visitor import Visitor
from tests.pictures import decoded
from tests.servers import Server

SAMPLES = service.page.STATIC / "samples"
MOST_BYTES = 600_000


def test_results_move_by_themselves_once_and_then_by_hand(browser: Browser, site: Server) -> None:
    context = browser.new_context(viewport=DESKTOP, service_workers="block")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(site.url)
    slider = page.locator(".showcase input").first
    places = []
    while not places or places[-1] != 50 or max(places) < 90:
        places.append(float(slider.input_value()))
        page.wait_for_timeout(50)
        assert len(places) < 400, "the divider does not come to rest in the middle"
        if len(places) > 20 and places[-1] == places[-20] == 50:
            break
    assert min(places) < 25
    assert max(places) > 75
    slider.fill("80")
    page.wait_for_timeout(300)
    assert slider.input_value() == "80"
    clip = page.locator(".showcase .after").first.evaluate("(image) => getComputedStyle(image).clipPath")
    assert "80%" in clip
    context.close()


def test_the_page_says_what_it_does_and_where_photos_go(visitor: Visitor, page: Page) -> None:
    expect(page.locator(".promise")).to_be_in_viewport()
    expect(page.locator(".showcase").first).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("The server keeps no photos.")).to_be_visible()
    assert page.locator(".showcase input").first.input_value() == "50"  # no animation with reduced motion
    page.locator(".drop").hover()
    expect(page.locator(".drop")).to_have_css("border-color", "rgb(255, 212, 121)")  # the accent
    page.route("**/street.jpg", lambda route: route.fulfill(status=404))
    page.get_by_role("link", name="Try this photo").first.click()
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#film li")).to_have_count(0)
    page.unroute("**/street.jpg")
    page.locator("a[data-sample]").last.click()
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(page.locator("#problem")).to_be_hidden()


def test_the_shown_results_are_the_service_s_own(tmp_path: Path) -> None:
    made = {path.name: path for path in make_samples(tmp_path)}
    for name, _ in SHOWCASES:
        before = decoded((SAMPLES / f"{name}.jpg").read_bytes())
        after = decoded((SAMPLES / f"{name}-after.webp").read_bytes())
        assert after.shape == before.shape
        assert after.mean() > 1.1 * before.mean()
        # If this fails after the default model has changed, run `python -m docs.make_samples`.
        assert np.abs(after.astype(int) - decoded(made[f"{name}-after.webp"].read_bytes())).mean() < 4
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < MOST_BYTES
    credits_text = (SAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    page_text = (service.page.STATIC / "index.html").read_text(encoding="utf-8")
    for path in SAMPLES.glob("*.jpg"):
        assert path.name in credits_text
    for author in ("Simon Steinberger", "Clemens Engelhardt", "takami torao", "Aitzol Berasategi"):
        assert author in credits_text
        assert author in page_text
