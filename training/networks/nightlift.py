"""Nightlift's own network: it predicts a local colour map from a shrunk picture, and is told the wanted brightness.

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

Three inputs and layers answer what a small picture cannot:

- **Brightness is an input.** How bright a reference is, its photographer chose; the dark photo does not tell. So the
  network is told the wanted brightness, and estimates it from a few statistics if nobody asks for one.
- **Evidence.** What lies within a pixel of the proxy is averaged away: whether it is texture to be lifted or the flat
  black of a night sky, and how noisy it is. Three numbers a pixel describe it (`evidence`).
- **Context.** Self-attention over a sixteenth of the proxy relates all parts of the picture to each other: what is
  dark in front of a bright sky should be lifted, what is dark beside a lamp is night.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract import BT601, EVIDENCE_CHANNELS, EVIDENCE_SAMPLES, MapLayout
from training.networks._affine import apply_map, larger, proxy_size, shrink, smaller
from training.networks._compose_map import compose_map
from training.networks._registry import NetworkSpec, register

SIDE = 256
"""Long side of the proxy in pixels."""

TERMS = 8
"""Predicted for each pixel: three gains, three offsets, contrast, pooling."""

LOG_SCALE = 64.0
"""Dark code values are spread by log(1 + 64 x)."""

LEVELS = 16
"""Number of brightness levels in `light_statistics`."""

SHRUNK = 4
"""The statistics are taken from means over this many pixels of the proxy along each side."""

DARKEST = -9.0
"""Log2 of a code value of 0, plus the 1/512 that keeps it finite."""

GAMMA = 2.2
"""Exponent from code values to light, by which brightness is given in stops."""

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
        width: features at half the proxy's resolution; a quarter has twice, an eighth four times as many.
        side: long side of the proxy in pixels.
        smoothing: exponent of contrast, 0 to 1. At 1 errors are smallest, at the cost of texture; at 0 all noise
            stays.
        detail_gain: where the picture has no visible noise, texture gets the full gain, and its luminance is
            multiplied by that gain once more, up to this limit of 1 to 3. At 0 texture is as the network predicts, as
            in training.
        with_evidence: whether the network gets the `evidence`, or zeros.
        attention_blocks: number of blocks of self-attention.

    Raises:
        ValueError: `smoothing` is outside 0 to 1, or `detail_gain` neither 0 nor from 1 to 3.
    """

    def __init__(
        self,
        width: int = 24,
        side: int = SIDE,
        smoothing: float = 1.0,
        detail_gain: float = 0.0,
        with_evidence: bool = True,
        attention_blocks: int = 2,
    ) -> None:
        super().__init__()
        if not 0 <= smoothing <= 1:
            raise ValueError(f"smoothing is {smoothing}; 0 to 1 is allowed")
        if detail_gain != 0 and not 1 <= detail_gain <= 3:
            raise ValueError(f"detail_gain is {detail_gain}; 0, and 1 to 3 are allowed")
        self.side = side
        self.smoothing = float(smoothing)
        self.detail_gain = float(detail_gain)
        self.with_evidence = with_evidence
        # An attribute, since scripts cannot read module constants.
        self.log_scale = LOG_SCALE
        half, quarter, eighth = width, 2 * width, 4 * width
        self.stem = _convolution(4 * (7 + EVIDENCE_CHANNELS), half)
        self.fine = Block(half)
        self.to_quarter = _convolution(half, quarter, stride=2)
        self.middle = Block(quarter)
        self.to_eighth = _convolution(quarter, eighth, stride=2)
        self.coarse = nn.ModuleList([Block(eighth), Block(eighth, dilation=2)])
        self.to_sixteenth = nn.Conv2d(eighth, eighth, 3, stride=2, padding=1, padding_mode="replicate", groups=eighth)
        self.position = nn.Linear(1, eighth)
        self.attention = nn.ModuleList([Attention(eighth) for _ in range(attention_blocks)])
        statistics = 2 * eighth + 1
        # From few statistics and with dropout: estimates from the features above overfit the training scenes.
        self.guess = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(4 * LEVELS + 1, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1)
        )
        self.context = nn.Linear(statistics + 2, eighth)
        self.to_coarse = nn.Linear(eighth, 2 * eighth)
        self.to_middle = nn.Linear(eighth, 2 * quarter)
        self.light = nn.Linear(eighth, 3)
        self.mixed = Block(eighth)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.middle_again = Block(quarter)
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.fine_again = Block(half)
        self.head = _convolution(half, 4 * TERMS)
        for last in (self.light, self.head, self.guess[4], self.to_coarse, self.to_middle):
            nn.init.normal_(last.weight, 0.0, 0.01)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.register_buffer("luminance", torch.tensor(BT601).reshape(1, 3, 1, 1), persistent=False)
        self.luminance: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """See the class; as bright as the network guesses."""
        height, width = proxy_size(image.shape[2], image.shape[3], self.side)
        coefficients, _ = self.affine(shrink(image, height, width), evidence(image, height, width), None)
        return self.render(coefficients, image)

    def render(self, coefficients: Tensor, image: Tensor) -> Tensor:
        """A map [N, 16, h, w], applied to a picture [N, 3, H, W]."""
        return apply_map(coefficients if self.detail_gain else coefficients[:, :15], image)

    def affine(
        self, proxy: Tensor, hidden: Tensor, wanted: Tensor | None, exposure: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The map of a proxy, and the guess.

        Args:
            proxy: float [N, 3, h, w], sides multiples of 8, in [0, 1].
            hidden: float [N, 3, h, w], the `evidence`.
            wanted: float [N, 1], `brightness` of the result; None: as the network guesses.
            exposure: float [N, 1], stops that are added to it; None: none.

        Returns:
            the map [N, 16, h, w] (`apply_map`), and the guess [N, 1].
        """
        logarithm = torch.log1p(self.log_scale * proxy) / 4.0
        shown = torch.log1p(255.0 * hidden) / 2.0 if self.with_evidence else torch.zeros_like(hidden)
        seen = torch.cat([proxy, logarithm, logarithm.amax(dim=1, keepdim=True), shown], dim=1)
        fine = self.fine(F.relu(self.stem(F.pixel_unshuffle(seen, 2))))
        middle = self.middle(F.relu(self.to_quarter(fine)))
        coarse = F.relu(self.to_eighth(middle))
        for block in self.coarse:
            coarse = block(coarse)
        deep = self.to_sixteenth(coarse)
        down = (torch.arange(deep.shape[2], device=deep.device, dtype=deep.dtype) + 0.5) / deep.shape[2] - 0.5
        deep = deep + self.position(down[:, None]).t()[:, :, None]
        tokens = deep.flatten(2).transpose(1, 2)
        for layer in self.attention:
            tokens = layer(tokens)
        deep = tokens.transpose(1, 2).reshape(deep.shape)
        level = brightness(proxy, self.luminance).to(deep.dtype)
        statistics = torch.cat([tokens.mean(dim=1), coarse.amax(dim=[2, 3]), level / 4.0], dim=1)
        distribution = light_statistics(proxy, hidden, self.luminance).to(deep.dtype)
        guess = (level + 4.0 * self.guess(torch.cat([distribution, level / 4.0], dim=1))).float()
        aim = guess if wanted is None else wanted
        if exposure is not None:
            aim = aim + exposure
        lift = (aim - level).to(deep.dtype)
        context = F.relu(self.context(torch.cat([statistics, aim.to(deep.dtype) / 4.0, lift / 4.0], dim=1)))
        coarse = coarse + F.interpolate(deep, size=[coarse.shape[2], coarse.shape[3]], mode="nearest")
        coarse = self.mixed(_modulated(coarse, self.to_coarse(context)))
        middle = _modulated(middle + _twice(self.from_eighth(coarse)), self.to_middle(context))
        middle = self.middle_again(middle)
        fine = self.fine_again(fine + _twice(self.from_quarter(middle)))
        terms = F.pixel_shuffle(self.head(fine), 2).float().contiguous()
        # At first a stop of lift multiplies code values by 2^(1 / 2.2): ln 2 / 2.2, over the factor of `compose_map`.
        light = (self.light(context) + 0.0315 * lift).float()[:, :, None, None]
        return compose_map(terms, light, self.luminance, self.smoothing, self.detail_gain), guess


class Block(nn.Module):
    """A 3x3 convolution with a residual connection; dilation widens its view."""

    def __init__(self, features: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _convolution(features, features, dilation=dilation)

    def forward(self, features: Tensor) -> Tensor:
        """[N, features, H, W], the same shape again."""
        return features + F.relu(self.first(features))


class Attention(nn.Module):
    """A block of a transformer (Vaswani et al., 2017), normalised first: [N, tokens, features], the same again."""

    def __init__(self, features: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(features)
        self.queries = nn.Linear(features, 3 * features)
        self.joined = nn.Linear(features, features)
        self.between = nn.LayerNorm(features)
        self.wide = nn.Linear(features, 2 * features)
        self.narrow = nn.Linear(2 * features, features)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        split = self.queries(self.before(tokens)).unflatten(2, [3, self.heads, -1])
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.joined(seen.transpose(1, 2).flatten(2))
        return tokens + self.narrow(F.relu(self.wide(self.between(tokens))))


def brightness(image: Tensor, weights: Tensor, gamma: float = GAMMA) -> Tensor:
    """How bright pictures are, in stops: 2.2 log2 of the mean luminance of their code values.

    Args:
        image: float [N, 3, H, W] in [0, 1].
        weights: of luminance, [1, 3, 1, 1].
        gamma: see the constant.

    Returns:
        float [N, 1]; white has 0, black -19.8, since 1/512 is added to the mean.
    """
    mean = (image * weights).sum(dim=1).mean(dim=[1, 2])
    return (gamma * torch.log2(mean + 1 / 512))[:, None]


def light_statistics(
    proxy: Tensor,
    hidden: Tensor,
    weights: Tensor,
    levels: int = LEVELS,
    shrunk: int = SHRUNK,
    darkest: float = DARKEST,
) -> Tensor:
    """How light is distributed in pictures: [N, 4 * levels].

    The levels are evenly spaced in stops, from black to white, and a pixel between two of them counts for both. For
    each level: the share of the picture that has it; the same with more weight on the middle of the picture; the same
    for the upper half; and the share times the logarithm of the deviation that the pixels of the proxy hide.

    Args:
        proxy: float [N, 3, h, w] in [0, 1], sides multiples of 8.
        hidden: float [N, 3, h, w], its `evidence`.
        weights: of luminance, [1, 3, 1, 1].
        levels, shrunk, darkest: see the constants.
    """
    luminance = (F.avg_pool2d(proxy.float(), shrunk) * weights).sum(dim=1, keepdim=True)
    deviation = torch.log1p(255.0 * F.avg_pool2d(hidden[:, :1].float(), shrunk)) / 2.0
    places = torch.arange(levels, device=proxy.device)[:, None, None] * (-darkest / (levels - 1)) + darkest
    distance = (torch.log2(luminance + 2.0**darkest) - places).abs() * ((levels - 1) / -darkest)
    shares = (1.0 - distance).clamp(min=0.0)
    down = (torch.arange(luminance.shape[2], device=proxy.device) + 0.5)[:, None] / luminance.shape[2] * 2.0 - 1.0
    across = (torch.arange(luminance.shape[3], device=proxy.device) + 0.5)[None, :] / luminance.shape[3] * 2.0 - 1.0
    middle = torch.exp(-2.0 * (down * down + across * across))
    middle = middle / middle.mean()
    upper = (down < 0).to(shares.dtype) * 2.0
    parts = torch.cat([shares, shares * middle, shares * upper, shares * deviation], dim=1)
    return 4.0 * parts.mean(dim=[2, 3])


def evidence(
    image: Tensor, height: int, width: int, least: int = EVIDENCE_SAMPLES[0], most: int = EVIDENCE_SAMPLES[1]
) -> Tensor:
    """What the pixels of a proxy of (height, width) hide: float [N, 3, H, W] in [0, 1] -> [N, 3, height, width].

    Of 2 x 2 to 4 x 4 samples in each of the proxy's pixels: the deviation of grey; the mean absolute second
    difference of grey along a row, which is noise or the finest texture; and that of red and of blue less green.

    Args:
        image: a picture, not smaller than the proxy.
        height, width: of the proxy.
        least, most: fewest and most samples along a side of its pixels.
    """
    rows, columns = image.shape[2], image.shape[3]
    count = larger(least, smaller(most, smaller(rows // height, columns // width)))
    lines = image.index_select(2, _centres(rows, height * count, image))
    across = _centres(columns, width * count, image)
    here = lines.index_select(3, across)
    before = lines.index_select(3, (across - 1).clamp(min=0))
    after = lines.index_select(3, (across + 1).clamp(max=columns - 1))
    second = here - (before + after) / 2
    grey = _in_cells(here.mean(dim=1, keepdim=True), height, width, count)
    around = grey - grey.mean(dim=[3, 5], keepdim=True)
    sizes = torch.cat(
        [
            second.mean(dim=1, keepdim=True).abs(),
            ((second[:, 0:1] - second[:, 1:2]).abs() + (second[:, 2:3] - second[:, 1:2]).abs()) / 2,
        ],
        dim=1,
    )
    deviation = (around * around).mean(dim=[3, 5]).sqrt()
    return torch.cat([deviation, _in_cells(sizes, height, width, count).mean(dim=[3, 5])], dim=1)


def _in_cells(samples: Tensor, height: int, width: int, count: int) -> Tensor:
    """[N, C, height * count, width * count] -> [N, C, height, count, width, count]."""
    return samples.reshape(samples.shape[0], samples.shape[1], height, count, width, count)


def _centres(length: int, parts: int, like: Tensor) -> Tensor:
    """Of equal parts of an axis of `length` pixels, as indices."""
    places = torch.arange(parts, device=like.device)
    return torch.div((2 * places + 1) * length, 2 * parts, rounding_mode="floor")


def _modulated(features: Tensor, numbers: Tensor) -> Tensor:
    """Scaled and shifted, feature by feature (FiLM: Perez et al., AAAI 2018): [N, F, H, W] by [N, 2 F]."""
    scale, shift = numbers[:, :, None, None].chunk(2, dim=1)
    return features * (1.0 + scale) + shift


def _convolution(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """3 x 3; the border is replicated, since zeros beyond it would look like darkness, which asks for light."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, padding_mode="replicate")


def _twice(features: Tensor) -> Tensor:
    """Twice as large, each pixel four times."""
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
