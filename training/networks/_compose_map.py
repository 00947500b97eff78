"""Composes the colour map of Nightlift's network from what its last layers predict."""

from __future__ import annotations

import torch
from torch import Tensor

from training.networks._affine import local_mean


def compose_map(
    terms: Tensor,
    light: Tensor,
    luminance: Tensor,
    smoothing: float,
    detail_gain: float,
    largest_log_gain: float = 4.0,
    largest_offset: float = 0.25,
    largest_contrast: float = 1.25,
) -> Tensor:
    """The map [N, 16, h, w] for `apply_map`. The limits are arguments, since scripts cannot read module constants.

    Args:
        terms: float [N, 8, h, w]: three gains, three offsets, contrast, pooling.
        light: float [N, 3, 1, 1], the whole picture's log gains.
        luminance: float [1, 3, 1, 1], the channels' weights.
        smoothing: exponent of contrast, 0 to 1.
        detail_gain: largest factor of texture where there is no noise, 1 to 3; 0: off.
        largest_log_gain, largest_offset, largest_contrast: limits of the gains' logarithms, offsets and contrast.
    """
    # One split: separate slices would each have a gradient as large as the whole.
    log_gains, offsets, contrasts, poolings = terms.split([3, 3, 1, 1], dim=1)
    gain = torch.exp(largest_log_gain * torch.tanh(10.0 * (log_gains + light) / largest_log_gain))
    offset = largest_offset * torch.tanh(offsets)
    contrast = largest_contrast * torch.sigmoid(contrasts + 1.4)  # 1 at the start of training
    if smoothing == 0.5:
        contrast = contrast.sqrt()  # faster than a power in ONNX Runtime
    elif smoothing != 1.0:
        contrast = contrast**smoothing
    slope = contrast * gain
    pooling = torch.sigmoid(poolings - 1.0)
    shared = pooling * luminance * slope
    own = (1.0 - pooling) * slope
    rows = [gain, offset]
    for channel in range(3):
        for colour in range(3):
            part = shared[:, colour : colour + 1]
            rows.append(part + own[:, colour : colour + 1] if colour == channel else part)
    mean_gain = gain.mean(dim=1, keepdim=True)
    rows.append(mean_gain.clamp(1.0, detail_gain) if detail_gain != 0.0 else torch.zeros_like(mean_gain))
    return local_mean(torch.cat(rows, dim=1), 1)
