"""Training without references, by Zero-DCE's four losses on curves and brightened picture; optionally with some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.fidelity import match_brightness
from training.losses.zero_reference import (
    color_constancy,
    exposure_control,
    illumination_smoothness,
    spatial_consistency,
)
from training.networks import apply_curves
from training.objectives._base import Batch, Objective, Player, Settings, Update, register_objective


class ZeroReferenceSettings(Settings):
    """Weights of the losses; defaults are Zero-DCE's published code.

    Attributes:
        smoothness: weight of `illumination_smoothness` (Zero-DCE 200, Zero-DCE-improved 300).
        consistency: weight of `spatial_consistency`.
        color: weight of `color_constancy`.
        exposure: weight of `exposure_control`.
        exposure_target: the target brightness of patches, in [0, 1].
        exposure_patch: side of these patches in pixels.
        reference: weight of the absolute difference to references, averaged over the plain difference and that at
            equal mean brightness; batches then have `low` and `high`, too. 0 as published, without references.
        color_epsilon: added under the root of `color_constancy`; 0 is as published.
    """

    smoothness: float = Field(200.0, ge=0)
    consistency: float = Field(1.0, ge=0)
    color: float = Field(5.0, ge=0)
    exposure: float = Field(10.0, ge=0)
    exposure_target: float = Field(0.6, ge=0, le=1)
    exposure_patch: int = Field(16, ge=1)
    reference: float = Field(0.0, ge=0)
    color_epsilon: float = Field(0.0, ge=0)


@register_objective("zero_reference", ZeroReferenceSettings)
class ZeroReference(Objective):
    """Trains a network that has `curves(image)`; batches have `image`, with `reference` also pairs `low`, `high`."""

    def __init__(self, network: nn.Module, settings: ZeroReferenceSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def players(self) -> dict[str, Player]:
        return {"network": Player(self.network, methods=("curves",))}

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        losses = self.losses(batch["image"])
        if self.settings.reference:
            high = batch["high"]
            enhanced = self.network(batch["low"])
            distances = F.l1_loss(enhanced, high), F.l1_loss(match_brightness(enhanced, high), high)
            losses["reference"] = torch.stack(distances).mean()
            losses["loss"] = losses["loss"] + self.settings.reference * losses["reference"]
        update("network", losses["loss"])
        return losses

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The same losses on held-out pictures."""
        return self.losses(batch["image"])

    def losses(self, image: Tensor) -> dict[str, Tensor]:
        """The four terms, unweighted, their weighted sum `loss`, and the mean `brightness` reached."""
        s = self.settings
        # Eight iterations multiply rounding errors: they run in full precision whatever the network's is; and in
        # plain memory layout, where one iteration's three maps lie together.
        curves = self.network.curves(image).float().contiguous()
        image = image.contiguous()
        enhanced = apply_curves(image, curves)
        terms = {
            "smoothness": illumination_smoothness(curves),
            "consistency": spatial_consistency(enhanced, image),
            "color": color_constancy(enhanced, s.color_epsilon),
            "exposure": exposure_control(enhanced, s.exposure_target, s.exposure_patch),
        }
        loss = (
            s.smoothness * terms["smoothness"]
            + s.consistency * terms["consistency"]
            + s.color * terms["color"]
            + s.exposure * terms["exposure"]
        )
        return {"loss": loss, **terms, "brightness": enhanced.detach().mean()}
