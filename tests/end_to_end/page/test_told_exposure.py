"""A model that takes the exposure: the slider acts at once by a curve, then the model's own result follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.end_to_end.page.test_light import TOLERANCE
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded, scene
from tests.servers import Server, serving
from tests.told_models import make_told_models

DARK = encoded(dark_scene("coffee", (300, 401)))
LESS_DARK = encoded(scene("chelsea", (300, 401)) // 2)
"""A photo for which the gate reduces the enhancement."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose only model for pictures takes the exposure."""
    folder = tmp_path_factory.mktemp("site")
    repository = make_told_models(folder / "models")
    with serving(repository, folder, default_model="told", required_models="told") as server:
        yield server


def slide(page: Page, value: float) -> None:
    """Move the exposure slider without releasing it."""
    page.locator("#exposure").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


@pytest.mark.parametrize("data", [DARK, LESS_DARK], ids=["dark", "less dark"])
def test_it_acts_at_once_and_ends_as_the_service_has_it(visitor: Visitor, page: Page, data: bytes) -> None:
    visitor.add(("photo.png", data))
    visitor.divide(0)
    automatic = visitor.seen(300, 401)
    slide(page, 0.5)
    held = visitor.seen(300, 401)
    assert held.mean() > 1.05 * automatic.mean()
    assert len(visitor.requests) == 1
    for exposure in (0.5, -1.2, 0.0):
        visitor.set(exposure=exposure)
        visitor.wait()
        assert difference(visitor.seen(300, 401), visitor.service(data, exposure=exposure)) <= TOLERANCE
    assert len(visitor.requests) == 3  # the last answer was cached
    visitor.set(strength=60, shadows=50, exposure=0.5)
    visitor.wait()
    answer = visitor.service(data, strength=0.6, shadows=0.5, exposure=0.5)
    assert difference(visitor.seen(300, 401), answer) <= TOLERANCE
    assert len(visitor.requests) == 3
