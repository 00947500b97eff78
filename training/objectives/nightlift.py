"""Training with the renderer in the loop, and with the wanted brightness as an input.

The network sees only the proxy. Its map is stretched over the picture and applied, as in the service, and all losses
are taken on the result, so the network also learns the map's effect on noise and edges that the proxy does not show.

A dark photo does not tell how bright its reference is: references vary in exposure for reasons that the picture does
not show. So the network is told the reference's brightness; and so that it follows any wish, the reference's exposure
is changed at random. Beside this, it learns to guess the brightness that a photographer would have chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.fidelity import match_brightness
from training.losses.ssim import ssim
from training.networks import MIN_SIDE_OF_MAP, STEP, shrink
from training.networks.nightlift import GAMMA, brightness, evidence
from training.objectives._base import Batch, Objective, Player, Settings, Update, register_objective
from training.objectives._paired_scores import paired_scores

STRUCTURE_SIDE = 160
"""Side in pixels of the crop on which SSIM is computed, which costs more than everything else together."""

WHITE = (0.92, 0.98)
"""Smallest channel of a pixel of the dark picture, up to which the reference decides, and from which white stays."""

BLACK = (0.02, 0.06)
"""Largest channel of a pixel of the dark picture, up to which it is nearly black, and from which it is not."""


class Pair(BaseModel):
    """Two fields of the batch that show one scene.

    Attributes:
        low: the dark picture's name in the batch.
        high: the reference's.
        weight: of their losses.
        scales: ratios of the proxy's sides to the picture's, of which each step draws one. If texture is finer than
            the proxy's pixels, the network must judge by other signs whether it is noise, which large photos have
            little of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: str
    high: str
    weight: float = Field(1.0, gt=0)
    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field((1.0,), min_length=1)


class NightliftSettings(Settings):
    """Weights of the losses.

    Attributes:
        pairs: the pairs to compare; validation uses the first.
        l1: of the absolute difference.
        dissimilarity: of 1 - SSIM, after the result is scaled to the reference's mean brightness.
        hue: of 1 - the cosine between colours, means over 8 x 8 pixels.
        guess: of the guess's error in stops.
        white: of what white loses, mean over white pixels.
        black: of the error of colour without its mean, over pixels that are nearly black in the dark picture: night
            should stay without colour.
        wishes: share of pairs whose reference gets another exposure.
        spread: standard deviation of this exposure in stops, within 2.
    """

    pairs: tuple[Pair, ...] = Field((Pair(low="low", high="high"),), min_length=1)
    l1: float = Field(1.0, ge=0)
    dissimilarity: float = Field(0.3, ge=0)
    hue: float = Field(0.5, ge=0)
    guess: float = Field(0.03, ge=0)
    white: float = Field(1.0, ge=0)
    black: float = Field(1.0, ge=0)
    wishes: float = Field(0.5, ge=0, le=1)
    spread: float = Field(0.8, ge=0)


