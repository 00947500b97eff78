"""Every model that we ship answers real requests with sane pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service.settings import Settings
from tests.both_formats import SHIPPED, shipped_models
from tests.pictures import SCENES, dark_scene, decoded, encoded
from tests.servers import Server, serving

NAMES = shipped_models()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service over the models that we ship, as `make serve` runs it."""
    with serving(SHIPPED, tmp_path_factory.mktemp("shipped"), required_models=",".join(NAMES)) as running:
        yield running


def test_the_default_model_is_shipped() -> None:
    assert Settings().default_model in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_dark_photos_become_bright_and_keep_their_colours(server: Server, name: str) -> None:
    for scene in SCENES:
        dark = dark_scene(scene, (160, 240))
        response = httpx.post(f"{server.url}/enhance", params={"model": name}, content=encoded(dark), timeout=120)
        assert response.status_code == 200, response.text
        bright = decoded(response.content)
        assert bright.shape == dark.shape
        assert bright.mean() > 1.5 * dark.mean()
        assert bright.std() > 10, "a flat picture"
        tint = bright.mean((0, 1)) / bright.mean() - dark.mean((0, 1)) / dark.mean()
        assert np.abs(tint).max() < 0.5, "a tint that was not there"


def test_every_photo_of_lime_comes_back_brighter(server: Server, shared: Path) -> None:
    photos = sorted((shared / "data/unpaired/LIME").glob("*.png"))
    assert len(photos) == 10
    for photo in photos:
        data = photo.read_bytes()
        response = httpx.post(f"{server.url}/enhance", content=data, timeout=120)
        assert response.status_code == 200, response.text
        before, after = (Image.open(io.BytesIO(file)) for file in (data, response.content))
        assert (after.format, after.size) == (before.format, before.size)
        before_mean, after_mean = (np.asarray(picture.convert("L")).mean() for picture in (before, after))
        assert after_mean > 1.2 * before_mean, photo.name
