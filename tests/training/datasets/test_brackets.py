"""Pairs from exposure brackets: the right reference, dark shots only, and none where the camera moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pictures import encoded, scene
from training.datasets import find_samples
from training.datasets.brackets import agreement

SIZE = (96, 128)


def exposed(gain: float, shift: int = 0) -> np.ndarray:
    """A photo in other light, moved aside by so many pixels."""
    picture = np.roll(scene("coffee", SIZE), shift, axis=1)
    return np.clip(picture * gain, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shots = {"dark": exposed(0.2), "dim": exposed(0.5), "right": exposed(1.4), "moved": exposed(0.3, shift=24)}
    (tmp_path / "photos").mkdir()
    lines = ["file,scene,mean_rgb,frac_clipped_hi,frac_black"]
    for name, shot in shots.items():
        (tmp_path / "photos" / f"{name}.png").write_bytes(encoded(shot))
        lines.append(f"{name}.png,7,{shot.mean():.1f},0.0,0.0")
    (tmp_path / "photos.scenes.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "photos"


def test_dark_shots_are_paired_with_the_well_exposed_one(folder: Path) -> None:
    assert 95 <= exposed(1.4).mean() <= 150
    samples = find_samples("brackets", folder)
    assert [sample.name for sample in samples] == ["dark", "dim"]
    assert {sample.files["high"].stem for sample in samples} == {"right"}
    assert {sample.scene for sample in samples} == {"7"}


def test_ranks_agree_under_any_tone_curve_and_not_after_a_move() -> None:
    bright = scene("coffee", SIZE).mean(axis=2).astype(np.float32)
    assert agreement((255 * (bright / 255) ** 2.2).astype(np.float32), bright) > 0.999
    assert agreement(np.roll(bright, 24, axis=1), bright) < 0.9
    assert agreement(np.zeros_like(bright), bright) == 0


def test_the_list_is_needed(folder: Path) -> None:
    (folder.parent / "photos.scenes.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*photos\.scenes\.csv"):
        find_samples("brackets", folder)


def test_a_listed_shot_must_be_there(folder: Path) -> None:
    (folder / "dim.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists dim\.png"):
        find_samples("brackets", folder)
