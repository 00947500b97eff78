"""Structural similarity as a differentiable score.

Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004: local means,
variances and covariance under an 11×11 Gaussian window of σ 1.5, with C1 = 0.01² and C2 = 0.03² for values in [0, 1].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from training.networks import Separable

WINDOW = 11
MARGIN = WINDOW // 2
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2

AT_ONCE = 1 << 17
"""Values of a picture that a CPU compares at a time, so that they and all intermediate results stay in its cache."""


def ssim(image: Tensor, reference: Tensor, *, padded: bool = True) -> Tensor:
    """Mean structural similarity over pictures, channels and pixels; a scalar, 1 for equal pictures.

    Computed in float32 whatever the precision around it: variances are small differences of large numbers.

    Args:
        image: [N, C, H, W], about [0, 1].
        reference: same shape; gets no gradient.
        padded: include windows that extend beyond the border, into zeros, as DRBN's training does. Otherwise only
            whole windows count, as in most evaluation code; sides must then be at least 11.

    Raises:
        ValueError: shapes differ, a side is under 11 without padding, or a gradient of the reference is wanted.
    """
    if image.shape != reference.shape:
        raise ValueError(f"pictures to compare have shapes {tuple(image.shape)} and {tuple(reference.shape)}")
    if not padded and min(image.shape[2:]) < WINDOW:
        raise ValueError(f"sides must be at least {WINDOW} without padding, not {tuple(image.shape[2:])}")
    if reference.requires_grad:
        raise ValueError("there is no gradient for the reference; exchange the two, or detach it")
    with torch.autocast(image.device.type, enabled=False):
        score: Tensor = _Similarity.apply(image.float(), reference.float(), padded)
        return score


class _Similarity(torch.autograd.Function):
    """The score together with its gradient, which needs three more blurs than the score's five."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, reference: Tensor, padded: bool) -> Tensor:
        wants_gradient = ctx.needs_input_grad[0]
        at_once = max(1, AT_ONCE // image[0].numel()) if image.device.type == "cpu" else len(image)
        parts = list(zip(image.split(at_once), reference.split(at_once), strict=True))
        scores, gradients = zip(*(_score(x, y, padded, wants_gradient) for x, y in parts), strict=True)
        count = image.numel() if padded else image[..., MARGIN:-MARGIN, MARGIN:-MARGIN].numel()
        if wants_gradient:
            ctx.save_for_backward(torch.cat(gradients) / count)
        return torch.stack(scores).sum() / count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0], None, None


def _score(x: Tensor, y: Tensor, padded: bool, wants_gradient: bool) -> tuple[Tensor, Tensor]:
    """The sum of the similarities of all windows, and its gradient by `x`, or nothing."""
    x, y = x.contiguous(), y.contiguous()
    blur = _blur(x.shape[-2], x.shape[-1], padded, x.device)
    mean_x, mean_y, square_x, square_y, product = blur(torch.stack([x, y, x * x, y * y, x * y]))
    means = mean_x * mean_x + mean_y * mean_y
    mixed = mean_x * mean_y
    a, b = 2 * mixed + C1, 2 * (product - mixed) + C2
    c, d = means + C1, square_x + square_y - means + C2
    luminance, structure = a / c, b / d
    score = luminance * structure
    if not wants_gradient:
        return score.sum(), score
    # Derivatives by the blurred x, x² and xy.
    by_variance = -score / d
    by_covariance = 2 * luminance / d
    by_mean = (2 * structure / c - by_covariance) * mean_y - 2 * (score / c + by_variance) * mean_x
    of_mean, of_square, of_product = blur.transposed(torch.stack([by_mean, by_variance, by_covariance]))
    return score.sum(), of_mean + 2 * x * of_square + y * of_product


@lru_cache(maxsize=16)
def _blur(height: int, width: int, padded: bool, device: torch.device) -> Separable:
    """The Gaussian window over pictures [..., height, width]; the result is smaller unless padded."""
    return Separable.of(_window(height, padded, device), _window(width, padded, device))


def _window(side: int, padded: bool, device: torch.device) -> Tensor:
    """float32 [side or side - 10, side]: each row has the window's weights around its own position."""
    margin = 0 if padded else MARGIN
    positions = torch.arange(side, dtype=torch.float32, device=device)
    offsets = positions - positions[margin : side - margin].unsqueeze(1)
    weights = torch.exp(-offsets * offsets / (2 * SIGMA * SIGMA)) * (offsets.abs() <= MARGIN)
    reach = torch.arange(WINDOW, dtype=torch.float32, device=device) - MARGIN
    return weights / torch.exp(-reach * reach / (2 * SIGMA * SIGMA)).sum()
