"""Training a network that takes the noise out of an enhanced photo.

Two streams. Of a room, the reference is a photo of its own: it may be brighter or darker than the answer, and so
most of the weight is on the difference at equal brightness. Of a darkened photo, the reference is what the same
model's map makes of it without noise: brightness and colour are to stay.
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
    """Three fields of the batch that show one scene.

    Attributes:
        answer: the bright, noisy picture's name in the batch.
        dark: that of the photo that it was made from.
        reference: that of the picture without noise.
        weight: of their losses.
        matched: share of the difference's weight that is taken at equal brightness.
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
        triples: what is compared; the first is validated.
        dissimilarity: of 1 - SSIM; that of the difference is 1.
    """

    triples: tuple[Triple, ...] = Field(min_length=1)
    dissimilarity: float = Field(0.3, ge=0)


@register_objective("restorer", RestorerSettings)
class RestorerTraining(Objective):
    """Trains a network of the answer and the photo, [N, 6, H, W]."""

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
