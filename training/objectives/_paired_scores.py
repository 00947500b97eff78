"""Scores of results against their references, to choose checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.ssim import ssim


@torch.no_grad()
def paired_scores(enhanced: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """Mean PSNR in dB (over pictures) and mean SSIM of clamped results.

    Args:
        enhanced: [N, 3, H, W], sides of at least 11; clamped to [0, 1] here.
        reference: same shape, in [0, 1].
    """
    result = enhanced.float().clamp(0, 1)
    error = (result - reference.float()).square().mean(dim=(1, 2, 3))
    psnr = -10 * torch.log10(error.clamp(min=1e-10))
    return {"psnr": psnr.mean(), "ssim": ssim(result, reference, padded=False)}
