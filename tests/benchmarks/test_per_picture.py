"""The table of times per photo: every photo and model is in it, and a slow model is seen to be slow."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from benchmarks.per_picture import run
from service.rendering import Detail
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service with a quick and a slow model."""
    repository = make_repository(make_repository(tmp_path / "models"), ("slow",), slow=0.1)
    return Settings(model_repository=repository, default_model="brighten", cpu_threads=1)


def test_every_photo_and_model_is_in_the_table(settings: Settings, tmp_path: Path) -> None:
    photos = [tmp_path / "1.png", tmp_path / "2.jpg"]
    photos[0].write_bytes(encoded(dark_scene("coffee", (40, 60))))
    photos[1].write_bytes(encoded(dark_scene("rocket", (64, 96)), "jpeg"))
    text = asyncio.run(run(settings, photos, ("slow", "brighten"), Detail.WHOLE, 2))
    rows = {row[0]: row[1:] for row in (re.split(r" *\| *", line.strip("| ")) for line in text.splitlines()[:8])}
    assert rows["photo"] == ["pixels", "kB", "slow, ms", "brighten, ms"]
    assert (rows["1.png"][0], rows["2.jpg"][0]) == ("60x40", "96x64")
    slow, quick = map(float, rows["times as fast as slow"][-2:])
    assert slow == 1
    assert quick > 3
    assert float(rows["**mean**"][-2]) > float(rows["the network alone"][-2]) > 10
    assert text.endswith("medians of 2 turns; rendered whole.")


def test_a_model_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no model other; choose of brighten, slow"):
        asyncio.run(run(settings, [], ("other",), Detail.AUTO, 1))
