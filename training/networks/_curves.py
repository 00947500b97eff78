"""Shared by Zero-DCE and its variants: the light-enhancement curve, and the network that predicts it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.networks._official import OfficialLayout, StateDict, register_official

ITERATIONS = 8
"""Curves applied one after another."""

DEVIATION = 0.02
"""Standard deviation of the normal distribution from which the published code draws initial weights."""


def apply_curves(image: Tensor, curves: Tensor) -> Tensor:
    """Brighten by one quadratic curve after another: `y <- y + r (y^2 - y)` (Zero-DCE, equation 2).

    Args:
        image: float [N, 3, H, W] in [0, 1].
        curves: float [N, 3n, H, W] in [-1, 1]: for each of n iterations, one map a colour channel.

    Returns:
        float [N, 3, H, W]; in [0, 1] by construction.
    """
    for curve in curves.split(3, dim=1):
        image = image + curve * (image * image - image)
    return image


class CurveNetwork(nn.Module):
    """Seven 3x3 convolutions of constant width, skips between; parameters are named as in published checkpoints."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.e_conv1 = nn.Conv2d(3, features, 3, padding=1)
        self.e_conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv3 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv4 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv5 = nn.Conv2d(2 * features, features, 3, padding=1)
        self.e_conv6 = nn.Conv2d(2 * features, features, 3, padding=1)
        self.e_conv7 = nn.Conv2d(2 * features, 3 * ITERATIONS, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, DEVIATION)

    def forward(self, image: Tensor) -> Tensor:
        """float [N, 3, H, W] in [0, 1] -> the brightened picture before any gamma, same shape and range."""
        return apply_curves(image, self.curves(image))

    def curves(self, image: Tensor) -> Tensor:
        """The curve maps: float [N, 3, H, W] in [0, 1] -> [N, 24, H, W] in [-1, 1], three an iteration."""
        x1 = torch.relu(self.e_conv1(image))
        x2 = torch.relu(self.e_conv2(x1))
        x3 = torch.relu(self.e_conv3(x2))
        x4 = torch.relu(self.e_conv4(self.pooled(x3)))
        x5 = torch.relu(self.e_conv5(torch.cat([x3, x4], dim=1)))
        x6 = torch.relu(self.e_conv6(torch.cat([x2, x5], dim=1)))
        return torch.tanh(self.e_conv7(torch.cat([x1, x6], dim=1)))

    def pooled(self, features: Tensor) -> Tensor:
        """The fourth convolution's input, from the third's features; the skip connection has them unchanged."""
        return features


def register_published_trunk(network: str, features: int) -> None:
    """Recognise the published seven-convolution state dict of this width; its keys are ours already."""

    def matches(states: Sequence[StateDict]) -> bool:
        expected = {f"e_conv{layer}.{part}" for layer in range(1, 8) for part in ("weight", "bias")}
        return (
            len(states) == 1
            and set(states[0]) == expected
            and tuple(states[0]["e_conv1.weight"].shape) == (features, 3, 3, 3)
        )

    register_official(OfficialLayout(network, matches, lambda states: ({}, dict(states[0]))))