@register_objective("nightlift", NightliftSettings)
class NightliftTraining(Objective):
    """Trains a network with `affine(proxy, hidden, wanted)`, `render(map, image)`, and `luminance`, its weights."""

    def __init__(self, network: nn.Module, settings: NightliftSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def players(self) -> dict[str, Player]:
        return {"network": Player(self.network, methods=("affine",))}

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        log: dict[str, Tensor] = {}
        total = torch.zeros(())
        for pair in self.settings.pairs:
            scale = pair.scales[int(torch.randint(len(pair.scales), ()))]
            losses = self.losses(batch[pair.low], batch[pair.high], scale)
            total = total + pair.weight * losses.pop("loss")
            log |= {f"{pair.low}_{name}": value for name, value in losses.items()}
        update("network", total)
        return {"loss": total, **log}

    def losses(self, low: Tensor, high: Tensor, scale: float) -> dict[str, Tensor]:
        """The terms of one pair, unweighted, and their weighted sum `loss`.

        Args:
            low: float [N, 3, H, W] in [0, 1].
            high: its reference, same shape and range.
            scale: sides of the proxy over those of the picture.
        """
        # Maps are stored channel by channel, so the pictures should be, too.
        low, high = low.contiguous(), high.contiguous()
        white = _ramp(low.amin(dim=1, keepdim=True), *WHITE)
        high = high + white * (torch.maximum(high, low) - high)
        chosen = brightness(high, self.network.luminance)
        # Drawn on the CPU, so that a seed gives the same wishes on every device.
        wish = torch.randn(len(high), 1).clamp(-2, 2) * self.settings.spread
        wish = wish * (torch.rand(len(high), 1) < self.settings.wishes)
        high = exposed(high, wish[:, :, None, None].to(high.device))
        height, width = (max(MIN_SIDE_OF_MAP, STEP * round(side * scale / STEP)) for side in low.shape[2:])
        proxy, hidden = shrink(low, height, width), evidence(low, height, width)
        wanted = brightness(high, self.network.luminance)
        coefficients, guess = self.network.affine(proxy, hidden, wanted)
        enhanced = self.network.render(coefficients.float(), low)
        matched = match_brightness(enhanced, high)
        terms = {
            "l1": F.l1_loss(enhanced, high),
            "dissimilarity": 1 - ssim(*_same_part(matched, high, STRUCTURE_SIDE), padded=False),
            "hue": hue_distance(enhanced, high),
            "guess": F.smooth_l1_loss(guess, chosen),
            "white": _mean_where(white, (high - enhanced).clamp(min=0)),
            "black": _mean_where(
                1 - _ramp(low.amax(dim=1, keepdim=True), *BLACK), (_colour(enhanced) - _colour(high)).abs()
            ),
        }
        loss = torch.stack([getattr(self.settings, name) * term for name, term in terms.items()]).sum()
        return {"loss": loss, **terms}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references, and both with equal mean brightness (`_matched`)."""
        first = self.settings.pairs[0]
        enhanced, high = self.network(batch[first.low]).clamp(0, 1), batch[first.high]
        matched = paired_scores(match_brightness(enhanced, high), high)
        return paired_scores(enhanced, high) | {f"{name}_matched": value for name, value in matched.items()}

    @torch.no_grad()
    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """The first pair of the recipe and the result."""
        first = self.settings.pairs[0]
        low = batch[first.low]
        return {first.low: low, first.high: batch[first.high], "enhanced": self.network(low).clamp(0, 1)}


def _same_part(image: Tensor, reference: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The same random square of two pictures [N, 3, H, W], of `side` pixels or less if they are smaller."""
    height, width = image.shape[2:]
    top, left = (int(torch.randint(max(1, length - side + 1), ())) for length in (height, width))
    box = (..., slice(top, top + side), slice(left, left + side))
    return image[box], reference[box]


def hue_distance(image: Tensor, reference: Tensor) -> Tensor:
    """1 - cosine between colour vectors, of means over 8 x 8 pixels; weighted by the reference's brightness.

    Both are float [N, 3, H, W], with sides of at least 8.

    A grey that should be grey gives 0 at any brightness; dark areas, whose colour is invisible, count little.
    """
    height, width = (side // 8 for side in image.shape[2:])
    ours, theirs = (shrink(picture[:, :, : 8 * height, : 8 * width], height, width) for picture in (image, reference))
    cosine = F.cosine_similarity(ours, theirs, dim=1, eps=1e-3)
    weight = theirs.mean(dim=1)
    return ((1 - cosine) * weight).mean() / weight.mean().clamp(min=1e-3)


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


def _colour(image: Tensor) -> Tensor:
    """Without its mean over the channels."""
    return image - image.mean(dim=1, keepdim=True)


def _mean_where(weight: Tensor, values: Tensor) -> Tensor:
    """Mean of values [N, 3, H, W] by weight [N, 1, H, W]; of less than a hundredth of the pixels, less."""
    return (weight * values).mean() / (weight.mean() + 0.01)


def _ramp(values: Tensor, start: float, end: float) -> Tensor:
    """Smoothly from 0 at `start` to 1 at `end`."""
    part = ((values - start) / (end - start)).clamp(0, 1)
    return part * part * (3 - 2 * part)
