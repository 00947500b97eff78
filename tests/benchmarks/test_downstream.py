"""The downstream check on made photographs: a detector of bright squares, and models that double every value."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import downstream
from benchmarks._downstream import AS_TAKEN, LEVELS, ORIGINAL, PLAIN_METHOD, UNENHANCED, darkened
from service.settings import Settings
from tests.detectors import blue_square_detector
from tests.docs.documents import ROOT
from tests.pictures import encoded
from tests.repositories import make_repository

BRIGHTEST, DARKER, DARKEST = LEVELS
SQUARES = {"a.png": [(16, 16)], "b.png": [(0, 32), (48, 0)]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        model_repository=make_repository(tmp_path / "models", ("brighten", "other")),
        default_model="brighten",
        cpu_threads=1,
    )


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return blue_square_detector(tmp_path / "squares.onnx")


def photo(light: int, squares: list[tuple[int, int]]) -> bytes:
    picture = np.zeros((64, 64, 3), np.uint8)
    for left, top in squares:
        picture[top : top + 16, left : left + 16] = light
    return encoded(picture)


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """Photographs of white squares, labelled as persons, and a zebra that no detector here finds."""
    root = tmp_path / "objects"
    (root / "images").mkdir(parents=True)
    lines = ["file,class,x,y,width,height"]
    for name, squares in SQUARES.items():
        (root / "images" / name).write_bytes(photo(255, squares))
        lines += [f"{name},0,{left},{top},16,16" for left, top in squares]
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root


def test_a_model_that_brings_objects_back_is_scored_above_the_dark(
    settings: Settings, objects: Path, detector: Path
) -> None:
    report = asyncio.run(downstream.run(settings, objects, detector))
    assert (report.pictures, report.objects, report.convention) == (2, 3, "YOLOX")
    assert report.lights == tuple(LEVELS)
    assert {score.system for score in report.scores} == {ORIGINAL, UNENHANCED, PLAIN_METHOD, "`brighten`", "`other`"}
    for light in LEVELS:
        assert report.of(ORIGINAL, light).at_half == pytest.approx(1)
        assert report.of(UNENHANCED, light).at_half == 0
        assert report.of("`other`", light) == report.of("`brighten`", light)
    # Doubled, white is beyond the detector's threshold with a tenth of the light, and not with less.
    assert report.of("`brighten`", BRIGHTEST).average == pytest.approx(1)
    assert report.of("`brighten`", DARKER).at_half == report.of("`brighten`", DARKEST).at_half == 0
    assert f"| `brighten` | {' | '.join(['100.0', '100.0', '0.0', '0.0', '0.0', '0.0'])} |" in report.table()


def test_ways_to_ask_have_rows_of_their_own(settings: Settings, objects: Path, detector: Path) -> None:
    ways = {"": {}, "half": {"strength": 0.5}}
    report = asyncio.run(downstream.run(settings, objects, detector, ("brighten",), ways=ways))
    assert report.of("`brighten`", BRIGHTEST).at_half == pytest.approx(1)
    assert report.of("`brighten`, half", BRIGHTEST).at_half == 0  # half as much more light is too little


def test_photographs_that_are_dark_of_themselves_are_not_darkened(
    settings: Settings, tmp_path: Path, detector: Path
) -> None:
    root = tmp_path / "exdark"
    (root / "ExDark/People").mkdir(parents=True)
    (root / "ExDark_Annno/People").mkdir(parents=True)
    for name, squares in SQUARES.items():
        (root / "ExDark/People" / name).write_bytes(photo(100, squares))
        lines = [f"People {left} {top} 16 16 0 0" for left, top in squares]
        (root / f"ExDark_Annno/People/{name}.txt").write_text("\n".join(lines))
    report = asyncio.run(downstream.run(settings, root, detector, ("brighten",)))
    assert report.lights == (AS_TAKEN,)
    assert {score.system for score in report.scores} == {UNENHANCED, PLAIN_METHOD, "`brighten`"}
    assert report.of(UNENHANCED, AS_TAKEN).at_half == 0
    assert report.of("`brighten`", AS_TAKEN).at_half == pytest.approx(1)


def test_darkness_is_repeatable_and_of_each_photograph_its_own() -> None:
    picture = np.full((64, 64, 3), 180, np.uint8)
    means = []
    for level in LEVELS.values():
        first, again, other = (darkened(picture, name, level) for name in ("a.png", "a.png", "b.png"))
        assert (first == again).all()
        assert (first != other).any()
        means.append(first.mean())
    assert 180 > means[0] > 1.5 * means[1] > 2 * means[2] > 10


def test_the_command_writes_the_documents_table(
    settings: Settings, objects: Path, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("NIGHTLIFT_MODEL_REPOSITORY", str(settings.model_repository))
    monkeypatch.setenv("NIGHTLIFT_CPU_THREADS", "1")
    document, figures = tmp_path / "downstream.md", tmp_path / "downstream.json"
    shutil.copy(ROOT / "docs/downstream.md", document)
    words = [str(objects), "--detector", str(detector), "--models", "brighten", "--limit", "1"]
    assert downstream.main([*words, "--json", str(figures), "--into", str(document)]) == 0
    assert "| `brighten` | 100.0 | 100.0 |" in capsys.readouterr().out
    text = document.read_text()
    assert "| `brighten` | 100.0 | 100.0 |" in text
    assert "Pictures: 1; objects of classes that the detector knows: 1;" in text
    written = json.loads(figures.read_text())
    assert written["scores"][0]["precision"]["by_class"] == {"person": pytest.approx(1)}


def test_what_is_wrong_is_said(
    settings: Settings, objects: Path, detector: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("NIGHTLIFT_MODEL_REPOSITORY", str(settings.model_repository))
    assert downstream.main([str(objects), "--detector", str(detector), "--limit", "0"]) == 2
    assert "--limit is 0" in capsys.readouterr().err
    assert downstream.main([str(objects), "--detector", "nowhere.onnx"]) == 2
    assert "there is no detector nowhere.onnx" in capsys.readouterr().err
    assert downstream.main([str(objects.parent), "--detector", str(detector)]) == 2
    assert "there is no folder" in capsys.readouterr().err
    with pytest.raises(ValueError, match="dream cannot be served; there are brighten"):
        asyncio.run(downstream.run(settings, objects, detector, ("brighten", "dream")))
