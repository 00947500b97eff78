"""Zero-DCE: a small network predicts per-pixel brightening curves, learnt without any reference picture.

Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020.
Seven 3x3 convolutions of constant width with symmetric skips; 79,416 parameters; receptive field 15x15.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.networks._curves import apply_curves, initialise, register_published_trunk
from training.networks._registry import NetworkSpec, register

SPEC = NetworkSpec(
    name="zero_dce",
    title="Zero-DCE",
    paper="Guo et al., Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement, CVPR 2020",
    recipe="zero_dce",
    spatial_scope="local",
    halo=7,
    multiple=1,
    smallest_side=1,
    working_side=256,
)

FEATURES = 32
ITERATIONS = 8


@register(SPEC)
class ZeroDCE(nn.Module):
    """The published network; parameter names are the published checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        self.e_conv1 = nn.Conv2d(3, FEATURES, 3, padding=1)
        self.e_conv2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.e_conv3 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.e_conv4 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.e_conv5 = nn.Conv2d(2 * FEATURES, FEATURES, 3, padding=1)
        self.e_conv6 = nn.Conv2d(2 * FEATURES, FEATURES, 3, padding=1)
        self.e_conv7 = nn.Conv2d(2 * FEATURES, 3 * ITERATIONS, 3, padding=1)
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        """float [N, 3, H, W] in [0, 1] -> the brightened picture, same shape and range."""
        return apply_curves(image, self.curves(image))

    def curves(self, image: Tensor) -> Tensor:
        """The curve maps: float [N, 3, H, W] in [0, 1] -> [N, 24, H, W] in [-1, 1], three an iteration."""
        x1 = torch.relu(self.e_conv1(image))
        x2 = torch.relu(self.e_conv2(x1))
        x3 = torch.relu(self.e_conv3(x2))
        x4 = torch.relu(self.e_conv4(x3))
        x5 = torch.relu(self.e_conv5(torch.cat([x3, x4], dim=1)))
        x6 = torch.relu(self.e_conv6(torch.cat([x2, x5], dim=1)))
        return torch.tanh(self.e_conv7(torch.cat([x1, x6], dim=1)))


register_published_trunk(SPEC.name, FEATURES)
