"""DRBN's two procedures: fidelity on pairs, then perceptual quality with highly rated photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from training.discriminators import SortedColorDiscriminator
from training.losses.adversarial import generator_loss, noisy_discriminator_loss
from training.losses.perceptual import Vgg16, perceptual_distance
from training.losses.ssim import ssim
from training.objectives._base import Batch, Objective, Player, Settings, Update, frozen, register_objective
from training.objectives._paired_scores import paired_scores

PERCEPTUAL_LAYERS = {"relu1_1": 1.0, "relu1_2": 0.6, "relu2_1": 0.4, "relu2_2": 0.2}


class DrbnSettings(Settings):
    """Weights of stage 1's losses; defaults are the released code.

    Attributes:
        similarity: of SSIM at full, half and quarter scale (maximised).
        l1: of the absolute difference at these scales, which the released code does not use.
    """

    similarity: float = Field(1.0, ge=0)
    l1: float = Field(0.0, ge=0)


@register_objective("drbn", DrbnSettings)
class DrbnTraining(Objective):
    """Stage 1: every scale's estimate should look like the reference, decimated without a filter, as released.

    Batches have `low` and `high`, sides multiples of 4. (The released code also skips a batch whose loss is a million
    times the last one's; that cannot happen, since SSIM is bounded.)
    """

    def __init__(self, network: nn.Module, settings: DrbnSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def players(self) -> dict[str, Player]:
        return {"network": Player(self.network, methods=("bands",))}

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        losses = self.losses(self.network.bands(batch["low"]), batch["high"])
        update("network", losses["loss"])
        return losses

    def losses(self, bands: tuple[Tensor, Tensor, Tensor], high: Tensor) -> dict[str, Tensor]:
        """SSIM by scale, the mean absolute difference of all scales together, and the weighted sum `loss`."""
        references = (high, high[:, :, ::2, ::2], high[:, :, ::4, ::4])
        scales = list(zip(bands, references, strict=True))
        full, half, quarter = (ssim(estimate, reference) for estimate, reference in scales)
        difference = torch.stack([F.l1_loss(estimate.float(), reference) for estimate, reference in scales]).sum()
        loss = self.settings.l1 * difference - self.settings.similarity * (full + half + quarter)
        return {"loss": loss, "ssim": full, "ssim_half": half, "ssim_quarter": quarter, "l1": difference}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references."""
        return paired_scores(self.enhanced(batch["low"]), batch["high"])


class DrbnPerceptualSettings(Settings):
    """Weights of stage 2's losses; defaults are the released branch for data other than LOL.

    Attributes:
        similarity: of SSIM to the reference (maximised).
        perceptual: of the distance of VGG16 features; needs VGG16 weights.
        adversarial: of the discriminator's verdict on unpaired dark pictures: 1, or 2 in the branch for LOL.
        l1: of the absolute difference to the reference, which the released code does not use.
    """

    similarity: float = Field(1.0, ge=0)
    perceptual: float = Field(1.0, ge=0)
    adversarial: float = Field(1.0, ge=0)
    l1: float = Field(0.0, ge=0)


@register_objective("drbn_perceptual", DrbnPerceptualSettings)
class DrbnPerceptualTraining(Objective):
    """Stage 2: only the recomposition learns, from fidelity on pairs and from a discriminator on unpaired pictures.

    Batches have `low` and `high`; `dark`, pictures taken in poor light, without reference; and `liked`, photographs
    of high quality (the authors' have high mean opinion scores), of the same size as `high`. The discriminator treats
    `high` and `liked` as real, and recomposed `dark` as generated.
    """

    def __init__(self, network: nn.Module, settings: DrbnPerceptualSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings
        network.stage1.requires_grad_(False)
        self.discriminator = SortedColorDiscriminator()
        self.vgg = None
        if settings.perceptual:
            if "vgg16" in resources:
                self.vgg = Vgg16(resources["vgg16"])
            else:
                self.notes.append("no VGG16 weights were given: the perceptual term is left out")

    def players(self) -> dict[str, Player]:
        learning = list(self.network.recompose.parameters())
        return {
            "network": Player(self.network, parameters=learning),
            "discriminator": Player(self.discriminator),
        }

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        made = self.network(batch["dark"])
        real = torch.cat([batch["high"], batch["liked"]])
        verdict = noisy_discriminator_loss(self.discriminator(real), self.discriminator(made.detach()))
        update("discriminator", verdict)
        with frozen(self.discriminator):
            losses = self.losses(self.network(batch["low"]), batch["high"], made)
            update("network", losses["loss"])
        return losses | {"judgement": verdict}

    def losses(self, enhanced: Tensor, high: Tensor, made: Tensor) -> dict[str, Tensor]:
        """Fidelity of `enhanced` to `high`, the verdict on `made`, and `loss`, their weighted sum."""
        settings = self.settings
        enhanced = enhanced.float()
        terms = {"ssim": ssim(enhanced, high), "adversarial": generator_loss(self.discriminator(made).float())}
        loss = settings.adversarial * terms["adversarial"] - settings.similarity * terms["ssim"]
        if settings.l1:
            terms["l1"] = F.l1_loss(enhanced, high)
            loss = loss + settings.l1 * terms["l1"]
        if self.vgg is not None:
            features, wanted = (self.vgg(image, tuple(PERCEPTUAL_LAYERS)) for image in (enhanced, high))
            terms["perceptual"] = perceptual_distance(features, wanted, PERCEPTUAL_LAYERS)
            loss = loss + settings.perceptual * terms["perceptual"]
        return {"loss": loss, **terms}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references."""
        return paired_scores(self.enhanced(batch["low"]), batch["high"])

    def start_from(self, checkpoint: Mapping[str, Any]) -> None:
        """Begin with a trained stage 1 (network `drbn`), or with both stages.

        Raises:
            ValueError: the checkpoint is neither.
        """
        if checkpoint.get("network") != "drbn":
            super().start_from(checkpoint)
            return
        self.network.stage1.load_state_dict(checkpoint["state_dict"])
