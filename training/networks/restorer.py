"""A network that removes noise from an enhanced photo, at full size.

A colour map amplifies the noise of a dark photo. This network gets the enhanced photo from any model, the dark photo,
and the ratio of their local brightness, which tells where noise was amplified and how much. It predicts a correction
that is added to the enhanced photo.

It is a residual U-net (Ronneberger et al., "U-Net", MICCAI 2015; He et al., "Deep Residual Learning", CVPR 2016) at a
half, a quarter and an eighth of the picture's size. The first step folds 2 x 2 pixels into features (Shi et al.,
"Real-Time Single Image and Video Super-Resolution", CVPR 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks._registry import NetworkSpec, register

SPEC = NetworkSpec(
    name="restorer",
    title="Nightlift's restorer",
    paper="ours; docs/rendering.md",
    recipe="restorer",
    spatial_scope="local",
    halo=32,
    multiple=8,
    smallest_side=8,
    working_side=256,
    takes_answer=True,
)

LOG_SCALE = 64.0
"""Dark code values are spread by log(1 + 64 x) / 4."""

NEIGHBOURHOOD = 9
"""Side in pixels of the window over which the local gain is taken."""


@register(SPEC)
class Restorer(nn.Module):
    """float [N, 6, H, W] in [0, 1], an answer and the photo that it was made from -> [N, 3, H, W].

    The result may lie slightly outside [0, 1]. Sides are multiples of 8. The receptive field is larger than the halo
    of 32 pixels, but pixels further away have no visible effect (tests compare tiles with the whole picture).

    Args:
        widths: features at a half, a quarter and an eighth of the picture's size.
        blocks: residual blocks of two convolutions at each size on the way down; as many at a half on the way up.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 48, 72), blocks: tuple[int, int, int] = (1, 1, 2)) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.stem = nn.Conv2d(4 * 7, half, 3, padding=1)
        self.fine = _blocks(half, blocks[0])
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.middle = _blocks(quarter, blocks[1])
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.coarse = _blocks(eighth, blocks[2])
        self.from_eighth = nn.Conv2d(eighth, 4 * quarter, 1)
        self.middle_again = _blocks(quarter, blocks[1])
        self.from_quarter = nn.Conv2d(quarter, 4 * half, 1)
        self.fine_again = _blocks(half, blocks[0])
        self.head = nn.Conv2d(half, 4 * 3, 3, padding=1)
        nn.init.normal_(self.head.weight, 0.0, 1e-3)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, pair: Tensor) -> Tensor:
        """See the class."""
        answer, dark = pair.split(3, dim=1)
        return answer + self.correction(answer, dark).to(answer.dtype)

    def correction(self, answer: Tensor, dark: Tensor) -> Tensor:
        """The correction to add to an answer: [N, 3, H, W] twice -> the same shape, in the computing type."""
        seen = torch.cat([answer, spread(dark), local_gain(answer, dark)], dim=1)
        fine = self.fine(F.relu(self.stem(F.pixel_unshuffle(seen, 2))))
        middle = self.middle(F.relu(self.to_quarter(fine)))
        coarse = self.coarse(F.relu(self.to_eighth(middle)))
        middle = self.middle_again(middle + F.pixel_shuffle(self.from_eighth(coarse), 2))
        fine = self.fine_again(fine + F.pixel_shuffle(self.from_quarter(middle), 2))
        return F.pixel_shuffle(self.head(fine), 2)


class Residual(nn.Module):
    """Two 3x3 convolutions with a skip connection: [N, features, H, W] -> the same shape."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        nn.init.normal_(self.second.weight, 0.0, 1e-2)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return features + self.second(F.relu(self.first(features)))


def spread(dark: Tensor, scale: float = LOG_SCALE) -> Tensor:
    """log(1 + `scale` x) / 4, which separates dark code values."""
    return torch.log1p(scale * dark) / 4.0


def local_gain(answer: Tensor, dark: Tensor) -> Tensor:
    """How much brighter an answer is than the photo near each pixel, [N, 3, H, W] twice -> [N, 1, H, W].

    A quarter of the logarithm of the ratio of their means over 9 x 9 pixels.
    """
    return torch.log((_local_mean(answer) + 1 / 255) / (_local_mean(dark) + 1 / 255)) / 4.0


def _local_mean(picture: Tensor, side: int = NEIGHBOURHOOD) -> Tensor:
    """Mean grey of `side` x `side` pixels within the picture: [N, 3, H, W] -> [N, 1, H, W]."""
    grey = picture.mean(dim=1, keepdim=True)
    return F.avg_pool2d(grey, side, stride=1, padding=side // 2, count_include_pad=False)


def _blocks(features: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(features) for _ in range(count)))
