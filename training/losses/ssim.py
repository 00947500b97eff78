"""Structural similarity as a differentiable score.

Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004: local means,
variances and covariance under an 11×11 Gaussian window of σ 1.5, with C1 = 0.01² and C2 = 0.03² for values in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim(image: Tensor, reference: Tensor, *, padded: bool = True) -> Tensor:
    """Mean structural similarity over pictures, channels and pixels; a scalar, 1 for equal pictures.

    Computed in float32 whatever the precision around it: variances are small differences of large numbers.

    Args:
        image: [N, C, H, W], about [0, 1].
        reference: same shape.
        padded: include windows that reach over the border into zeros, as DRBN's training does. Otherwise only whole
            windows count, as in most evaluation code; sides must then be at least 11.

    Raises:
        ValueError: shapes differ, or a side is under 11 without padding.
    """
    if image.shape != reference.shape:
        raise ValueError(f"pictures to compare have shapes {tuple(image.shape)} and {tuple(reference.shape)}")
    if not padded and min(image.shape[2:]) < WINDOW:
        raise ValueError(f"sides must be at least {WINDOW} without padding, not {tuple(image.shape[2:])}")
    with torch.autocast(image.device.type, enabled=False):
        x, y = image.float(), reference.float()
        moments = _blur(torch.cat([x, y, x * x, y * y, x * y]), padded).chunk(5)
        mean_x, mean_y, square_x, square_y, product = moments
        variances = square_x - mean_x * mean_x + square_y - mean_y * mean_y
        covariance = product - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
        structure = (2 * covariance + C2) / (variances + C2)
        return (luminance * structure).mean()


def _blur(planes: Tensor, padded: bool) -> Tensor:
    """Gaussian window over each channel, as two one-dimensional passes."""
    offsets = torch.arange(WINDOW, dtype=torch.float32, device=planes.device) - WINDOW // 2
    weights = torch.exp(-offsets * offsets / (2 * SIGMA * SIGMA))
    weights = weights / weights.sum()
    border = WINDOW // 2 if padded else 0
    single = planes.flatten(0, 1).unsqueeze(1)
    single = F.conv2d(single, weights.reshape(1, 1, -1, 1), padding=(border, 0))
    single = F.conv2d(single, weights.reshape(1, 1, 1, -1), padding=(0, border))
    return single.reshape(*planes.shape[:2], *single.shape[2:])
