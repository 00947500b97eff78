"""Training with the renderer in the loop, and with the wanted brightness told.

As in `training.objectives.nightlift`, a map is made from the small picture and judged on the large one. How bright
the reference is, the network is told; and so that it follows any wish, the reference's exposure is changed at random.
Beside it, it learns to guess the brightness that a photographer would have chosen.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from training.losses.fidelity import match_brightness
from training.losses.ssim import ssim
from training.networks import STEP, shrink
from training.networks.nightlift_v2 import GAMMA, brightness, evidence
from training.objectives._base import Settings, register_objective
from training.objectives.nightlift import STRUCTURE_SIDE, NightliftTraining, Pair, hue_distance, same_part

WHITE = (0.92, 0.98)
"""Least channel of a pixel of the dark picture, up to which the reference decides, and from which white stays."""

BLACK = (0.02, 0.06)
"""Largest channel of a pixel of the dark picture, up to which it is nearly black, and from which it is not."""


class NightliftV2Settings(Settings):
    """Weights of the losses.

    Attributes:
        pairs: what is compared; the first is validated.
        l1: of the absolute difference.
        matched: of the absolute difference after the result is scaled to the reference's mean brightness.
        dissimilarity: of 1 - SSIM, after the same scaling.
        hue: of 1 - the cosine between colours, means over 8 x 8 pixels.
        guess: of the guess's error in stops.
        white: of what white loses, mean over white pixels.
        black: of the difference of colours less their mean, over pixels that are nearly black in the dark picture;
            night is to stay without colour.
        wishes: share of pairs whose reference gets another exposure.
        spread: standard deviation of this exposure in stops, within 2.
    """

    pairs: tuple[Pair, ...] = Field((Pair(low="low", high="high"),), min_length=1)
    l1: float = Field(1.0, ge=0)
    matched: float = Field(0.0, ge=0)
    dissimilarity: float = Field(0.3, ge=0)
    hue: float = Field(0.5, ge=0)
    guess: float = Field(0.03, ge=0)
    white: float = Field(1.0, ge=0)
    black: float = Field(1.0, ge=0)
    wishes: float = Field(0.5, ge=0, le=1)
    spread: float = Field(0.8, ge=0)


@register_objective("nightlift_v2", NightliftV2Settings)
class NightliftV2Training(NightliftTraining):
    """Trains a network whose `affine` takes a proxy, evidence and the wanted brightness."""

    settings: NightliftV2Settings  # type: ignore[assignment]

    def losses(self, low: Tensor, high: Tensor, scale: float) -> dict[str, Tensor]:
        """The terms of one pair, unweighted, and their weighted sum `loss`.

        Args:
            low: float [N, 3, H, W] in [0, 1].
            high: its reference, same shape and range.
            scale: sides of the proxy over those of the picture.
        """
        weights = self.settings.model_dump()
        # Maps lie in memory channel by channel: so should what they are applied to.
        low, high = low.contiguous(), high.contiguous()
        white = _ramp(low.amin(dim=1, keepdim=True), *WHITE)
        high = high + white * (torch.maximum(high, low) - high)
        chosen = brightness(high, self.network.luminance)
        wish = torch.randn(len(high), 1).clamp(-2, 2) * self.settings.spread
        wish = wish * (torch.rand(len(high), 1) < self.settings.wishes)
        high = exposed(high, wish[:, :, None, None])
        height, width = (max(2, round(side * scale / STEP)) * STEP for side in low.shape[2:])
        proxy, hidden = shrink(low, height, width), evidence(low, height, width)
        wanted = brightness(high, self.network.luminance)
        coefficients, guess = self.network.affine(proxy, hidden, wanted)
        enhanced = self.network.render(coefficients.float(), low)
        matched = match_brightness(enhanced, high)
        terms = {
            "l1": F.l1_loss(enhanced, high),
            "matched": F.l1_loss(matched, high),
            "dissimilarity": 1 - ssim(*same_part(matched, high, STRUCTURE_SIDE), padded=False),
            "hue": hue_distance(enhanced, high),
            "guess": F.smooth_l1_loss(guess, chosen),
            "white": _mean_where(white, (high - enhanced).clamp(min=0)),
            "black": _mean_where(
                1 - _ramp(low.amax(dim=1, keepdim=True), *BLACK), (_hue(enhanced) - _hue(high)).abs()
            ),
        }
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": loss, **terms}


def exposed(image: Tensor, stops: Tensor) -> Tensor:
    """Another exposure: light times 2^stops in the dark, while white stays white.

    Of light l comes k l / (1 + (k - 1) l), k = 2^stops: exposures one after the other add up.

    Args:
        image: float [N, 3, H, W], code values in [0, 1].
        stops: float, of a shape that broadcasts.
    """
    light = image.clamp(min=0) ** GAMMA
    factor = torch.exp2(stops)
    return (factor * light / (1 + (factor - 1) * light)).clamp(min=1e-12) ** (1 / GAMMA)


def _hue(image: Tensor) -> Tensor:
    return image - image.mean(dim=1, keepdim=True)


def _mean_where(weight: Tensor, values: Tensor) -> Tensor:
    """Mean of values [N, 3, H, W] by weight [N, 1, H, W]; of less than a hundredth of the pixels, less."""
    return (weight * values).mean() / (weight.mean() + 0.01)


def _ramp(values: Tensor, start: float, end: float) -> Tensor:
    part = ((values - start) / (end - start)).clamp(0, 1)
    return part * part * (3 - 2 * part)
