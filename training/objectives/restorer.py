"""Training a network that removes noise from an enhanced photo.

There are two streams. The reference of a room is another photo, which may be brighter or darker than the answer, so
most of the loss is taken at equal brightness. The reference of a darkened photo is the same photo without noise,
enhanced with the same map: the network must keep brightness and colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.fidelity import charbonnier, match_brightness
from training.losses.ssim import ssim
from training.objectives._base import Batch, Objective, Settings, Update, register_objective
from training.objectives._paired_scores import paired_scores


class Triple(BaseModel):
    """Three fields of the batch that show the same scene.

    Attributes:
        answer: name of the enhanced, noisy picture in the batch.
        dark: name of the photo that it was made from.
        reference: name of the picture without noise.
        weight: weight of their losses.
        matched: share of the difference that is taken at equal brightness, 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str
    dark: str
    reference: str
    weight: float = Field(1.0, gt=0)
    matched: float = Field(0.0, ge=0, le=1)


class RestorerSettings(Settings):
    """Weights of the losses.

    Attributes:
        triples: the pictures to compare; the first triple is used for validation.
        dissimilarity: weight of 1 - SSIM, relative to the difference.
    """

    triples: tuple[Triple, ...] = Field(min_length=1)
    dissimilarity: float = Field(0.3, ge=0)


@register_objective("restorer", RestorerSettings)
class RestorerTraining(Objective):
    """Trains a network whose input is an answer and its dark photo, [N, 6, H, W]."""

    def __init__(self, network: nn.Module, settings: RestorerSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        log: dict[str, Tensor] = {}
        total = torch.zeros(())
        for triple in self.settings.triples:
            answer, dark, reference = batch[triple.answer], batch[triple.dark], batch[triple.reference]
            restored = self.network(torch.cat([answer, dark], dim=1))
            matched = match_brightness(restored, reference) if triple.matched else restored
            difference = (1 - triple.matched) * charbonnier(restored, reference)
            if triple.matched:
                difference = difference + triple.matched * charbonnier(matched, reference)
            dissimilarity = 1 - ssim(matched.contiguous(), reference.contiguous(), padded=False)
            total = total + triple.weight * (difference + self.settings.dissimilarity * dissimilarity)
            log |= {f"{triple.answer}_difference": difference, f"{triple.answer}_dissimilarity": dissimilarity}
        update("network", total)
        return {"loss": total, **log}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references, and both with equal mean brightness (`_matched`)."""
        first = self.settings.triples[0]
        reference = batch[first.reference]
        restored = self._restored(batch)
        matched = paired_scores(match_brightness(restored, reference), reference)
        return paired_scores(restored, reference) | {f"{name}_matched": value for name, value in matched.items()}

    @torch.no_grad()
    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """The first triple of the recipe and the result."""
        first = self.settings.triples[0]
        return {name: batch[name] for name in (first.answer, first.reference)} | {"restored": self._restored(batch)}

    def _restored(self, batch: Batch) -> Tensor:
        first = self.settings.triples[0]
        pair = torch.cat([batch[first.answer], batch[first.dark]], dim=1)
        height, width = pair.shape[2:]
        padded = F.pad(pair, (0, -width % self.multiple, 0, -height % self.multiple), mode="reflect")
        restored: Tensor = self.network(padded)[:, :, :height, :width].clamp(0, 1)
        return restored
