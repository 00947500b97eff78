"""DRBN: a deep recursive band network, and its perceptual second stage.

Stage 1 (`drbn`) runs a three-scale unit four times. Each run gets the picture and the previous estimate, and adds the
previous features; it predicts the bright picture at full, half and quarter scale, coarse to fine, so that the finer
scales hold bands of detail. Stage 2 (`drbn_perceptual`) reweights these bands in every pixel, trained against highly
rated photographs.

Source: Yang et al., "From Fidelity to Perceptual Quality: A Semi-Supervised Approach for Low-Light Image
Enhancement", CVPR 2020. Each of the four runs has its own weights, as in the released code (557,668 parameters); the
paper's text shares them. Parameter names are the released ones, so released checkpoints load strict. Neither stage
clamps its result. Sides must be multiples of 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks._official import OfficialLayout, StateDict, register_official
from training.networks._registry import NetworkSpec, register

WIDTH = 16
GROWTH = 8

Bands = tuple[Tensor, Tensor, Tensor]
"""Estimates at full, half and quarter scale: [N, 3, H, W], [N, 3, H/2, W/2], [N, 3, H/4, W/4]."""


def enlarge(image: Tensor, factor: float) -> Tensor:
    """Bilinear enlargement with pixel centres aligned (`align_corners=False`)."""
    return F.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3×3 convolution that keeps (or, with stride 2, halves) the size."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


class DenseLayer(nn.Module):
    """Convolution and ReLU, appended to its input: C channels in, C + growth out."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv3(inputs, growth), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.conv(features)], dim=1)


class ResidualDenseBlock(nn.Module):
    """Four dense layers, fused by a 1×1 convolution, added to their input."""

    def __init__(self, width: int, growth: int, layers: int = 4) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(DenseLayer(width + i * growth, growth) for i in range(layers)))
        self.LFF = nn.Conv2d(width + layers * growth, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.LFF(self.convs(features)) + features


class BandUnit(nn.Module):
    """One run: a U-shape of residual dense blocks over three scales, with an estimate at each."""

    def __init__(self) -> None:
        super().__init__()
        self.SFENet1 = conv3(6, WIDTH)
        self.SFENet2 = conv3(WIDTH, WIDTH)
        self.Down1 = conv3(WIDTH, WIDTH, stride=2)
        self.Down2 = conv3(WIDTH, 2 * WIDTH, stride=2)
        self.RDBs = nn.ModuleList(ResidualDenseBlock(scale * WIDTH, scale * GROWTH) for scale in (1, 1, 2, 2, 1, 1))
        self.Up1 = nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1)
        self.Up2 = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, stride=2, padding=1)
        self.UPNet = nn.Sequential(conv3(WIDTH, WIDTH), conv3(WIDTH, 3))
        self.UPNet2 = nn.Sequential(conv3(WIDTH, WIDTH), conv3(WIDTH, 3))
        self.UPNet4 = nn.Sequential(conv3(2 * WIDTH, WIDTH), conv3(WIDTH, 3))

    def forward(
        self, estimate: Tensor, image: Tensor, memory: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Bands, tuple[Tensor, Tensor, Tensor]]:
        """Refine `estimate` of `image`, both [N, 3, H, W]; add `memory`, the features of the run before.

        Returns the bands and the features at full (16 channels), half (16) and quarter scale (32).
        """
        first = F.relu(self.SFENet1(torch.cat([estimate, image], dim=1)))
        encoded1 = F.relu(self.SFENet2(first))
        encoded2 = self.Down1(self.RDBs[0](encoded1))
        encoded4 = self.Down2(self.RDBs[1](encoded2))

        features4 = encoded4 + self.RDBs[3](self.RDBs[2](encoded4))
        if memory is not None:
            features4 = features4 + memory[2]
        features2 = encoded2 + self.RDBs[4](self.Up2(features4))
        if memory is not None:
            features2 = features2 + memory[1]
        features1 = encoded1 + self.RDBs[5](self.Up1(features2)) + first
        if memory is not None:
            features1 = features1 + memory[0]

        quarter = self.UPNet4(features4)
        half = self.UPNet2(features2) + enlarge(quarter, 2.0)
        full = self.UPNet(features1) + enlarge(half, 2.0)
        return (full, half, quarter), (features1, features2, features4)


