"""Fixtures: Debian's chromium on the page of a real service that has two models with two versions each."""

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
TIMEOUT = 60_000  # milliseconds; long, because the machine may be busy with other work
DESKTOP = {"width": 1440, "height": 1000}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the models `brighten` and `glow`, whose versions 1 and 2 brighten two and three times, and with
    `mapper`, which does not take pictures."""
    folder = tmp_path_factory.mktemp("site")
    repository = make_repository(folder / "models", ("brighten", "glow"), versions=(1, 2))
    make_tensor_model(repository, "mapper")
    with serving(repository, folder, default_model="brighten", required_models="brighten,glow,mapper") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser per module: Playwright keeps an event loop running, which would disturb other modules' tests."""
    if not CHROMIUM.exists():
        pytest.skip(f"Chromium is not installed at {CHROMIUM}")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """The page in a desktop window. The test fails if it contacts other servers, or writes errors to the console."""
    # Playwright does not see requests that a service worker answers; the service worker has its own tests.
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
    # Chromium logs answers with an error status even if the page handles them.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def visitor(page: Page, site: Server) -> Visitor:
    """A user of the page."""
    return Visitor(page, site.url)


def wait_ready(page: Page) -> None:
    """Wait until the page has the list of models, and has restored the photos of an earlier visit."""
    page.locator("select[name=model] option").first.wait_for(state="attached")
    page.locator("body[data-ready]").wait_for()


def _is_foreign(url: str, site: Server) -> bool:
    return not url.startswith((site.url, "blob:", "data:"))
