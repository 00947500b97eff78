"""Downloads of one photo and of all."""

from __future__ import annotations

import zipfile
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.end_to_end.page.visitor import Visitor
from tests.pictures import dark_scene, encoded

PNG = encoded(dark_scene("coffee", (240, 360)))
JPEG = encoded(dark_scene("chelsea", (200, 300)), "jpeg", quality=90)


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
