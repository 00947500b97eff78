"""A training is repeated from its record, and a record of another training is told apart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pictures
from training import train
from training.recipe import Recipe

RECIPE = {
    "title": "toy",
    "network": "zero_dce_improved",
    "objective": {"name": "zero_reference", "settings": {"color_epsilon": 1e-9}},
    "data": {"image": {"layout": "folder", "transforms": {"resize": 32, "flips": {"horizontal": 0.5}}}},
    "batch_size": 2,
    "steps": 8,
    "optimizers": {"network": {"lr": 1e-2, "schedule": {"shape": "cosine"}}},
    "log_every": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few small dark pictures."""
    path = tmp_path_factory.mktemp("dark")
    for number, name in enumerate(pictures.SCENES):
        (path / f"{name}.png").write_bytes(pictures.encoded(pictures.dark_scene(name, (40, 40), seed=number)))
    return path


@pytest.fixture(scope="module")
def record(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a whole training of eight steps."""
    out = tmp_path_factory.mktemp("run")
    train(Recipe.model_validate(RECIPE), folder, out, device="cpu", threads=1, progress=False)
    return out / "run.json"


def _repeat(record: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.repeat", str(record), "--data", str(folder), "--steps", "4"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_first_steps_repeat(record: Path, folder: Path) -> None:
    done = _repeat(record, folder)
    assert done.returncode == 0, done.stderr
    assert [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("| ")][-2:] == ["2", "4"]


def test_of_several_stages_the_first_is_repeated(record: Path, folder: Path, tmp_path: Path) -> None:
    second = {"training": {"curve": [], "began_with": json.loads(record.read_text())}}
    (tmp_path / "manifest.json").write_text(json.dumps(second))
    assert _repeat(tmp_path / "manifest.json", folder).returncode == 0


def test_another_training_is_told(record: Path, folder: Path, tmp_path: Path) -> None:
    other = json.loads(record.read_text())
    other["recipe"]["seed"] = 7
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert _repeat(tmp_path / "other.json", folder).returncode == 1


def test_a_record_without_a_curve_is_told(record: Path, folder: Path, tmp_path: Path) -> None:
    old = json.loads(record.read_text())
    del old["curve"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert "has no losses of the first" in _repeat(tmp_path / "old.json", folder).stderr
