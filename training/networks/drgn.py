"""DRGN: subtract the degradation from a dark picture, then refine the result.

A degradation generator (DeG) estimates the degradation `I_D`; without it the picture, `I_B = I_L - I_D`, is a
brighter base; a refinement generator (ReG) turns the base into the result. In training DeG also makes new dark
pictures from bright ones ("degrade is upgrade": see `training.objectives.drgn`).

Source: Jiang et al., "Degrade is Upgrade: Learning Degradation for Low-light Image Enhancement", AAAI 2022. It
publishes the data flow: the formation model, `I_B = I_L - I_D`, and that both generators share one architecture, the
multi-resolution fusion network (MFN), drawn as three stacked encoders, a bar and a decoder. **Design**, ours where
the source gives no details, in the style of the same authors' other networks:

* the MFN's insides: pyramid by average pooling, three groups of coarse-to-fine residual U blocks with channel
  attention, long skips, 1x1 fusion, 32 channels (1,914,854 parameters in both generators together);
* DeG's output is linear, hence signed: `I_B` is drawn brighter than `I_L`, so the degradation is negative on average;
* ReG is residual: `I* = I_B + MFN(I_B)`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks._registry import NetworkSpec, register

CHANNEL_REDUCTION = 4


class ChannelAttentionBlock(nn.Module):
    """Two convolutions, a gate per channel from the global average, a residual (RCAB)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = width // CHANNEL_REDUCTION
        self.body = nn.Sequential(_conv(width, width), nn.PReLU(width), _conv(width, width))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, squeezed, 1),
            nn.PReLU(squeezed),
            nn.Conv2d(squeezed, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C,H,W]."""
        residual = self.body(x)
        return x + residual * self.gate(residual)


class UBlock(nn.Module):
    """Half the size, channel-attention blocks, back up again, a residual."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.down = nn.Sequential(_conv(width, width, stride=2), nn.PReLU(width))
        self.blocks = nn.Sequential(*[ChannelAttentionBlock(width) for _ in range(blocks)])
        self.up = _Enlarge(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[N,C,H,W] with even sides -> [N,C,H,W]."""
        small = self.down(x)
        return x + self.up(torch.cat([small, self.blocks(small)], dim=1))


class FusionGroup(nn.Module):
    """One round over the three scales: each is refined together with what the coarser one found."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.at_quarter = UBlock(width, blocks=1)
        self.at_half = UBlock(width, blocks=3)
        self.at_full = UBlock(width, blocks=3)
        self.quarter_to_half = _Enlarge(width, width)
        self.half_to_full = _Enlarge(width, width)

    def forward(self, full: Tensor, half: Tensor, quarter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at scales 1, 1/2 and 1/4 in and out."""
        quarter = self.at_quarter(quarter)
        half = self.at_half(half + self.quarter_to_half(quarter))
        full = self.at_full(full + self.half_to_full(half))
        return full, half, quarter


class FusionNetwork(nn.Module):
    """The multi-resolution fusion network (MFN), the architecture of both generators."""

    def __init__(self, width: int, groups: int = 3) -> None:
        super().__init__()
        self.shallow_full = nn.Sequential(_conv(3, width), nn.PReLU(width))
        self.shallow_half = nn.Sequential(_conv(3, width), nn.PReLU(width))
        self.shallow_quarter = nn.Sequential(_conv(3, width), nn.PReLU(width))
        self.groups = nn.ModuleList(FusionGroup(width) for _ in range(groups))
        self.quarter_to_half = _Enlarge(width, width)
        self.half_to_full = _Enlarge(width, width)
        self.fuse_half = nn.Conv2d(2 * width, width, 1)
        self.fuse_full = nn.Conv2d(2 * width, width, 1)
        self.decoder = nn.Sequential(ChannelAttentionBlock(width), ChannelAttentionBlock(width), _conv(width, 3))

    def forward(self, image: Tensor) -> Tensor:
        """`image` [N,3,H,W], sides multiples of 8 -> [N,3,H,W], linear."""
        shallow_full = self.shallow_full(image)
        shallow_half = self.shallow_half(F.avg_pool2d(image, 2))
        shallow_quarter = self.shallow_quarter(F.avg_pool2d(image, 4))
        full, half, quarter = shallow_full, shallow_half, shallow_quarter
        for group in self.groups:
            full, half, quarter = group(full, half, quarter)
        quarter = quarter + shallow_quarter
        half = self.fuse_half(torch.cat([half + shallow_half, self.quarter_to_half(quarter)], dim=1))
        full = self.fuse_full(torch.cat([full + shallow_full, self.half_to_full(half)], dim=1))
        return self.decoder(full)


@register(
    NetworkSpec(
        name="drgn",
        title="DRGN",
        paper="Jiang et al., Degrade is Upgrade: Learning Degradation for Low-light Image Enhancement, AAAI 2022",
        recipe="drgn_proxy",
        spatial_scope="global",
        halo=0,
        multiple=8,
        smallest_side=8,
        working_side=256,
    )
)
class DRGN(nn.Module):
    """Dark picture in, bright picture out. `width` is the channel count of both generators."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.degradation_generator = FusionNetwork(width)
        self.refinement_generator = FusionNetwork(width)

    def forward(self, image: Tensor) -> Tensor:
        """`image` [N,3,H,W] in [0,1], sides multiples of 8 -> the result `I*` [N,3,H,W], unclamped."""
        return self.refine(image - self.degradation(image))

    def degradation(self, image: Tensor) -> Tensor:
        """The degradation of `image` [N,3,H,W]: `I_D`, same shape, signed."""
        return self.degradation_generator(image)

    def refine(self, base: Tensor) -> Tensor:
        """The base `I_B` [N,3,H,W] -> the result `I*`, same shape, unclamped."""
        return base + self.refinement_generator(base)


class _Enlarge(nn.Sequential):
    """Twice the size by a transposed convolution, then PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.PReLU(outputs))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
