"""Distances to a reference, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract import BT601


def charbonnier(image: Tensor, reference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(d² + ε²) over all values; a scalar, about the absolute difference, smooth around zero.

    Charbonnier et al., "Two deterministic half-quadratic regularization algorithms", ICIP 1994.

    Args:
        image: float of any shape.
        reference: same shape.
        epsilon: where the square turns into the absolute value, in code values of [0, 1].
    """
    difference = image - reference
    return torch.sqrt(difference * difference + epsilon * epsilon).mean()


def match_brightness(image: Tensor, reference: Tensor) -> Tensor:
    """A picture [N, 3, H, W] scaled to its reference's mean luminance, by a factor that has no gradient.

    The factor is limited to between 1/3 and 3, for networks that are still untrained.
    """
    weights = torch.tensor(BT601, device=image.device)
    with torch.no_grad():
        ours, theirs = (picture.mean(dim=(2, 3)) @ weights for picture in (image, reference))
        factor = (theirs / ours.clamp(min=1e-3)).clamp(1 / 3, 3.0)
    return image * factor.reshape(-1, 1, 1, 1)


def gaussian_divergence(target: Tensor, image: Tensor) -> Tensor:
    """KL(target ‖ image) of the Gaussians that have the mean and variance of each channel, summed over channels.

    Args:
        target: float [N, C, H, W]; its moments are taken over N, H and W and are constants.
        image: float [M, C, h, w], which is drawn to `target`.
    """
    mean, variance = _moments(target.detach())
    image_mean, image_variance = _moments(image)
    offset = image_mean - mean
    ratio = variance / image_variance
    return 0.5 * (ratio + offset * offset / image_variance - 1 - ratio.log()).sum()


def blurred(image: Tensor, factor: int) -> Tensor:
    """The picture without detail: box averages over `factor`×`factor` pixels, with sides rounded up."""
    return F.avg_pool2d(image, factor, ceil_mode=True)


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel; the variance kept off zero."""
    variance, mean = torch.var_mean(image.float(), dim=(0, 2, 3), correction=0)
    return mean, variance + 1e-6
