"""Previews at screen size: what is sent and received, which previews are exact, and which files are never sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.end_to_end.page.conftest import TIMEOUT
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, decoded, encoded, scene
from tests.repositories import make_repository
from tests.servers import Server, serving

MAX_BODY_BYTES = 6_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("limited")
    repository = make_repository(folder / "models", versions=(1, 2))
    limits = {"max_body_bytes": MAX_BODY_BYTES, "max_pixels": 5_000_000}
    with serving(repository, folder, default_model="brighten", **limits) as server:
        yield server


def noisy(height: int, width: int) -> np.ndarray:
    """A dark photo that does not compress well."""
    return dark_scene("coffee", (height, width), seed=3)


LARGE = encoded(noisy(1600, 2400), "jpeg", quality=97)
LIGHT = encoded(cv2.GaussianBlur(noisy(1600, 2400), (0, 0), 3), "jpeg", quality=85)


def sent_bytes(request: Request) -> int:
    return int(request.all_headers()["content-length"])


def received_bytes(request: Request) -> int:
    response = request.response()
    assert response is not None
    return len(response.body())


def test_a_large_photo_is_sent_small_and_whole_only_for_its_file(
    visitor: Visitor, page: Page, tmp_path: Path
) -> None:
    assert len(LARGE) > 1_500_000
    visitor.add(("large.jpg", LARGE))
    (preview,) = visitor.requests
    assert "detail=guided" in preview.url, "the decision that the service makes for the photo itself"
    assert sent_bytes(preview) < 800_000
    assert received_bytes(preview) < 800_000
    response = preview.response()
    assert response is not None
    assert response.headers["content-type"] == "image/webp"
    expect(page.locator("#size")).to_have_text("2400 × 1600, 3.8 MP")
    visitor.set(strength=70)
    page.locator("#actual").click()
    expect(page.locator("#message")).to_contain_text("Full detail")
    assert [sent_bytes(request) for request in visitor.requests[1:]] == [len(LARGE)]
    visitor.divide(0)
    answer = visitor.answer(LARGE, strength=0.7)
    seen = visitor.seen(700, 700)
    full = decoded(answer)
    # The position of the photo's middle on the canvas may differ by some pixels.
    places = [(450 + down, 850 + across) for down in range(-4, 5) for across in range(-4, 5)]
    nearest = min(difference(seen, full[row : row + 700, column : column + 700]) for row, column in places)
    assert nearest <= 1, "what is zoomed into is the file itself"
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download", exact=True).click()
    waiting.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == answer
    assert len(visitor.requests) == 2, "nothing is sent twice"
    visitor.set(strength=40)
    expect(page.locator("#message")).to_contain_text("Full detail")
    assert len(visitor.requests) == 3, "another file"


def test_a_photo_is_not_sent_for_being_shown_larger_than_its_preview(browser: Browser, site: Server) -> None:
    """As on large screens with many pixels, here by a small one that has a large window."""
    screen = {"width": 600, "height": 400}
    context = browser.new_context(viewport={"width": 1600, "height": 700}, screen=screen, service_workers="block")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(site.url)
    visitor = Visitor(page, site.url)
    visitor.add(("wide.jpg", encoded(noisy(800, 2400), "jpeg", quality=97)))
    assert visitor.zoom > 105 * 1024 / 2400
    page.wait_for_timeout(1000)
    assert len(visitor.requests) == 1
    page.locator("#actual").click()
    expect(page.locator("#message")).to_have_text("Full detail, as it will be downloaded.")
    visitor.set(format="png")
    expect(page.locator("#message")).to_have_text("Full detail.")
    assert "format=webp" in visitor.requests[-1].url
    context.close()


def test_the_preview_of_a_light_photo_is_exact(visitor: Visitor, page: Page) -> None:
    assert 100_000 < len(LIGHT) < 1_000_000
    visitor.add(("light.jpg", LIGHT))
    (preview,) = visitor.requests
    assert sent_bytes(preview) == len(LIGHT)
    assert "max_side=" in preview.url
    exact = visitor.answer(LIGHT, strength=1, protect=0, gate=False, max_side=1440, format="webp")
    response = preview.response()
    assert response is not None
    assert response.body() == exact


def test_the_way_there_is_told_in_bytes(visitor: Visitor, page: Page) -> None:
    page.evaluate("""() => {
      window.told = [];
      const message = document.querySelector("#message");
      new MutationObserver(() => told.push(message.textContent)).observe(message, { childList: true });
    }""")
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    speed = {"downloadThroughput": 2e6, "uploadThroughput": 4e5}
    client.send("Network.emulateNetworkConditions", {"offline": False, "latency": 20, **speed})
    visitor.add(("light.jpg", LIGHT))
    told = page.evaluate("told")
    assert any(text.startswith("Uploading 0.") and text.endswith("MB") for text in told), told
    assert told[-1].startswith("Enhanced")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.txt", b"just words, no picture", "This is a text file, not a photo"),
        ("paper.pdf", b"%PDF-1.7 and more", "This is a PDF document, not a photo"),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isom", "This is a video, not a photo"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This is a vector drawing, not a photo"),
        ("nothing.jpg", b"", "This file is empty"),
        ("long.png", encoded(np.zeros((20, 400, 3), np.uint8)), "at most 8 times the short one"),
        ("many.png", encoded(np.zeros((2300, 2300, 3), np.uint8)), "This server accepts up to 5 megapixels"),
        ("huge.bmp", b"BM" + bytes(MAX_BODY_BYTES), "This server accepts up to 6.0 MB"),
    ],
)
def test_what_cannot_be_enhanced_is_said_before_anything_is_sent(
    visitor: Visitor, page: Page, name: str, data: bytes, words: str
) -> None:
    visitor.add((name, data))
    alert = page.locator("#problem")
    expect(alert).to_contain_text(words)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    assert visitor.requests == []
    page.get_by_role("button", name="Dismiss").click()
    expect(alert).to_be_hidden()


def test_refused_files_are_sent_neither_for_the_comparison_nor_with_all_others(visitor: Visitor, page: Page) -> None:
    visitor.add(("light.jpg", LIGHT))
    page.get_by_role("button", name="Compare all models").click()
    expect(page.locator("#cards button[data-done]")).to_have_count(2)
    asked = len(visitor.requests)
    visitor.add(("clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isom"), more=True)
    visitor.add(("many.png", encoded(np.zeros((2300, 2300, 3), np.uint8))), more=True)
    page.wait_for_timeout(300)
    assert len(visitor.requests) == asked
    with page.expect_download():
        page.get_by_role("button", name="Download all").click()
    expect(page.locator("#problem")).to_contain_text("2 of 3 failed")
    assert [sent_bytes(request) for request in visitor.requests[asked:]] == [len(LIGHT)]
    page.get_by_role("button", name="Dismiss").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="many.png", exact=True)).to_be_focused()


def test_what_may_be_camera_raw_is_sent_for_it_may_be_larger(visitor: Visitor, page: Page) -> None:
    visitor.add(("large.dng", b"II*\0" + bytes(MAX_BODY_BYTES)))
    expect(page.locator("#problem")).to_contain_text("This file is too large")  # the service saw that it is not raw
    assert visitor.requests


def test_full_detail_that_cannot_be_had_is_told_and_can_be_asked_for_again(visitor: Visitor, page: Page) -> None:
    visitor.add(("large.jpg", LARGE))
    problem = {"type": "/problems/engine-failed", "title": "x", "detail": "the model failed", "status": 500}
    page.route("**/enhance?*", lambda route: route.fulfill(status=500, json=problem))
    page.locator("#actual").click()
    expect(page.locator("#problem")).to_be_visible()
    visitor.wait()
    asked = len(visitor.requests)
    page.locator("#position").press("Shift+ArrowLeft")
    page.wait_for_timeout(1000)
    assert len(visitor.requests) == asked, "it is not sent again for every change of the view"
    page.unroute("**/enhance?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#message")).to_contain_text("Full detail")
    page.route("**/enhance?*", lambda route: route.fulfill(status=500, json=problem))
    visitor.set(strength=60)
    expect(page.locator("#problem")).to_be_visible()
    page.unroute("**/enhance?*")
    page.get_by_role("button", name="Dismiss").click()
    visitor.set(strength=50)
    expect(page.locator("#message")).to_contain_text("Full detail")


def test_a_finished_file_is_not_graded_a_second_time(visitor: Visitor, page: Page) -> None:
    visitor.add(("large.jpg", LARGE))
    visitor.set(exposure=1)
    visitor.divide(0)
    page.locator("#actual").click()
    expect(page.locator("#message")).to_contain_text("Full detail")
    full = visitor.seen(700, 700).mean()
    problem = {"type": "/problems/engine-failed", "title": "x", "detail": "the model failed", "status": 500}
    page.route("**/enhance?*", lambda route: route.fulfill(status=500, json=problem))
    visitor.set(gamma=0.8)
    expect(page.locator("#problem")).to_be_visible()
    visitor.set(protect=49)
    page.wait_for_timeout(500)
    assert abs(visitor.seen(700, 700).mean() - full) < 0.05 * full


def test_try_again_is_offered_where_it_can_help(visitor: Visitor, page: Page) -> None:
    problem = {"type": "/problems/deadline-exceeded", "title": "Too late", "detail": "the time ran out"}
    answers = [
        (504, problem),
        (400, {"type": "/problems/unreadable-picture", "title": "x", "detail": "it is damaged"}),
    ]

    def answer(route: Route) -> None:
        status, body = answers[0]
        route.fulfill(status=status, json={**body, "status": status})

    page.route("**/enhance?*", answer)
    visitor.add(("one.png", encoded(scene("chelsea", (60, 90)))))
    alert = page.locator("#problem")
    expect(alert).to_contain_text("The server took too long")
    page.route("**/enhance?*", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"), times=1)
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("The server is not answering")
    answers.pop(0)
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_contain_text("This photo cannot be read")
    expect(alert).to_contain_text("one.png: It is damaged.")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
