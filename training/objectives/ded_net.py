"""DED-Net's procedure: pairs, one distance, and mixtures of two scenes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.fidelity import charbonnier
from training.losses.ssim import ssim
from training.objectives._base import Batch, Objective, Settings, Update, register_objective
from training.objectives._paired_scores import paired_scores


class DEDNetSettings(Settings):
    """Weights of the losses; defaults are the published recipe.

    Attributes:
        distance: `l1`, as published, or `charbonnier`, which is smooth around zero.
        dissimilarity: weight of 1 - SSIM, which the published recipe does not use.
        mixup: probability with which a batch is mixed with itself in another order.
        mixup_beta: both parameters of the Beta distribution that a mixture's proportion is drawn from.
    """

    distance: Literal["l1", "charbonnier"] = "l1"
    dissimilarity: float = Field(0.0, ge=0)
    mixup: float = Field(0.5, ge=0, le=1)
    mixup_beta: float = Field(1.2, gt=0)


@register_objective("ded_net", DEDNetSettings)
class DEDNetTraining(Objective):
    """Trains any network on batches of `low` and `high`."""

    def __init__(self, network: nn.Module, settings: DEDNetSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        low, high = self.mixed(batch["low"], batch["high"])
        losses = self.losses(self.network(low).float(), high)
        update("network", losses["loss"])
        return losses

    def mixed(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Sometimes each pair with another of the batch, in one proportion for input and reference alike."""
        if torch.rand(()) >= self.settings.mixup:
            return low, high
        share = torch.distributions.Beta(self.settings.mixup_beta, self.settings.mixup_beta).sample()
        share = share.to(low.device)
        partner = torch.randperm(len(low)).to(low.device)
        return torch.lerp(low[partner], low, share), torch.lerp(high[partner], high, share)

    def losses(self, enhanced: Tensor, high: Tensor) -> dict[str, Tensor]:
        """The distance, the dissimilarity if it counts, and their weighted sum `loss`."""
        s = self.settings
        distance = F.l1_loss(enhanced, high) if s.distance == "l1" else charbonnier(enhanced, high)
        if not s.dissimilarity:
            return {"loss": distance}
        dissimilarity = 1 - ssim(enhanced, high)
        loss = distance + s.dissimilarity * dissimilarity
        return {"loss": loss, s.distance: distance, "dissimilarity": dissimilarity}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references."""
        return paired_scores(self.enhanced(batch["low"]), batch["high"])
