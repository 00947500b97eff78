"""Debian's chromium on the page of a real service with two models of two versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.end_to_end.page.visitor import Visitor
from tests.repositories import make_repository
from tests.servers import Server, serving
from tests.tensor_models import make_tensor_model

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
]
TIMEOUT = 60_000  # milliseconds: the machine may be busy with other things
DESKTOP = {"width": 1440, "height": 1000}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with `brighten` and `glow`, versions 1 (twice the light) and 2 (three times); `mapper` takes no
    pictures."""
    folder = tmp_path_factory.mktemp("site")
    repository = make_repository(folder / "models", ("brighten", "glow"), versions=(1, 2))
    make_tensor_model(repository, "mapper")
    with serving(repository, folder, default_model="brighten", required_models="brighten,glow,mapper") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: Playwright keeps an event loop running, which other modules' tests could not bear."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """The page, open in a desktop window. It may ask nobody but the service, and must keep its console clean."""
    # Requests that a service worker answers are seen by no test; it has tests of its own.
    context = browser.new_context(
        viewport=DESKTOP, reduced_motion="reduce", color_scheme="dark", service_workers="block"
    )
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("request", lambda request: _is_foreign(request.url, site) and complaints.append(request.url))
    page.goto(site.url)
    wait_ready(page)
    yield page
    context.close()
    # An answer with an error status is noted in the console whatever the page makes of it.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def visitor(page: Page, site: Server) -> Visitor:
    """Somebody who uses the page."""
    return Visitor(page, site.url)


def wait_ready(page: Page) -> None:
    """Wait until the page knows the models and the photos of an earlier visit."""
    page.locator("select[name=model] option").first.wait_for(state="attached")
    page.locator("body[data-ready]").wait_for()


def _is_foreign(url: str, site: Server) -> bool:
    return not url.startswith((site.url, "blob:", "data:"))
