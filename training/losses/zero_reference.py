"""The four losses for training a network to brighten pictures without references.

Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020, section 3.3, in
the form of the published code, which differs from the paper where a docstring says so.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def illumination_smoothness(curves: Tensor) -> Tensor:
    """How unevenly the curve maps change from pixel to pixel (total variation, squared).

    The published code also sums over channels but divides by the number of pixels only, so the value is the mean
    times the number of maps.

    Args:
        curves: float [N, C, H, W].

    Returns:
        scalar >= 0.
    """
    batch, _, height, width = curves.shape
    down = (curves[:, :, 1:, :] - curves[:, :, :-1, :]).square().sum()
    across = (curves[:, :, :, 1:] - curves[:, :, :, :-1]).square().sum()
    return 2 * (down / ((height - 1) * width) + across / (height * (width - 1))) / batch


def spatial_consistency(enhanced: Tensor, image: Tensor) -> Tensor:
    """How much the contrast between neighbouring regions of 4x4 pixels differs from the input's.

    Beyond the border the published code sees zeros.

    Args:
        enhanced: float [N, 3, H, W] in [0, 1].
        image: the input, same shape and range.

    Returns:
        scalar >= 0.
    """
    # Differences are linear: the difference of contrasts is the contrast of the difference.
    change = F.avg_pool2d((image - enhanced).mean(dim=1, keepdim=True), 4)
    centre = F.pad(change, (1, 1, 1, 1))
    left, right = centre[:, :, 1:-1, :-2], centre[:, :, 1:-1, 2:]
    above, below = centre[:, :, :-2, 1:-1], centre[:, :, 2:, 1:-1]
    neighbours = torch.stack([left, right, above, below])
    return (change - neighbours).square().sum(dim=0).mean()


def color_constancy(enhanced: Tensor, epsilon: float = 0.0) -> Tensor:
    """How far the channel means of a picture lie apart (grey-world assumption).

    The published code squares the squared differences once more under the root, unlike the paper's sum of squares.
    The root's gradient is infinite where all means are equal: `epsilon`, added under the root, prevents that; 0 is as
    published.

    Args:
        enhanced: float [N, 3, H, W] in [0, 1].
        epsilon: >= 0.

    Returns:
        scalar >= 0: the mean over the batch.
    """
    red, green, blue = enhanced.mean(dim=(2, 3)).unbind(dim=1)
    fourth_powers = (red - green) ** 4 + (red - blue) ** 4 + (green - blue) ** 4
    return (fourth_powers + epsilon).sqrt().mean()


def exposure_control(enhanced: Tensor, target: float = 0.6, patch: int = 16) -> Tensor:
    """How far the brightness of patches lies from a well-exposed level.

    Args:
        enhanced: float [N, 3, H, W] in [0, 1].
        target: the well-exposed level in [0, 1]; 0.6 as published.
        patch: side of a patch in pixels; 16 as published.

    Returns:
        scalar >= 0.
    """
    brightness = F.avg_pool2d(enhanced.mean(dim=1, keepdim=True), patch)
    return (brightness - target).square().mean()
