"""Seeded networks as training checkpoints, and what an export of one leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training import networks

TRAINING = {
    "command": "nightlift train zero_dce_improved --data /somewhere/on/disk/zero_dce_train --out runs/it",
    "recipe": {
        "title": "A test's",
        "data": {"image": {"layout": "folder"}},
        "precision": "32-true",
        "batch_size": 4,
    },
    "data": {
        "image": {
            "folder": "../elsewhere/zero_dce_train",
            "samples": 1897,
            "held_out": 105,
            "digest": "0123456789",
        }
    },
    "seed": 1143,
    "notes": ["no perceptual term: no VGG16 weights were given"],
    "git_revision": "0123456789abcdef",
    "device": "cpu",
    "processor": "a processor",
    "threads": 1,
    "steps": 4000,
    "steps_done": 4000,
    "seconds": 1200.0,
    "best": {"step": 3600, "score": 0.8583, "select": "loss"},
}


@dataclass(frozen=True)
class Exported:
    """A repository with one model in both formats, and what it was made from."""

    repository: Path
    checkpoint: Path
    name: str = "zero_dce_improved"

    @property
    def onnx(self) -> Path:
        return self.repository / self.name / "1" / "model.onnx"

    @property
    def weights(self) -> Path:
        return self.onnx.with_name("weights.safetensors")

    @property
    def torchscript(self) -> Path:
        return self.repository / f"{self.name}_torchscript" / "1" / "model.pt"


def seeded(network: nn.Module, gain: float = 1.0) -> nn.Module:
    """The network in `eval` mode with the same weights on every machine, large enough to change a picture."""
    torch.manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5)
            module.weight.data *= gain
    return network.eval()


def save_checkpoint(path: Path, name: str = "zero_dce_improved", **options: object) -> Path:
    """A training checkpoint of a seeded network, as training writes it."""
    network = seeded(networks.create(name, **options), gain=2.0)
    torch.save({"network": name, "options": options, "state_dict": network.state_dict(), "manifest": TRAINING}, path)
    return path
