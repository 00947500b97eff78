"""The page of a service that requires API keys: it asks for a key once, and reports a wrong one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from service.admission import Scope, add_key, revoke_key
from tests.end_to_end.page.conftest import DESKTOP, TIMEOUT
from tests.end_to_end.page.visitor import Visitor
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

PNG = encoded(dark_scene("coffee", (120, 180)))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's keys file."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    add_key(path, "first", frozenset({Scope.ENHANCE}))
    return path


@pytest.fixture(scope="module")
def site(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that requires API keys."""
    folder = tmp_path_factory.mktemp("closed")
    with serving(make_repository(folder / "models"), folder, default_model="brighten", keys_file=keys) as server:
        yield server


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """A new tab. The test fails if there are script errors or violations of the Content Security Policy."""
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.add_init_script("""
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
    """)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(site.url)
    yield page
    assert page.evaluate("violations") == []
    assert errors == []
    context.close()


def give(page: Page, key: str) -> None:
    """Enter a key into the dialog."""
    page.get_by_role("textbox", name="API key").fill(key)
    page.get_by_role("button", name="Use in this tab").click()


def test_a_key_opens_the_page_for_this_tab(page: Page, site: Server, keys: Path) -> None:
    key = add_key(keys, "visitor", frozenset({Scope.ENHANCE}))
    dialog = page.get_by_role("dialog", name="This service requires an API key")
    expect(dialog).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    for mistyped in (f"{key}é", "   "):
        give(page, mistyped)
        expect(dialog.get_by_role("alert")).to_contain_text("unaccented letters")
    give(page, key[:-1])
    expect(dialog.get_by_role("alert")).to_contain_text("API key is unknown")
    await_key(site, key)
    give(page, f" {key} ")
    expect(dialog).to_be_hidden()
    expect(page.locator("select[name=model] option")).to_have_count(1)
    expect(page.locator("#problem")).to_be_hidden()
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG))
    expect(page.locator("#message")).to_contain_text("Enhanced")
    assert visitor.requests[-1].headers["authorization"] == f"Bearer {key}"
    assert key not in page.url
    page.reload()
    expect(page.locator("select[name=model] option")).to_have_count(1)
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Models").click()  # it uses the key of this tab
    expect(page.locator("#list li")).to_have_count(1)


def test_a_key_that_is_revoked_meanwhile_is_asked_for_again(page: Page, site: Server, keys: Path) -> None:
    old, new = (add_key(keys, name, frozenset({Scope.ENHANCE})) for name in ("old", "new"))
    await_key(site, new)
    give(page, old)
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG))
    revoke_key(keys, "old")
    await_key(site, old, status=401)
    visitor.add(("two.png", PNG), more=True)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("API key is unknown")
    give(page, new)
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(page.locator("#problem")).to_be_hidden()
    revoke_key(keys, "new")
    await_key(site, new, status=401)
    newest = add_key(keys, "newest", frozenset({Scope.ENHANCE}))
    await_key(site, newest)
    page.get_by_role("button", name="Download all").click()
    expect(dialog).to_be_visible()
    with page.expect_download():
        give(page, newest)
    expect(page.locator("#message")).to_contain_text("2 of 2 downloaded")


def test_another_key_can_be_given_if_one_does_not_allow_it(page: Page, site: Server, keys: Path) -> None:
    useless = add_key(keys, "operator", frozenset({Scope.METRICS}))
    useful = add_key(keys, "useful", frozenset({Scope.ENHANCE}))
    await_key(site, useful)
    give(page, useless)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    give(page, useful)
    expect(page.locator("select[name=model] option")).to_have_count(1)
    expect(page.locator("#problem")).to_be_hidden()


def test_who_has_no_key_can_close_the_dialog_and_try_later(page: Page, site: Server, keys: Path) -> None:
    key = add_key(keys, "late", frozenset({Scope.ENHANCE}))
    await_key(site, key)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#problem")).to_contain_text("An API key is required")
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG))
    give(page, key)
    expect(page.locator("#message")).to_contain_text("Enhanced")
    expect(page.locator("select[name=model] option")).to_have_count(1)
    expect(page.locator("#problem")).to_be_hidden()


def await_key(site: Server, key: str, status: int = 200) -> None:
    """Wait until the service has read its changed keys file, so that `key` gets this status."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if httpx.get(f"{site.url}/models", headers={"Authorization": f"Bearer {key}"}).status_code == status:
            return
        time.sleep(0.05)
    raise AssertionError("the service did not reload its keys")
