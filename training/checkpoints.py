"""Training checkpoints as export reads them: a network's weights and how they came about.

{"network": name, "options": {...}, "state_dict": {...}, "manifest": {...}}

A served TorchScript model can stand in for one: it holds the same weights, and the rest lies beside it.
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import networks


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint so that the file is either the old one or the whole new one."""
    unfinished = path.with_name(path.name + ".part")
    torch.save(checkpoint, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint, on the CPU; or what a model of ours in TorchScript was made of.

    Raises:
        FileNotFoundError: there is no such file, or a TorchScript model without its `manifest.json` beside it.
        ValueError: the file is no training checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if _is_torchscript(path):
        return _served(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"network", "options", "state_dict"} <= content.keys():
        raise ValueError(f"{path.name} is no training checkpoint; published weights need `load_official`")
    return content


def load_torchscript(content: bytes) -> torch.jit.ScriptModule:
    """A TorchScript archive on the CPU, ready to run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
        return torch.jit.load(io.BytesIO(content), map_location="cpu").eval()


def _weights(content: bytes) -> dict[str, Tensor]:
    """The state dict of the network inside a TorchScript archive that export wrote."""
    inside = "network."
    state = load_torchscript(content).state_dict()
    return {key.removeprefix(inside): value for key, value in state.items() if key.startswith(inside)}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _served(path: Path) -> dict[str, Any]:
    manifest = path.with_name("manifest.json")
    if not manifest.is_file():
        raise FileNotFoundError(f"{path.name} is a TorchScript model, of which {manifest} should say what it is")
    record = json.loads(manifest.read_text(encoding="utf-8"))
    name, options = record["family"], record["network"]["options"]
    # Scripting turns every buffer into a lasting one; those that the network makes for itself are left out.
    wanted = networks.create(name, **options).state_dict().keys()
    weights = {key: value for key, value in _weights(path.read_bytes()).items() if key in wanted}
    return {"network": name, "options": options, "state_dict": weights, "manifest": record["training"]}


def build_network(checkpoint: dict[str, Any]) -> nn.Module:
    """The checkpoint's network with its weights, ready to run (`eval`).

    Weights below float32's normal range are 0 in it. They tell nothing, and where processors compute with them torch
    took 28 times as long for Zero-DCE's published weights, a quarter of which they are.

    Raises:
        ValueError: the network is unknown, or the weights do not fit it.
    """
    network = networks.create(checkpoint["network"], **checkpoint["options"])
    try:
        network.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"the checkpoint does not fit {checkpoint['network']}: {error}") from error
    with torch.no_grad():
        for weight in network.parameters():
            weight[weight.abs() < torch.finfo(weight.dtype).tiny] = 0
    return network.eval()
