"""The slider and the preset for noise reduction, with a service that has a model for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.end_to_end.page.conftest import wait_ready
from tests.end_to_end.page.test_light import TOLERANCE
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.restorers import make_restorer
from tests.servers import Server, serving

PNG = encoded(dark_scene("coffee", (200, 300)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose model for noise reduction blurs."""
    folder = tmp_path_factory.mktemp("site")
    repository = make_restorer(make_repository(folder / "models", ("brighten",)))
    with serving(
        repository, folder, default_model="brighten", required_models="brighten,nightlift_restorer"
    ) as server:
        yield server


def asked(request: Request) -> str:
    """The noise reduction that a request asks for."""
    return parse_qs(urlsplit(request.url).query)["denoise"][0]


def test_it_is_automatic_until_the_slider_or_the_preset_is_used(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    auto = page.get_by_role("button", name="Auto denoise")
    preset = page.get_by_role("button", name="Denoise", exact=True)
    expect(auto).to_have_attribute("aria-pressed", "true")
    expect(page.locator("output[for=denoise]")).to_have_text("auto")
    visitor.divide(0)
    assert difference(visitor.seen(200, 300), visitor.service(PNG)) <= TOLERANCE

    preset.click()
    visitor.wait()
    expect(auto).to_have_attribute("aria-pressed", "false")
    expect(preset).to_have_attribute("aria-pressed", "true")
    assert difference(visitor.seen(200, 300), visitor.service(PNG, denoise=1)) <= TOLERANCE
    expect(page.locator("#denoised")).to_have_text("removed from 100% of the photo")

    visitor.set(denoise=30)
    visitor.wait()
    assert difference(visitor.seen(200, 300), visitor.service(PNG, denoise=0.3)) <= TOLERANCE
    auto.click()
    visitor.wait()
    assert [asked(request) for request in visitor.requests] == ["auto", "1", "0.3"]  # the first answer was cached
    assert difference(visitor.seen(200, 300), visitor.service(PNG)) <= TOLERANCE


def test_it_becomes_automatic_if_the_service_lost_the_model(visitor: Visitor, page: Page) -> None:
    visitor.add(("one.png", PNG))
    visitor.set(denoise=80)
    visitor.wait()

    def without(route: Route) -> None:
        listed = route.fetch().json()
        route.fulfill(body=json.dumps({**listed, "restorer": None}), content_type="application/json")

    page.route("**/models", without)
    page.reload()
    wait_ready(page)
    visitor.wait()
    assert asked(visitor.requests[-1]) == "auto"
    expect(page.locator("[name=denoise]")).to_be_hidden()
