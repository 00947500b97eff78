"""Answers of models for the restorer: pairs of rooms, and photographs with and without noise under one map."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.repository import ModelTraits
from tests.pictures import SCENES, encoded, pair, scene
from training import answers
from training.datasets import find_samples, read_picture
from training.evaluation import EvaluatedModel, open_model

Pixels = NDArray[np.uint8]


def doubling(name: str = "doubling") -> EvaluatedModel:
    """A model that doubles code values."""

    def run(pictures: Pixels) -> Pixels:
        return np.minimum(2 * pictures.astype(int), 255).astype(np.uint8)

    return EvaluatedModel(name, run, ModelTraits("doubling", working_side=64), Path("doubling.onnx"))


def photographs(root: Path) -> Path:
    root.mkdir()
    for name in SCENES[:2]:
        (root / f"{name}.png").write_bytes(encoded(scene(name, (300, 320))))
    (root / "small.png").write_bytes(encoded(scene("rocket", (64, 96))))
    return root


def read(root: Path) -> list[dict[str, str]]:
    with (root / answers.TABLE).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_photographs_get_an_answer_and_what_the_same_map_makes_without_noise(tmp_path: Path) -> None:
    data, out = photographs(tmp_path / "photos"), tmp_path / "out"
    out.mkdir()
    assert answers.photos(data, [doubling()], out, copies=3, seed=0) == 6
    rows = read(out)
    assert {row["scene"] for row in rows} == {"photos/astronaut", "photos/chelsea"}  # one is too small
    noise = []
    for row in rows:
        low, answer, high = (read_picture(out / row[part]) for part in ("low", "answer", "high"))
        assert low.shape == answer.shape == high.shape == (answers.SIDE, answers.SIDE, 3)
        assert answer.mean() > 1.3 * low.mean()
        assert answer.mean() == pytest.approx(high.mean(), rel=0.1)
        noise.append(
            np.abs(np.diff(answer.astype(int), 2, axis=1)).mean()
            / np.abs(np.diff(high.astype(int), 2, axis=1)).mean()
        )
    assert max(noise) > 1.2
    assert min(noise) > 0.8
    assert find_samples("answers", out, "train")


def test_the_same_seed_gives_the_same_answers(tmp_path: Path) -> None:
    data = photographs(tmp_path / "photos")
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        answers.photos(data, [doubling("one"), doubling("two")], tmp_path / name, copies=1, seed=4)
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]


def test_rooms_keep_their_own_references(tmp_path: Path) -> None:
    for side in ("low", "high"):
        (tmp_path / "LOLv1/our485" / side).mkdir(parents=True)
    for name in SCENES[:2]:
        for side, view in zip(("low", "high"), pair(name, (48, 72)), strict=True):
            (tmp_path / "LOLv1/our485" / side / f"{name}.png").write_bytes(encoded(view))
    out = tmp_path / "out"
    out.mkdir()
    assert answers.rooms(tmp_path / "LOLv1", [doubling("one"), doubling("two")], out) == 4
    for row in read(out):
        low, answer = read_picture(Path(row["low"])), read_picture(out / row["answer"])
        assert answer.mean() > 1.3 * low.mean()
        assert Path(row["high"]).is_absolute()
    samples = find_samples("answers", out, "train")
    assert {scene for sample in samples for scene in sample.shows if scene.startswith("LOLv1/")} == {
        f"LOLv1/{sample.scene}" for sample in samples
    }


def test_a_model_of_maps_answers_without_emphasis_of_detail(map_models: Path) -> None:
    (plain,) = answers._opened(["lively"], map_models / "models")
    served = open_model("lively", map_models / "models")
    assert (plain.name, plain.options["detail_gain"]) == ("lively", 1)
    view = scene("coffee", (168, 256))
    maps = []
    for model in (plain, served):
        assert model.maps is not None
        shown = {
            "proxy": view[None].astype(np.float32) / 255,
            "evidence": np.zeros((1, 168, 256, 3), np.float32),
            "exposure": np.zeros((1, 1), np.float32),
        }
        maps.append(model.maps(shown))
    np.testing.assert_allclose(maps[0][..., :15], maps[1][..., :15], atol=1e-3)
    assert np.abs(maps[0][..., 15] - 1).max() < 1e-5


def test_a_missing_model_ends_the_command_with_its_name(
    map_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rooms", str(tmp_path), "--out", str(tmp_path / "out"), "--models", "nobody"]
    monkeypatch.setattr(sys, "argv", ["answers", *words, "--repository", str(map_models / "models")])
    with pytest.raises(SystemExit) as ended:
        answers.main()
    assert ended.value.code == 2
    assert "nobody" in capsys.readouterr().err
