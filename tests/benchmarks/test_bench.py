"""`nightlift bench` measures what it says, in turns, and prints a table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure, night_scene, parse_size, to_markdown
from service.settings import Settings
from tests.nightlift.commands import nightlift
from tests.repositories import make_repository


def test_a_slow_network_shows_in_its_column_and_in_the_service(tmp_path: Path) -> None:
    repository = make_repository(make_repository(tmp_path), ("slow",), slow=0.2)
    settings = Settings(model_repository=repository, default_model="brighten", cpu_threads=1)
    quick, slow = asyncio.run(measure(settings, ["brighten", "slow"], [(96, 64)], rounds=3))
    assert slow.network > 5 * quick.network
    assert slow.service > 5 * quick.service
    assert slow.ratio > quick.ratio
    assert quick.detail == "whole"
    table = to_markdown([quick, slow])
    assert "| brighten | 96x64 | whole |" in table


def test_the_scene_is_dark_but_not_flat() -> None:
    scene = night_scene(320, 200)
    assert scene.shape == (200, 320, 3)
    assert 5 < scene.mean() < 60
    assert scene.std() > 5
    np.testing.assert_array_equal(scene, night_scene(320, 200))


def test_sizes_are_read_or_refused() -> None:
    assert parse_size("4000x3000") == (4000, 3000)
    for text in ("4000", "0x9", "x", "4000 x 3000", "-5x5"):
        with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
            parse_size(text)


def test_the_command_writes_a_table(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    out = tmp_path / "bench.md"
    outcome = nightlift(
        "bench",
        "brighten",
        "--size",
        "96x64",
        "--rounds",
        "1",
        "--out",
        str(out),
        "--model-repository",
        str(repository),
    )
    assert outcome.returncode == 0, outcome.stderr
    assert out.read_text().startswith("| model | picture |")
