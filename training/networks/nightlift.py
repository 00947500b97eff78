"""Nightlift's own network: it predicts a local affine colour map from a shrunk picture.

The service needs a map from a network, not a picture (`service.rendering`): coefficients that turn a pixel's colour
into the enhanced one, by position. This network predicts them directly, as HDRnet does (Gharbi et al., "Deep
Bilateral Learning for Real-Time Image Enhancement", SIGGRAPH 2017), from a proxy of at most 256 pixels. Its losses
are taken after rendering at full size (the idea of Wu et al., "Fast End-to-End Trainable Guided Filter", CVPR 2018),
so it learns the map's effect on detail that it cannot see, such as noise.

With x the pixel and m the local mean, area means of the picture on a grid as fine as the proxy or up to four times
finer, enlarged linearly, the enhanced pixel is

    y = gain * m + offset + contrast * ((1 - pooling) * texture + pooling * w . texture),   texture = gain * (x - m)

Each channel has its gain and offset; contrast and pooling are one number per position. Contrast below 1 reduces
noise, as guided filters do; pooling takes texture from luminance alone (weights w of Rec. BT.601) and so removes
colour noise. The grid of the local mean depends on the picture's size, not on the proxy's: only detail as fine as
noise counts as texture (`light_size`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract import BT601, MapLayout
from training.networks._affine import apply_map, as_codes, proxy_size, shrink
from training.networks._compose_map import compose_map
from training.networks._registry import NetworkSpec, register
from training.networks._saved_names import keep_saved_names

SIDE = 256
"""Long side of the proxy in pixels."""

TERMS = 8
"""Predicted for each pixel: three gains, three offsets, contrast, pooling."""

LOG_SCALE = 64.0
"""Dark code values are spread by log(1 + 64 x)."""

SAVED_NAMES = {"context.summarise.": "scene.read.", "context.modulation.": "scene.tell."}

SPEC = NetworkSpec(
    name="nightlift",
    title="Nightlift",
    paper="ours; docs/house_network.md",
    recipe="nightlift",
    spatial_scope="global",
    halo=0,
    multiple=1,
    smallest_side=16,
    working_side=SIDE,
    map_layout=MapLayout.BASE_AND_CLEAN_DETAIL,
)


@register(SPEC)
class Nightlift(nn.Module):
    """float [N, 3, H, W] in [0, 1] -> enhanced, the same shape, which may leave [0, 1]; sides of at least 16.

    Args:
        width: features at half the proxy's resolution; a quarter has twice, an eighth two and two thirds as many.
        side: long side of the proxy in pixels.
        pooled: whether texture may be pooled over colours; without, the map has no mixing of colours.
        smoothing: exponent of contrast, 0 to 1. At 1 errors are smallest, at the cost of texture; at 0 all noise
            stays.
        detail_gain: where the picture has no visible noise, texture gets the full gain, and its luminance is
            multiplied by that gain once more, up to this limit of 1 to 3. At 0 texture is as the network predicts, as
            in training.

    Raises:
        ValueError: `smoothing` is outside 0 to 1, or `detail_gain` neither 0 nor from 1 to 3.
    """

    def __init__(
        self, width: int = 24, side: int = SIDE, pooled: bool = True, smoothing: float = 1.0, detail_gain: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= smoothing <= 1:
            raise ValueError(f"smoothing is {smoothing}; 0 to 1 is allowed")
        if detail_gain != 0 and not 1 <= detail_gain <= 3:
            raise ValueError(f"detail_gain is {detail_gain}; 0, and 1 to 3 are allowed")
        self.side = side
        self.pooled = pooled
        self.smoothing = float(smoothing)
        self.detail_gain = float(detail_gain)
        # An attribute, since scripts cannot read module constants.
        self.log_scale = LOG_SCALE
        half, quarter, eighth = width, 2 * width, 8 * width // 3
        self.stem = _convolution(4 * 7, half)
        self.fine = Block(half)
        self.to_quarter = _convolution(half, quarter, stride=2)
        self.middle = Block(quarter)
        self.to_eighth = _convolution(quarter, eighth, stride=2)
        self.coarse = nn.ModuleList([Block(eighth), Block(eighth, dilation=2)])
        self.context = GlobalContext(eighth)
        self.light = nn.Linear(eighth, 3)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.middle_again = Block(quarter)
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.fine_again = Block(half)
        self.head = _convolution(half, 4 * TERMS)
        for last in (self.light, self.head):
            nn.init.normal_(last.weight, 0.0, 0.01)
            assert last.bias is not None
            nn.init.zeros_(last.bias)
        self.register_buffer("luminance", torch.tensor(BT601).reshape(1, 3, 1, 1), persistent=False)
        self.luminance: Tensor
        keep_saved_names(self, SAVED_NAMES)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.render(self.affine(self.make_proxy(image)), image)

    def make_proxy(self, image: Tensor) -> Tensor:
        """The proxy of a picture: [N, 3, H, W] -> [N, 3, h, w], rounded to code values as the service's is."""
        height, width = proxy_size(image.shape[2], image.shape[3], self.side)
        return as_codes(shrink(image, height, width))

    def render(self, coefficients: Tensor, image: Tensor) -> Tensor:
        """A map [N, 16, h, w], applied to a picture [N, 3, H, W]."""
        return apply_map(coefficients if self.detail_gain else coefficients[:, :15], image)

    def affine(self, proxy: Tensor) -> Tensor:
        """The map of a proxy: [N, 3, h, w], sides multiples of 8, in [0, 1] -> [N, 16, h, w] (`apply_map`)."""
        logarithm = torch.log1p(self.log_scale * proxy) / 4.0
        seen = torch.cat([proxy, logarithm, logarithm.amax(dim=1, keepdim=True)], dim=1)
        fine = self.fine(F.relu(self.stem(F.pixel_unshuffle(seen, 2))))
        middle = self.middle(F.relu(self.to_quarter(fine)))
        coarse = F.relu(self.to_eighth(middle))
        for block in self.coarse:
            coarse = block(coarse)
        coarse, context = self.context(coarse)
        middle = self.middle_again(middle + _twice(self.from_eighth(coarse)))
        fine = self.fine_again(fine + _twice(self.from_quarter(middle)))
        terms = F.pixel_shuffle(self.head(fine), 2).to(proxy.dtype).contiguous()
        light = self.light(context).to(proxy.dtype)[:, :, None, None]
        return compose_map(terms, light, self.luminance, self.smoothing, self.detail_gain, self.pooled)


class Block(nn.Module):
    """A 3x3 convolution with a residual connection; dilation widens its view."""

    def __init__(self, features: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _convolution(features, features, dilation=dilation)

    def forward(self, features: Tensor) -> Tensor:
        """[N, features, H, W], the same shape again."""
        return features + F.relu(self.first(features))


class GlobalContext(nn.Module):
    """Features of the whole picture, which scale and shift those of every pixel.

    Feature-wise linear modulation (Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI
    2018).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.summarise = nn.Linear(2 * features, features)
        self.modulation = nn.Linear(features, 2 * features)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """[N, features, H, W] -> the same, and the features of the whole picture, [N, features]."""
        statistics = torch.cat([features.mean(dim=[2, 3]), features.amax(dim=[2, 3])], dim=1)
        context = F.relu(self.summarise(statistics))
        scale, shift = self.modulation(context)[:, :, None, None].chunk(2, dim=1)
        return F.relu(features * (1.0 + scale) + shift), context


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3 x 3; the border is replicated, since zeros beyond it would look like darkness, which asks for light."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, padding_mode="replicate")


def _twice(features: Tensor) -> Tensor:
    """Twice as large, each pixel four times."""
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
