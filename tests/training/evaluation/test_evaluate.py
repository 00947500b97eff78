"""Whole evaluations: on made pairs, and against figures published for LOL."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import pictures
from tests.both_formats import SHIPPED
from training import evaluate, networks
from training.checkpoints import save_checkpoint
from training.evaluation import PLAIN, TARGET_MEAN
from training.evaluation._cost import multiply_accumulates


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs; the first one's picture is its own reference."""
    root = tmp_path_factory.mktemp("pairs")
    for side in ("low", "high"):
        (root / side).mkdir()
    for number, name in enumerate(("astronaut", "coffee", "rocket")):
        dark, bright = pictures.pair(name, (192, 288))
        (root / "low" / f"{number}.png").write_bytes(pictures.encoded(dark if number else bright))
        (root / "high" / f"{number}.png").write_bytes(pictures.encoded(bright))
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zero-DCE-improved whose curves are a constant -0.5: every iteration brightens by the same tone curve."""
    network = networks.create("zero_dce_improved")
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(network.e_conv7.bias, float(np.arctanh(-0.5)))
    file = tmp_path_factory.mktemp("checkpoint") / "tone.pt"
    save_checkpoint(
        file, {"network": "zero_dce_improved", "options": {}, "state_dict": network.state_dict(), "manifest": {}}
    )
    return file


def _tone(values: np.ndarray) -> np.ndarray:
    for _ in range(8):
        values = values - 0.5 * (values * values - values)
    return values


def test_scores_are_means_of_what_the_model_gives(pairs: Path, checkpoint: Path, tmp_path: Path) -> None:
    found = evaluate(checkpoint, pairs, layout="pairs", output_gamma=False, out=tmp_path, with_niqe=True, threads=1)
    whole = next(row for row in found.rows if (row.name, row.detail) == ("tone", "whole"))
    expected = []
    for number, name in enumerate(("astronaut", "coffee", "rocket")):
        dark, bright = pictures.pair(name, (192, 288))
        result = np.round(255 * _tone((dark if number else bright) / 255)) / 255
        expected.append(-10 * np.log10(np.mean((result - bright / 255) ** 2)))
    assert whole.psnr == pytest.approx(np.mean(expected), abs=0.01)
    # A tone curve is what a guided pass can carry almost exactly.
    guided = next(row for row in found.rows if (row.name, row.detail) == ("tone", "guided"))
    assert guided.psnr == pytest.approx(whole.psnr, abs=0.5)

    assert [row.name for row in found.rows[:4]] == ["input", *PLAIN]
    facts = found.models[0]
    assert (facts.parameters, facts.bytes) == (23_592, checkpoint.stat().st_size)
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["rows"][4]["psnr"] == whole.psnr
    assert "GT-mean" in written["conventions"]
    table = (tmp_path / "evaluation.md").read_text()
    assert f"| tone | whole | {whole.psnr:.2f} |" in table
    assert "23,592" in table


def test_the_served_gamma_darkens(pairs: Path, checkpoint: Path) -> None:
    plain, served = (
        evaluate(checkpoint, pairs, layout="pairs", details=["whole"], plain=False, output_gamma=gamma).rows[0]
        for gamma in (False, True)
    )
    assert served.brightness < plain.brightness


def test_pictures_without_references(pairs: Path, checkpoint: Path) -> None:
    found = evaluate(checkpoint, pairs / "low", layout="folder", details=["whole"], limit=2)
    assert found.data["pictures"] == 2
    row = found.rows[-1]
    assert row.psnr is None
    assert row.brightness > found.rows[0].brightness
    assert "PSNR" not in found.to_markdown().splitlines()[0]


def test_kept_weights_score_as_the_model_that_is_made_of_them(pairs: Path, tmp_path: Path) -> None:
    """By the model's name, for every such file has the same."""
    options = {"layout": "pairs", "threads": 1, "plain": False, "details": ["whole"]}
    kept = SHIPPED / "zero_dce_improved/1/weights.safetensors"
    from_weights, from_onnx = (
        evaluate(model, pairs, repository=SHIPPED, **options) for model in (kept, "zero_dce_improved")
    )
    assert [row.name for row in from_weights.rows] == ["zero_dce_improved"]
    assert from_weights.rows[0].psnr == pytest.approx(from_onnx.rows[0].psnr, abs=0.01)
    assert from_weights.models[0].parameters == 23_592

    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / kept.name).write_bytes(kept.read_bytes())
    with pytest.raises(ValueError, match="belongs to other weights"):
        evaluate(tmp_path / kept.name, pairs, **options)


def test_mistakes_are_told(pairs: Path, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint nope"):
        evaluate("nope", pairs, layout="pairs", repository=tmp_path)
    with pytest.raises(ValueError, match="whole or guided, not tiles"):
        evaluate(checkpoint, pairs, layout="pairs", details=["tiles"])


@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_methods_reach_the_target_and_survive_extremes(name: str) -> None:
    method = PLAIN[name]
    result = method(pictures.scene("coffee"))
    assert result.mean() / 255 == pytest.approx(TARGET_MEAN, abs=0.06)
    for extreme in (0, 1, 255):
        assert method(pictures.constant(extreme)).dtype == np.uint8


@pytest.mark.parametrize(("name", "millions"), [("zero_dce", 19_010), ("zero_dce_improved", 5_630)])
def test_multiply_accumulates_are_the_known_ones(name: str, millions: int) -> None:
    assert multiply_accumulates(name, {}, 400, 600) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_known_scores_on_lol(shared: Path) -> None:
    """PSNR, SSIM and PSNR with GT-mean of eval15: the plain rows, and published weights before their gamma."""
    data = shared / "data" / "LOLv1"
    weights = shared / "golden" / "weights" / "zerodce_improved_pre-train.pth"
    rows = {row.name: row for row in evaluate(weights, data, details=["whole"], output_gamma=False).rows}
    expected = {
        "input": (7.77, 0.195, 18.79),
        "constant gain": (15.59, 0.446, 18.85),
        "global gamma": (16.31, 0.635, 20.06),
        "stretch and gamma": (17.12, 0.513, 20.83),
        weights.stem: (15.61, 0.564, 20.53),
    }
    for name, (signal, structure, matched) in expected.items():
        assert rows[name].psnr == pytest.approx(signal, abs=0.01)
        assert rows[name].ssim == pytest.approx(structure, abs=0.001)
        assert rows[name].psnr_gt_mean == pytest.approx(matched, abs=0.01)
