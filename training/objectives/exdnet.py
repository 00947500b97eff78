"""ExdNet's procedure: pairs, five losses, and a discriminator that is trained, too (or, as published, is not)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.discriminators import PatchDiscriminator
from training.losses.adversarial import discriminator_loss, generator_loss
from training.losses.perceptual import Vgg16, perceptual_distance, style_distance
from training.losses.ssim import ssim
from training.losses.variation import total_variation
from training.objectives._base import Batch, Objective, Player, Settings, Update, frozen, register_objective
from training.objectives._paired_scores import paired_scores

CONTENT = {"relu1_2": 1 / 3, "relu2_2": 1 / 3, "relu3_3": 1 / 3}
STYLE = ("pool1", "pool2", "pool3")


class ExdNetSettings(Settings):
    """Weights of the losses; defaults are the published code.

    Attributes:
        smooth_l1: of the difference to the reference (Huber's loss with its threshold at 1).
        l1: of the absolute difference, which the published code does not use.
        dissimilarity: of 1 - SSIM, which the published code does not use.
        perceptual: of the distance of VGG16 features; needs VGG16 weights.
        style: of the distance of their Gram matrices; needs VGG16 weights.
        total_variation: of the result's total variation.
        adversarial: of the discriminator's verdict; 0: there is no discriminator.
        discriminator: `alternating` trains it against the network. `frozen` leaves it at its initial weights, as in
            the published code, which creates an optimiser for it but never steps it.
        clamped: whether losses see the clamped result, as published. A pixel beyond [0, 1] then has no gradient.
    """

    smooth_l1: float = Field(1.0, ge=0)
    l1: float = Field(0.0, ge=0)
    dissimilarity: float = Field(0.0, ge=0)
    perceptual: float = Field(0.04, ge=0)
    style: float = Field(10.0, ge=0)
    total_variation: float = Field(0.1, ge=0)
    adversarial: float = Field(1e-4, ge=0)
    discriminator: Literal["alternating", "frozen"] = "alternating"
    clamped: bool = True


@register_objective("exdnet", ExdNetSettings)
class ExdNetTraining(Objective):
    """Trains ExdNet on batches of `low` and `high`."""

    def __init__(self, network: nn.Module, settings: ExdNetSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings
        self.discriminator = PatchDiscriminator() if settings.adversarial else None
        if self.discriminator is not None and settings.discriminator == "frozen":
            self.discriminator.requires_grad_(False)
        self.vgg = None
        if settings.perceptual or settings.style:
            if "vgg16" in resources:
                self.vgg = Vgg16(resources["vgg16"])
            else:
                self.notes.append("no VGG16 weights were given: the perceptual and style terms are left out")

    @property
    def alternates(self) -> bool:
        """Whether the discriminator learns."""
        return self.discriminator is not None and self.settings.discriminator == "alternating"

    def players(self) -> dict[str, Player]:
        players = {"network": Player(self.network, methods=("unclamped",))}
        if self.discriminator is not None and self.alternates:
            players["discriminator"] = Player(self.discriminator)
        return players

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        low, high = batch["low"], batch["high"]
        enhanced = self.network(low) if self.settings.clamped else self.network.unclamped(low)
        log: dict[str, Tensor] = {}
        if self.discriminator is not None and self.alternates:
            log["judgement"] = discriminator_loss(self.discriminator(high), self.discriminator(enhanced.detach()))
            update("discriminator", log["judgement"])
            with frozen(self.discriminator):
                losses = self.losses(enhanced, high)
                update("network", losses["loss"])
        else:
            losses = self.losses(enhanced, high)
            update("network", losses["loss"])
        return losses | log

    def losses(self, enhanced: Tensor, high: Tensor) -> dict[str, Tensor]:
        """The terms in use, unweighted, and their weighted sum `loss`."""
        weights = self.settings.model_dump()
        enhanced = enhanced.float()
        terms = {"smooth_l1": F.smooth_l1_loss(enhanced, high), "total_variation": total_variation(enhanced)}
        if self.settings.l1:
            terms["l1"] = F.l1_loss(enhanced, high)
        if self.settings.dissimilarity:
            terms["dissimilarity"] = 1 - ssim(enhanced, high)
        if self.vgg is not None:
            features, wanted = self.vgg(enhanced, (*CONTENT, *STYLE)), self.vgg(high, (*CONTENT, *STYLE))
            terms["perceptual"] = perceptual_distance(features, wanted, CONTENT)
            terms["style"] = style_distance(features, wanted, STYLE)
        if self.discriminator is not None:
            terms["adversarial"] = generator_loss(self.discriminator(enhanced))
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": loss, **terms}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references."""
        return paired_scores(self.enhanced(batch["low"]), batch["high"])
