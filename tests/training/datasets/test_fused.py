"""Exposure sequences, fused: from the shots that show the same, once, and paired with the dark ones."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import decoded, encoded, scene
from training.datasets import find_samples
from training.datasets.fuse import fuse

SIZE = (96, 128)


def view(gain: float, shift: int = 0) -> np.ndarray:
    """A room and its window, four times as bright, in other light, moved aside by so many pixels."""
    light = scene("coffee", SIZE).astype(float) / 4
    light[:40, 90:] = scene("astronaut", SIZE)[:40, 90:]
    return np.clip(np.roll(light, shift, axis=1) * gain, 0, 255).astype(np.uint8)


SHOTS = {
    "night": view(0.3),  # too dark to be paired
    "dark": view(0.8),
    "dim": view(1.2),
    "middle": view(3),
    "bright": view(5),
    "moved": view(1, shift=24),
}


def write_sequences(folder: Path, sequences: dict[str, dict[str, np.ndarray]]) -> Path:
    folder.mkdir()
    lines = ["file,scene,mean_rgb,frac_clipped_hi,frac_black"]
    for name, shots in sequences.items():
        for shot, picture in shots.items():
            (folder / f"{shot}.png").write_bytes(encoded(picture))
            lines.append(f"{shot}.png,{name},{picture.mean():.1f},{(picture == 255).mean():.3f},0.0")
    (folder.parent / f"{folder.name}.scenes.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sequences(tmp_path / "photos", {"7": SHOTS, "8": {"alone": view(1), "with_one": view(2)}})


def test_shots_that_show_the_same_are_fused(folder: Path) -> None:
    assert fuse(folder) == 1
    made = folder.parent / "photos.fused"
    assert sorted(path.name for path in made.iterdir()) == ["7.jpg", "shots.csv"]
    with (made / "shots.csv").open(newline="") as lines:
        shots = [row["file"] for row in csv.DictReader(lines)]
    assert shots == ["night.png", "dark.png", "dim.png", "middle.png", "bright.png"]
    fusion, room, window = decoded((made / "7.jpg").read_bytes()), np.s_[50:], np.s_[5:35, 95:]
    assert (fusion == 255).mean() < 0.7 * (SHOTS["middle"] == 255).mean()
    assert fusion[room].mean() > 2 * SHOTS["dim"][room].mean()
    assert fusion[window].mean() < 0.9 * SHOTS["middle"][window].mean()


def test_dark_shots_are_paired_with_the_fusion(folder: Path) -> None:
    fuse(folder)
    samples = find_samples("fused", folder)
    assert [sample.name for sample in samples] == ["dark", "dim"]
    assert {sample.files["high"].name for sample in samples} == {"7.jpg"}
    assert {sample.scene for sample in samples} == {"7"}


def test_a_shot_that_has_lost_much_is_not_paired(tmp_path: Path) -> None:
    blown = SHOTS["dim"].copy()
    blown[:40, 90:] = 255
    folder = write_sequences(tmp_path / "photos", {"7": {**SHOTS, "dim": blown}})
    fuse(folder)
    assert "dim" in (tmp_path / "photos.fused" / "shots.csv").read_text()
    assert [sample.name for sample in find_samples("fused", folder)] == ["dark"]


def test_fusing_again_replaces_what_was_there(folder: Path) -> None:
    fuse(folder)
    stale = folder.parent / "photos.fused" / "6.jpg"
    stale.write_bytes(b"")
    assert fuse(folder) == 1
    assert not stale.exists()


def test_without_fusions_the_command_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`python -m training\.datasets\.fuse .*photos` writes it"):
        find_samples("fused", folder)


def test_a_shot_that_was_fused_must_be_there_still(folder: Path) -> None:
    fuse(folder)
    table = folder.parent / "photos.scenes.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.startswith("dim")))
    with pytest.raises(FileNotFoundError, match=r"lists dim\.png, which is not in .*photos: fuse again"):
        find_samples("fused", folder)


def test_sequences_that_are_too_short_leave_nothing_behind(tmp_path: Path) -> None:
    folder = write_sequences(tmp_path / "photos", {"8": {"alone": view(1), "with_one": view(2)}})
    with pytest.raises(ValueError, match="no sequence of 3 shots"):
        fuse(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "photos.scenes.csv"]


def test_the_command_says_what_it_did(folder: Path) -> None:
    command = [sys.executable, "-m", "training.datasets.fuse", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"fused sequences in {folder}.fused: 1\n"
