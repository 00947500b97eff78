"""Our weights beside what authors publish: the tables on the kept models of the Zero-DCE pair, and made photos."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from benchmarks import published
from service.repository import ModelRepository
from tests.docs.documents import ROOT
from tests.pictures import dark_scene, encoded

PAIR = published.ORIGINAL_AND_IMPROVED


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name in PAIR:
        shutil.copytree(ROOT / "model_repository" / name, root / name)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that are large enough for NIQE."""
    root = tmp_path_factory.mktemp("photos")
    for number in (1, 2, 10):
        (root / f"{number}.png").write_bytes(encoded(dark_scene("coffee", (192, 200))))
    return root


def cells(text: str, first: str) -> list[str]:
    """The other cells of the only row that begins with `first`."""
    rows = [re.split(r" *\| *", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if row[0] == first]
    return row[1:]


def test_files_are_weighed_and_compared(repository: Path) -> None:
    text = published.file_sizes(ModelRepository(repository))
    for file in ("model.onnx", "weights.safetensors"):
        first, second = ((repository / name / "1" / file).stat().st_size for name in PAIR)
        assert f"| {PAIR[0]} | {file} | {first / 1000:,.0f} | 1.00 |" in text
        assert f"| {PAIR[1]} | {file} | {second / 1000:,.0f} | {second / first:.2f} |" in text
    assert "97 KB file instead of 312 KB" in text


def test_scores_stand_beside_what_is_reported(repository: Path) -> None:
    text = published.scores(ModelRepository(repository))
    best = ModelRepository(repository).servable(PAIR[0])[-1].config.scores
    whole, guided, reported = cells(text, PAIR[0])
    assert f"{best['psnr']:.2f} / {best['ssim']:.3f}" in (whole, guided)
    assert whole != guided
    assert "16.57 dB, SSIM 0.59 (paper, SICE part 2)" in reported


def test_naturalness_of_both_is_measured(repository: Path, photos: Path) -> None:
    text = published.naturalness(repository, photos, PAIR)
    for name in PAIR:
        assert all(1 < float(cell) < 100 for cell in cells(text, name))
    assert text.endswith("3 photos; lower is better.")


def test_a_stage_that_is_not_served_is_named(repository: Path, photos: Path) -> None:
    assert published.naturalness(repository, photos) == "Nothing to compare without drbn and drbn_perceptual."


def test_the_command_writes_all_tables(
    repository: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTLIFT_MODEL_REPOSITORY", str(repository))
    monkeypatch.setenv("NIGHTLIFT_DEFAULT_MODEL", PAIR[0])
    monkeypatch.setenv("NIGHTLIFT_CPU_THREADS", "1")
    out = tmp_path / "published.md"
    assert published.main(["--photos", str(photos), "--rounds", "1", "--out", str(out)]) == 0
    text = out.read_text()
    assert all(title in text for title in ("Files", "Time", "Scores on LOLv1 eval15", "Naturalness"))
    assert float(cells(text, "times as fast as zero_dce")[-1]) > 1.2  # a third of the multiplications
    assert "1.png" in text


def test_what_is_missing_is_said(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTLIFT_MODEL_REPOSITORY", str(repository))
    assert published.main(["--photos", str(tmp_path)]) == 2
    assert "no pictures found in" in capsys.readouterr().err
    with pytest.raises(ValueError, match="there is no model drbn; choose of zero_dce, zero_dce_improved"):
        published.file_sizes(ModelRepository(repository), ("drbn", "drbn_perceptual"))
