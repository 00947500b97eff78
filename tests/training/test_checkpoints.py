"""From a checkpoint to a network, and weights in a file of their own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from training import networks
from training.checkpoints import build_network, load_checkpoint, weights_file

ODD = {
    "rounded": torch.tensor([1.5, -0.0, 0.0, 2.0**-24, -65504.0, float("inf")]),
    "fine": torch.tensor([0.1, -0.0, 1e-39, 3e38]),
    "nan": torch.tensor([float("nan"), 1.0]),
    "count": torch.tensor(7),
    "turned": torch.arange(6.0).reshape(2, 3).T,
}
"""Tensors that half precision holds exactly, and some that it does not."""


def test_weights_below_the_normal_range_are_nothing() -> None:
    state = networks.create("zero_dce_improved").state_dict()
    weight = state["e_conv1.weight"]
    weight[0, 0, 0] = torch.tensor([1e-39, -1e-41, 2e-38])
    expected = weight.clone()
    expected[0, 0, 0, :2] = 0
    built = build_network({"network": "zero_dce_improved", "options": {}, "state_dict": state})
    assert torch.equal(built.state_dict()["e_conv1.weight"], expected)
    assert (built.state_dict()["e_conv1.weight"][0, 0, 0] == 0).tolist() == [True, True, False]


def test_a_zero_keeps_its_sign() -> None:
    state = networks.create("zero_dce_improved").state_dict()
    state["e_conv1.weight"][0, 0, 0] = torch.tensor([-0.0, 0.0, -1e-39])
    built = build_network({"network": "zero_dce_improved", "options": {}, "state_dict": state})
    assert built.state_dict()["e_conv1.weight"][0, 0, 0].signbit().tolist() == [True, False, False]


def kept(folder: Path, state: dict[str, Tensor]) -> Path:
    """Weights in a file of their own, with the manifest that belongs to them."""
    content = weights_file("drbn", {"stages": 2}, state)
    record = {"weights": {"sha256": hashlib.sha256(content).hexdigest()}, "training": {"seed": 3}}
    (folder / "manifest.json").write_text(json.dumps(record))
    (folder / "weights.safetensors").write_bytes(content)
    return folder / "weights.safetensors"


def test_weights_come_back_to_the_last_bit(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(kept(tmp_path, ODD))
    restored = checkpoint.pop("state_dict")
    assert checkpoint == {"network": "drbn", "options": {"stages": 2}, "manifest": {"seed": 3}}
    assert restored.keys() == ODD.keys()
    for name, tensor in ODD.items():
        assert restored[name].dtype == tensor.dtype
        assert restored[name].shape == tensor.shape
        assert restored[name].contiguous().numpy().tobytes() == tensor.contiguous().numpy().tobytes(), name


def test_what_half_precision_holds_takes_half_of_the_room(tmp_path: Path) -> None:
    stored = safetensors.torch.load_file(kept(tmp_path, ODD))
    assert {name for name, tensor in stored.items() if tensor.dtype == torch.float16} == {"rounded", "turned"}
    assert [stored[name].dtype for name in ("fine", "nan", "count")] == [torch.float32, torch.float32, torch.int64]


def test_the_same_weights_give_the_same_file_in_any_process(tmp_path: Path) -> None:
    code = """
import sys, torch
from training.checkpoints import weights_file
state = {name: torch.arange(4.0) / 3 for name in {"a", "b", "c", "d", "e"}}
sys.stdout.buffer.write(weights_file("drbn", {"one": 1, "two": 2}, state))"""
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)]
    assert len(runs[0]) > 80
    assert len(set(runs)) == 1


def test_other_weights_than_the_manifest_tells_are_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, ODD)
    file.write_bytes(weights_file("drbn", {}, {"fine": ODD["fine"]}))
    with pytest.raises(ValueError, match=r"manifest\.json beside .*weights\.safetensors belongs to other weights"):
        load_checkpoint(file)
    file.with_name("manifest.json").write_text(json.dumps({"training": {}}))
    with pytest.raises(ValueError, match="belongs to other weights"):
        load_checkpoint(file)
