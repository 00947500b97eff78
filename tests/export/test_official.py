"""Published checkpoints, exported into a temporary folder, against what their authors' code computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export import import_official
from export._parity import onnx_runner, torchscript_runner
from service.repository import ModelRepository

CASES = {
    "zero_dce": ("zerodce_Epoch99.pth", "zerodce", "output"),
    "zero_dce_improved": ("zerodce_improved_pre-train.pth", "zerodce_improved", "output_u8_gamma1.15"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_exported_files_match_the_golden_outputs(shared: Path, tmp_path: Path, name: str) -> None:
    weights, golden, field = CASES[name]
    import_official(shared / "golden" / "weights" / weights, tmp_path, full_size=False)

    config = ModelRepository(tmp_path).config(f"{name}_official")
    assert config.traits.family == name
    assert "weights of the authors" in config.licence
    assert "Do not redistribute" in (tmp_path / f"{name}_official" / "NOTICE").read_text()

    runs = (
        onnx_runner((tmp_path / f"{name}_official" / "1" / "model.onnx").read_bytes()),
        torchscript_runner((tmp_path / f"{name}_official_torchscript" / "1" / "model.pt").read_bytes()),
    )
    for crop in ("crop96x128", "crop101x75"):
        stored = np.load(shared / "golden" / f"{golden}_{crop}.npz")
        picture = np.round(255 * stored["input"]).astype(np.uint8).transpose(0, 2, 3, 1)
        expected = stored[field].astype(np.float64)
        if expected.max() <= 1.0:
            expected = 255 * expected.transpose(0, 2, 3, 1)
        for run in runs:
            assert np.abs(run(picture)[0] - expected.reshape(picture.shape[1:])).max() <= 1


def test_weights_that_are_nobodys_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: keys and shapes are not the published weights"):
        import_official(tmp_path / "other.pth", tmp_path / "models")
