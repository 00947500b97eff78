"""DRGN's two stages: learn the degradation from pairs, then learn from dark pictures synthesised with it as well.

Jiang et al., "Degrade is Upgrade", AAAI 2022, publish the data flow and where losses are taken, but not their form,
weights or schedule. **Design**, ours: Charbonnier's distance, least-squares discriminators, Gaussian moments for the
divergence, all weights, and the anchor.

Stage A trains both generators end to end on pairs `low`, `high`. Nothing in the paper keeps the degradation from
vanishing and leaving all work to the refinement; the anchor does: the blurred base must be close to the blurred
reference, so the degradation generator must account for the change of light.

Stage B adds the degradation of a real dark picture to another, bright picture, which gives a dark picture with a
perfect reference: `dark = bright + I_D`. One discriminator compares synthetic dark pictures with real ones, the other
the degradations found in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from training.discriminators import SpectralPatchDiscriminator
from training.losses.adversarial import discriminator_loss, generator_loss
from training.losses.fidelity import blurred, charbonnier, gaussian_divergence
from training.losses.ssim import ssim
from training.networks import pad_to_multiple
from training.objectives._base import Batch, Objective, Player, Settings, Update, frozen, register_objective
from training.objectives._paired_scores import paired_scores

MAX_SCALE = 4.0


class StageASettings(Settings):
    """Weights of stage A's losses.

    Attributes:
        dissimilarity: of 1 - SSIM.
        anchor: of the distance between base and reference, both averaged over `anchor_blur` pixels squared; the
            guard against a degradation of zero.
        anchor_blur: side of that average in pixels.
    """

    dissimilarity: float = Field(0.2, ge=0)
    anchor: float = Field(0.1, ge=0)
    anchor_blur: int = Field(8, ge=1)


class StageBSettings(StageASettings):
    """Weights of stage B's losses.

    Attributes:
        synthetic: of the losses on made pairs, against 1 for real ones.
        adversarial: of each adversary.
        divergence: of the divergence between the degradations found in real and in made dark pictures.
        noise: standard deviation of the noise put on made dark pictures, in [0, 1].
        darkness: smallest and largest mean of a dark picture in the data, in [0, 1]; where a made one would lie
            outside, its degradation is scaled.
        adversary_width: channels of the adversaries' first layer.
    """

    synthetic: float = Field(1.0, ge=0)
    adversarial: float = Field(5e-3, ge=0)
    divergence: float = Field(1e-2, ge=0)
    noise: float = Field(0.01, ge=0)
    darkness: tuple[float, float] = (0.014, 0.2)
    adversary_width: int = Field(64, ge=1)


class _Stage(Objective):
    """What both stages have in common."""

    settings: StageASettings

    def players(self) -> dict[str, Player]:
        return {"network": Player(self.network, methods=("degradation", "refine"))}

    def unmix(self, dark: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A dark picture [N, 3, H, W] -> its degradation, its base, and the refined result, all of that shape."""
        degradation = self.network.degradation(dark).float()
        base = dark - degradation
        return degradation, base, self.network.refine(base).float()

    def fidelity(self, base: Tensor, enhanced: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """The terms of one unmixed batch and their weighted sum `loss`."""
        s = self.settings
        terms = {"charbonnier": charbonnier(enhanced, reference), "dissimilarity": 1 - ssim(enhanced, reference)}
        loss = terms["charbonnier"] + s.dissimilarity * terms["dissimilarity"]
        if s.anchor:
            terms["anchor"] = charbonnier(blurred(base, s.anchor_blur), blurred(reference, s.anchor_blur))
            loss = loss + s.anchor * terms["anchor"]
        return {"loss": loss, **terms}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR and SSIM against the references, and the mean absolute `degradation`, which must not vanish."""
        low, (height, width) = pad_to_multiple(batch["low"], self.multiple)
        degradation, _, enhanced = self.unmix(low)
        scores = paired_scores(enhanced[:, :, :height, :width], batch["high"])
        return scores | {"degradation": degradation.abs().mean()}


@register_objective("drgn_stage_a", StageASettings)
class DRGNStageA(_Stage):
    """Both generators on batches of `low` and `high`."""

    def __init__(self, network: nn.Module, settings: StageASettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        degradation, base, enhanced = self.unmix(batch["low"])
        losses = self.fidelity(base, enhanced, batch["high"])
        update("network", losses["loss"])
        return losses | {"degradation": degradation.detach().abs().mean()}


@register_objective("drgn_stage_b", StageBSettings)
class DRGNStageB(_Stage):
    """Both generators and two adversaries on batches of `low`, `high` and, if the recipe has them, `bright`.

    `bright` are pictures in normal light that need no dark partner; without them the references of the batch's
    other pairs stand in, so that a batch needs at least 2. It has as many pictures as `low`, of the same size.
    """

    settings: StageBSettings

    def __init__(self, network: nn.Module, settings: StageBSettings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.settings = settings
        self.dark_discriminator = SpectralPatchDiscriminator(settings.adversary_width)
        self.degradation_discriminator = SpectralPatchDiscriminator(settings.adversary_width)

    def players(self) -> dict[str, Player]:
        return super().players() | {
            "dark_discriminator": Player(self.dark_discriminator),
            "degradation_discriminator": Player(self.degradation_discriminator),
        }

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        s = self.settings
        low, high = batch["low"], batch["high"]
        bright = batch["bright"] if "bright" in batch else high.roll(1, 0)

        degradation, base, enhanced = self.unmix(low)
        real = self.fidelity(base, enhanced, high)
        made = self.darken(bright, degradation)
        # The synthetic pair trains the unmixing; only the discriminator's loss trains its synthesis.
        made_degradation, made_base, made_enhanced = self.unmix(made.detach())
        synthetic = self.fidelity(made_base, made_enhanced, bright)

        dark_judgement = discriminator_loss(self.dark_discriminator(low), self.dark_discriminator(made.detach()))
        update("dark_discriminator", dark_judgement)
        degradation_judgement = discriminator_loss(
            self.degradation_discriminator(degradation.detach()),
            self.degradation_discriminator(made_degradation.detach()),
        )
        update("degradation_discriminator", degradation_judgement)

        with frozen(self.dark_discriminator, self.degradation_discriminator):
            deceptions = generator_loss(self.dark_discriminator(made)) + generator_loss(
                self.degradation_discriminator(made_degradation)
            )
            divergence = gaussian_divergence(degradation, made_degradation)
            loss = (
                real["loss"]
                + s.synthetic * synthetic["loss"]
                + s.adversarial * deceptions
                + s.divergence * divergence
            )
            update("network", loss)
        return {
            "loss": loss,
            "real": real["loss"],
            "synthetic": synthetic["loss"],
            "deceptions": deceptions,
            "divergence": divergence,
            "dark_judgement": dark_judgement,
            "degradation_judgement": degradation_judgement,
            "degradation": degradation.detach().abs().mean(),
        }

    def darken(self, bright: Tensor, degradation: Tensor) -> Tensor:
        """Bright pictures [N, 3, H, W] under the degradations of other, dark ones: made dark pictures in [0, 1].

        Where a result's mean would not be a dark picture's, the degradation is scaled so that it is, within reason.
        """
        s = self.settings
        mean_bright = bright.mean(dim=(1, 2, 3), keepdim=True)
        mean_change = degradation.detach().mean(dim=(1, 2, 3), keepdim=True)
        wanted = (mean_bright + mean_change).clamp(*s.darkness)
        darker = mean_change < -1e-3  # a change that does not darken cannot be scaled into one that does
        scale = torch.where(darker, (wanted - mean_bright) / mean_change.clamp(max=-1e-3), 1.0)
        made = bright + scale.clamp(0, MAX_SCALE) * degradation
        return (made + s.noise * torch.randn_like(made)).clamp(0, 1)