@register(
    NetworkSpec(
        name="drbn",
        title="DRBN, stage 1",
        paper="Yang et al., From Fidelity to Perceptual Quality: A Semi-Supervised Approach for Low-Light Image "
        "Enhancement, CVPR 2020",
        recipe="drbn",
        spatial_scope="global",
        halo=0,
        multiple=4,
        smallest_side=4,
        working_side=192,
    )
)
class Drbn(nn.Module):
    """Stage 1: four runs of the unit, each with its own weights; 557,668 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.recur1 = BandUnit()
        self.recur2 = BandUnit()
        self.recur3 = BandUnit()
        self.recur4 = BandUnit()

    @torch.jit.export
    def bands(self, image: Tensor) -> Bands:
        """Estimates at full, half and quarter scale for `image` [N, 3, H, W] in [0, 1]; not clamped."""
        bands, memory = self.recur1(image, image)
        bands, memory = self.recur2(bands[0], image, memory)
        bands, memory = self.recur3(bands[0], image, memory)
        bands, memory = self.recur4(bands[0], image, memory)
        return bands

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, H, W], not clamped; sides must be multiples of 4."""
        return self.bands(image)[0]


class BandRecomposition(nn.Module):
    """Weights the bands of stage 1 in every pixel and channel; 19,161 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.SFENet1 = conv3(12, WIDTH)
        self.SFENet2 = conv3(WIDTH, WIDTH)
        self.RDBs = nn.ModuleList([ResidualDenseBlock(WIDTH, GROWTH)])
        self.GFF = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), conv3(WIDTH, WIDTH))
        self.UPNet = conv3(WIDTH, WIDTH)
        self.UPNet2 = conv3(WIDTH, 9)

    @torch.jit.export
    def weights(self, image: Tensor, details: Tensor) -> Tensor:
        """Band weights [N, 9, H, W], three channels a band, coarse to fine; not limited to [0, 1].

        Args:
            image: dark picture, [N, 3, H, W] in [0, 1].
            details: bands at full size, coarse to fine, [N, 9, H, W].
        """
        shallow = self.SFENet1(torch.cat([image, details], dim=1))
        features = self.SFENet2(shallow)
        for block in self.RDBs:
            features = block(features)
        return self.UPNet2(self.UPNet(self.GFF(features) + shallow)) * 0.8 + 0.6

    def forward(self, image: Tensor, bands: Bands) -> Tensor:
        """Recompose stage 1's `bands` of `image` to one picture, [N, 3, H, W], not clamped."""
        details = split_details(bands)
        weighted = details * self.weights(image, details)
        coarse, middle, fine = weighted.split(3, dim=1)
        return coarse + middle + fine


def split_details(bands: Bands) -> Tensor:
    """Quarter-scale picture, what half scale adds, and what full scale adds, all at full size: [N, 9, H, W]."""
    full, half, quarter = bands
    coarse, middle = enlarge(quarter, 4.0), enlarge(half, 2.0)
    return torch.cat([coarse, middle - coarse, full - middle], dim=1)


@register(
    NetworkSpec(
        name="drbn_perceptual",
        title="DRBN, stage 2",
        paper="Yang et al., From Fidelity to Perceptual Quality: A Semi-Supervised Approach for Low-Light Image "
        "Enhancement, CVPR 2020",
        recipe="drbn_perceptual",
        spatial_scope="global",
        halo=0,
        multiple=4,
        smallest_side=4,
        working_side=256,
    )
)
class DrbnPerceptual(nn.Module):
    """Stage 1 and the recomposition of its bands; 576,829 parameters. Released as two files, one a stage."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = Drbn()
        self.recompose = BandRecomposition()

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, H, W], not clamped; sides must be multiples of 4."""
        return self.recompose(image, self.stage1.bands(image))


def _stage(state: StateDict) -> int:
    """Which stage's released file this is: 1, 2 (the recomposition alone), or 0 for neither."""
    if "recur4.SFENet1.weight" in state:
        return 1
    return 2 if "SFENet1.weight" in state and tuple(state["SFENet1.weight"].shape[:2]) == (WIDTH, 12) else 0


def _join_stages(states: Sequence[StateDict]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    stage1, recomposition = sorted(states, key=_stage)
    joined = {f"stage1.{name}": value for name, value in stage1.items()}
    joined |= {f"recompose.{name}": value for name, value in recomposition.items()}
    return {}, joined


register_official(
    OfficialLayout(
        network="drbn",
        matches=lambda states: [_stage(state) for state in states] == [1],
        convert=lambda states: ({}, dict(states[0])),
    )
)
register_official(
    OfficialLayout(
        network="drbn_perceptual",
        matches=lambda states: sorted(_stage(state) for state in states) == [1, 2],
        convert=_join_stages,
    )
)
