"""Restoration beside a bare pass: everything is measured, and what cannot be is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.restoration import Line, noisy, run, to_markdown
from service.settings import Settings
from tests.pictures import dark_scene
from tests.repositories import make_repository
from tests.restorers import make_restorer


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "night.png"
    Image.fromarray(dark_scene("coffee", (300, 400))).save(path)
    return path


def test_every_size_is_measured(tmp_path: Path, photo: Path) -> None:
    repository = make_restorer(make_repository(tmp_path / "models"))
    settings = Settings(model_repository=repository, default_model="brighten", cpu_threads=1)
    table = asyncio.run(run(settings, [photo], (64, 200), rounds=1)).splitlines()
    assert [row.split(" | ")[1] for row in table[2:4]] == ["64x48", "200x150"]
    for row in table[2:4]:
        without, with_it, _, bare, _ = map(float, row.strip("| ").split(" | ")[2:])
        assert min(without, with_it, bare) > 0
    assert table[-1].startswith("| **median** |")


def test_without_a_restorer_there_is_nothing_to_measure(tmp_path: Path, photo: Path) -> None:
    settings = Settings(model_repository=make_repository(tmp_path / "models"), default_model="brighten")
    with pytest.raises(ValueError, match="no restorer in ONNX"):
        asyncio.run(run(settings, [photo], (64,), rounds=1))


def test_a_photo_that_is_not_restored_as_it_is_tells_nothing(tmp_path: Path, photo: Path) -> None:
    repository = make_restorer(make_repository(tmp_path / "models"))
    settings = Settings(model_repository=repository, default_model="brighten", max_restored_pixels=1000)
    with pytest.raises(ValueError, match="NIGHTLIFT_MAX_RESTORED_PIXELS"):
        asyncio.run(run(settings, [photo], (64,), rounds=1))


def test_the_table() -> None:
    lines = [Line("a", 1000, 1000, 0.1, 0.4, 0.25), Line("b", 2000, 1000, 0.2, 0.8, 0.5)]
    *_, first, second, middle = to_markdown(lines).splitlines()
    assert first == "| a | 1000x1000 | 100.0 | 400.0 | 0.300 | 0.250 | 1.20 |"
    assert second.split(" | ")[4:] == ["0.300", "0.250", "1.20 |"]
    assert middle == "| **median** |  |  |  | 0.300 | 0.250 | 1.20 |"


def test_photos_are_shrunk_and_noisy(photo: Path) -> None:
    pixels = noisy(photo, 200)
    assert pixels.shape == (150, 200, 3)
    smooth = Image.open(photo).resize((200, 150))
    assert (pixels.astype(float) - smooth).std() > 4
