"""Training checkpoints as export reads them: a network's weights and the record of their training.

{"network": name, "options": {...}, "state_dict": {...}, "manifest": {...}}

An exported model can replace a checkpoint, by its `weights.safetensors` or its TorchScript file: both hold the same
weights, and the `manifest.json` beside them has the record of their training.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from training import networks

WEIGHTS = "weights.safetensors"
"""Name of the file with an exported model's weights."""

# One entry, in JSON: safetensors writes several in an order that changes from call to call.
METADATA = "nightlift"


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint so that the file is either the old one or the whole new one."""
    unfinished = path.with_name(path.name + ".part")
    torch.save(checkpoint, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint on the CPU, or its equivalent from an exported model.

    Args:
        path: a file that training wrote, or the `weights.safetensors` or `model.pt` of an exported model.

    Raises:
        FileNotFoundError: there is no such file, or it is an exported model's without the `manifest.json` beside it.
        ValueError: the file is not a training checkpoint, or its weights are not those of its manifest.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        return _from_weights(path)
    if _is_torchscript(path):
        return _from_torchscript(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"network", "options", "state_dict"} <= content.keys():
        raise ValueError(f"{path.name} is not a training checkpoint; published weights need `load_official`")
    return content


def weights_file(network: str, options: Mapping[str, Any], state: Mapping[str, Tensor]) -> bytes:
    """The content of a `weights.safetensors`; the same weights give the same bytes.

    float32 tensors that half precision represents exactly, such as the rounded ones of large networks, are stored as
    float16. `load_checkpoint` returns all of them as float32, bit for bit.

    Args:
        network: its name in `networks`.
        options: of the network; values that JSON can hold.
        state: its state dict.
    """
    about = json.dumps({"network": network, "options": dict(options)}, sort_keys=True)
    return safetensors.torch.save(
        {name: _in_half_if_exact(tensor).contiguous() for name, tensor in state.items()}, {METADATA: about}
    )


def load_torchscript(content: bytes) -> torch.jit.ScriptModule:
    """A TorchScript archive on the CPU, ready to run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
        return torch.jit.load(io.BytesIO(content), map_location="cpu").eval()


def build_network(checkpoint: dict[str, Any]) -> nn.Module:
    """The checkpoint's network with its weights, ready to run (`eval`).

    Weights below float32's normal range are set to 0. They have no effect but are slow: with Zero-DCE's published
    weights, a quarter of which are subnormal, torch took 28 times as long.

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
            below_normal = (weight.abs() < torch.finfo(weight.dtype).tiny) & (weight != 0)  # -0.0 stays what it is
            weight[below_normal] = 0
    return network.eval()


def _in_half_if_exact(tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor) else tensor


def _from_weights(path: Path) -> dict[str, Any]:
    content, record = path.read_bytes(), _manifest_beside(path)
    stated = record.get("weights", {}).get("sha256")
    if stated != hashlib.sha256(content).hexdigest():
        raise ValueError(f"the manifest.json beside {path} belongs to other weights")
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()[METADATA])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    state = {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in state.items()}
    return {**about, "state_dict": state, "manifest": record["training"]}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _from_torchscript(path: Path) -> dict[str, Any]:
    record = _manifest_beside(path)
    name, options = record["family"], record["network"]["options"]
    inside = "network."
    state = load_torchscript(path.read_bytes()).state_dict()
    weights = {key.removeprefix(inside): value for key, value in state.items() if key.startswith(inside)}
    network = networks.create(name, **options)
    # Scripting turns every buffer into a lasting one: those that the network makes for itself are not expected.
    if missing := network.load_state_dict(weights, strict=False).missing_keys:
        raise ValueError(f"{path.name} lacks weights of {name}: {', '.join(missing)}")
    return {"network": name, "options": options, "state_dict": network.state_dict(), "manifest": record["training"]}


def _manifest_beside(path: Path) -> dict[str, Any]:
    manifest = path.with_name("manifest.json")
    if not manifest.is_file():
        raise FileNotFoundError(f"{path.name} is from an exported model, but its {manifest} is missing")
    record: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return record
