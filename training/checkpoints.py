"""Training checkpoints as export reads them: a network's weights and how they came about.

{"network": name, "options": {...}, "state_dict": {...}, "manifest": {...}}
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training import networks


def save_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint so that the file is either the old one or the whole new one."""
    unfinished = path.with_name(path.name + ".part")
    torch.save(checkpoint, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no training checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"network", "options", "state_dict"} <= content.keys():
        raise ValueError(f"{path.name} is no training checkpoint; published weights need `load_official`")
    return content


def build_network(checkpoint: dict[str, Any]) -> nn.Module:
    """The checkpoint's network with its weights, ready to run (`eval`).

    Raises:
        ValueError: the network is unknown, or the weights do not fit it.
    """
    network = networks.create(checkpoint["network"], **checkpoint["options"])
    try:
        network.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"the checkpoint does not fit {checkpoint['network']}: {error}") from error
    return network.eval()
