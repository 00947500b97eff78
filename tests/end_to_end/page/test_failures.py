"""Files that are no pictures, and servers that are away: explained, and tried again."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded

DARK = dark_scene("coffee", (240, 360))
PNG = encoded(DARK)
JPEG = encoded(dark_scene("chelsea", (200, 300)), "jpeg", quality=90)


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
