"""Losses on the features of VGG16: perceptual distance and style.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016. The weights are a
file that the user provides (torchvision's `vgg16-397923af.pth`, or any state dict with its `features.*`); without
one, objectives leave these terms out and report that. Pictures are used as they are, in [0, 1], without ImageNet's
normalization, as in ExdNet and DRBN.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

PLAN: tuple[int | str, ...] = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool")
"""VGG16 up to its third pooling: channels of 3×3 convolutions, each followed by ReLU."""

LAYERS = {
    "relu1_1": 1,
    "relu1_2": 3,
    "pool1": 4,
    "relu2_1": 6,
    "relu2_2": 8,
    "pool2": 9,
    "relu3_3": 15,
    "pool3": 16,
}
"""Places to read features, as indices of VGG16's `features`."""


class Vgg16(nn.Module):
    """The first ten layers of VGG16, frozen.

    Args:
        weights: state dict file with `features.0.weight` to `features.14.bias`; further entries are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a VGG16 state dict.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for entry in PLAN:
            if isinstance(entry, int):
                layers += [nn.Conv2d(channels, entry, 3, padding=1), nn.ReLU()]
                channels = entry
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.features.load_state_dict(_read_features(weights, set(self.features.state_dict())))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Vgg16:
        """Stay in evaluation mode: this network only measures."""
        return super().train(False)

    def forward(self, image: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Features of [N, 3, H, W] in [0, 1] at the named places of `LAYERS`."""
        wanted = {LAYERS[name]: name for name in names}
        found: dict[str, Tensor] = {}
        for index, layer in enumerate(self.features.children()):
            image = layer(image)
            if index in wanted:
                found[wanted[index]] = image
            if len(found) == len(wanted):
                break
        return found


def perceptual_distance(
    image: Mapping[str, Tensor], reference: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Weighted sum over layers of the mean squared difference of features; a scalar."""
    distances = [weight * (image[name] - reference[name]).square().mean() for name, weight in weights.items()]
    return torch.stack(distances).sum()


def style_distance(image: Mapping[str, Tensor], reference: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Sum over layers of the mean absolute difference of Gram matrices (Gatys et al., CVPR 2016); a scalar."""
    distances = [(_gram(image[name]) - _gram(reference[name])).abs().mean() for name in names]
    return torch.stack(distances).sum()


def _gram(features: Tensor) -> Tensor:
    """Channel correlations [N, C, C] of [N, C, H, W], divided by C·H·W."""
    flat = features.flatten(2)
    return torch.matmul(flat, flat.transpose(1, 2)) / (features.shape[1] * flat.shape[2])


def _read_features(file: Path, names: set[str]) -> dict[str, Tensor]:
    if not file.is_file():
        raise FileNotFoundError(f"there is no VGG16 weights file {file}")
    content = torch.load(file, map_location="cpu", weights_only=True)
    missing = sorted(name for name in names if f"features.{name}" not in content)
    if missing:
        raise ValueError(f"{file.name} is not a VGG16 state dict: features.{missing[0]} is missing")
    return {name: content[f"features.{name}"] for name in names}
