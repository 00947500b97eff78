"""Shots of one scene are told by their ranks; the list is what the layouts read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import encoded, scene
from training.datasets import find_samples
from training.datasets.scenes import list_scenes

SIZE = (96, 128)


def shots(name: str) -> list[bytes]:
    """A sequence: dark, dim, as it is, and too bright."""
    picture = 20 + 0.8 * scene(name, SIZE).astype(float)
    return [encoded(np.clip(gain * picture, 0, 255).astype(np.uint8)) for gain in (0.15, 0.5, 1, 1.6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    for number, shot in enumerate([*shots("coffee"), *shots("astronaut")], 1):
        (path / f"{number}.png").write_bytes(shot)
    return path


def test_a_sequence_is_one_scene_whatever_its_exposure(folder: Path) -> None:
    command = [sys.executable, "-m", "training.datasets.scenes", str(folder)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert said == str(folder.parent / "photos.scenes.csv")
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "already exists" in again.stderr
    assert subprocess.run([*command, "--overwrite"]).returncode == 0
    scenes = [sample.scene for sample in find_samples("folder", folder)]
    assert scenes == ["0"] * 4 + ["1"] * 4


def test_the_layouts_of_sequences_can_be_read_then(folder: Path) -> None:
    for layout in ("brackets", "well_exposed"):
        with pytest.raises(FileNotFoundError, match=r"python -m training\.datasets\.scenes"):
            find_samples(layout, folder)
    list_scenes(folder)
    pairs = {sample.files["low"].stem: sample.files["high"].stem for sample in find_samples("brackets", folder)}
    assert pairs.items() >= {"5": "7", "6": "7"}.items()
    assert "7" in {sample.name for sample in find_samples("well_exposed", folder)}


def test_pairs_are_listed_over_both_splits(tmp_path: Path) -> None:
    for split, numbers in (("our485", (1, 3, 4)), ("eval15", (2,))):
        for number in numbers:
            picture = shots("coffee")[number % 3] if number < 4 else shots("astronaut")[2]
            for side in ("low", "high"):
                (tmp_path / split / side).mkdir(parents=True, exist_ok=True)
                (tmp_path / split / side / f"{number}.png").write_bytes(picture)
    list_scenes(tmp_path, "lolv1")
    train = {sample.name: sample.scene for sample in find_samples("lolv1", tmp_path)}
    test = {sample.name: sample.scene for sample in find_samples("lolv1", tmp_path, "test")}
    assert train["1"] == train["3"] == test["2"] != train["4"]
    with pytest.raises(ValueError, match="folder, lolv1, pairs"):
        list_scenes(tmp_path, "lsrw")
