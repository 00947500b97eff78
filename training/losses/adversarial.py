"""Least-squares adversarial losses.

Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017. Scores are a discriminator's output of any
shape; 1 means real.
"""

from __future__ import annotations

import torch
from torch import Tensor


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The discriminator's loss: real pictures should score 1, generated ones 0."""
    return (real_scores - 1).square().mean() + fake_scores.square().mean()


def noisy_discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """The same with soft labels, drawn for each picture: U[0.7, 1.2] for real ones, U[0, 0.3] for made ones (DRBN).

    Args:
        real_scores: [N] or [N, ...].
        fake_scores: [M] or [M, ...].
    """
    real = (real_scores - _uniform_per_picture(real_scores, 0.7, 1.2)).square().mean()
    fake = (fake_scores - _uniform_per_picture(fake_scores, 0.0, 0.3)).square().mean()
    return real + fake


def generator_loss(fake_scores: Tensor) -> Tensor:
    """The generator's loss: generated pictures should score 1."""
    return (fake_scores - 1).square().mean()


def _uniform_per_picture(scores: Tensor, low: float, high: float) -> Tensor:
    shape = (scores.shape[0],) + (1,) * (scores.dim() - 1)
    return low + (high - low) * torch.rand(shape, device=scores.device)
