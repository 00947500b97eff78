"""Training through the rendering: losses are taken where the map of the small picture is applied to the large one.

The network sees only the proxy. Its map is stretched over the picture and applied, as in the service, and all losses
are taken on the result, so the network also learns the map's effect on noise and edges that the proxy does not show.

A dark photo does not tell how bright its reference is: LOL's references vary in exposure for reasons that the picture
does not show. So half of the weight goes to the difference after both have the same mean brightness.
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
from training.networks import STEP, as_codes, shrink
from training.objectives._base import Batch, Objective, Player, Settings, Update, register_objective
from training.objectives._paired_scores import paired_scores

STRUCTURE_SIDE = 160
"""Side in pixels of the crop on which SSIM is computed, which costs more than everything else together."""


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
        matched: of the absolute difference after the result is scaled to the reference's mean brightness.
        dissimilarity: of 1 - SSIM, after the same scaling.
        hue: of 1 - the cosine between colours, means over 8 x 8 pixels.
        smoothness: of the map's total variation, relative to its mean slope; keeps it free of rings and blotches.
    """

    pairs: tuple[Pair, ...] = Field((Pair(low="low", high="high"),), min_length=1)
    l1: float = Field(0.5, ge=0)
    matched: float = Field(0.5, ge=0)
    dissimilarity: float = Field(0.3, ge=0)
    hue: float = Field(0.5, ge=0)
    smoothness: float = Field(0.0, ge=0)


@register_objective("nightlift", NightliftSettings)
class NightliftTraining(Objective):
    """Trains a network that has `affine(proxy)`, `look(image)` and `render(map, image)`."""

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
        weights = self.settings.model_dump()
        # Maps are stored channel by channel, so the pictures should be, too.
        low, high = low.contiguous(), high.contiguous()
        coefficients = self.network.affine(_proxy(low, scale)).float()
        enhanced = self.network.render(coefficients, low)
        matched = match_brightness(enhanced, high)
        terms = {
            "l1": F.l1_loss(enhanced, high),
            "matched": F.l1_loss(matched, high),
            "dissimilarity": 1 - ssim(*same_part(matched, high, STRUCTURE_SIDE), padded=False),
            "hue": hue_distance(enhanced, high),
        }
        if self.settings.smoothness:
            terms["smoothness"] = relative_variation(coefficients)
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
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


def _proxy(image: Tensor, scale: float) -> Tensor:
    """The proxy of a picture, with sides rounded to multiples of 8."""
    height, width = (max(2, round(side * scale / STEP)) * STEP for side in image.shape[2:])
    return as_codes(shrink(image, height, width))


def same_part(image: Tensor, reference: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The same random square of two pictures [N, 3, H, W], of `side` pixels or less if they are smaller."""
    height, width = image.shape[2:]
    top, left = (int(torch.randint(max(1, length - side + 1), ())) for length in (height, width))
    box = (..., slice(top, top + side), slice(left, left + side))
    return image[box], reference[box]


def hue_distance(image: Tensor, reference: Tensor) -> Tensor:
    """1 - cosine between colour vectors, of means over 8 x 8 pixels; weighted by the reference's brightness.

    A grey that should be grey gives 0 at any brightness; dark areas, whose colour is invisible, count little.
    """
    height, width = (side // 8 for side in image.shape[2:])
    ours, theirs = (shrink(picture[:, :, : 8 * height, : 8 * width], height, width) for picture in (image, reference))
    cosine = F.cosine_similarity(ours, theirs, dim=1, eps=1e-3)
    brightness = theirs.mean(dim=1)
    return ((1 - cosine) * brightness).mean() / brightness.mean().clamp(min=1e-3)


def relative_variation(coefficients: Tensor) -> Tensor:
    """Total variation of a map [N, C, h, w] over the mean size of its coefficients."""
    down = (coefficients[:, :, 1:] - coefficients[:, :, :-1]).abs().mean(dim=(1, 2, 3))
    across = (coefficients[:, :, :, 1:] - coefficients[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
    return ((down + across) / coefficients.abs().mean(dim=(1, 2, 3)).detach()).mean()
