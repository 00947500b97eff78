"""ExdNet: three synthetic exposures of one dark picture, their differences, and a global colour matrix.

The picture is clipped at its percentiles 1 and 99 and stretched to three ranges. One shared convolution encodes the
picture and its exposures; the differences between neighbours, fused, show what more light would reveal. Two small
convolutional networks refine the picture and the fused differences; their weighted sum goes through a 3×3 colour
matrix that learned queries read from the whole scene.

Source: "Exposure Difference Network for Low-light Image Enhancement", Pattern Recognition 156 (2024), 110796.
Its blocks come from IAT: Cui et al., "You Only Need 90K Parameters to Adapt Light", BMVC 2022.
Parameter names are the published ones, so a published checkpoint loads strict.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks._depthwise import DepthwiseConv5x5
from training.networks._official import OfficialLayout, StateDict, register_official
from training.networks._registry import NetworkSpec, register

EXPOSURE_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "lsrw": ((0.033, 0.9), (0.04, 0.9), (0.1, 1.0)),
    "rellisur": ((0.033, 0.99), (0.04, 0.99), (0.1, 0.99)),
}
"""Darkest and brightest value, in [0, 1], that each exposure is stretched to; one triple for each training set."""

DROP_PATH_RATES = (0.01, 0.05, 0.1)


class ExposureSynthesis(nn.Module):
    """Stretch a picture to three exposure ranges, in 8 bits, as the published loaders do on uint8 arrays."""

    def __init__(self, constants: str = "lsrw") -> None:
        super().__init__()
        if constants not in EXPOSURE_RANGES:
            raise ValueError(f"constants must be one of {sorted(EXPOSURE_RANGES)}, not {constants!r}")
        self.ranges: list[tuple[float, float]] = list(EXPOSURE_RANGES[constants])

    def percentiles(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Percentiles 1 and 99 of each picture, as int64 [N, 1, 1, 1], truncated to code values.

        Exact, like `np.percentile` with linear interpolation over all pixels and channels, but from a histogram,
        so that the graph needs no sort. Ranks are integers; counts are float32, which add up exactly to 16.7
        million pixels a channel.

        Args:
            codes: int64 [N, 3, H, W] of sRGB code values 0 to 255.
        """
        batch, channels = codes.shape[0], codes.shape[1]
        planes = codes.flatten(2).flatten(0, 1)
        first_bin = 256 * torch.arange(batch * channels, device=codes.device).unsqueeze(1)
        bins = (planes + first_bin).flatten()
        counts = torch.zeros(batch * channels * 256, device=codes.device)
        counts = counts.scatter_add(0, bins, torch.ones_like(bins, dtype=torch.float32))
        cumulative = counts.reshape(batch, channels, 256).to(torch.int64).sum(dim=1).cumsum(dim=1)
        last_rank = cumulative[:, 255:] - 1
        shape = (-1, 1, 1, 1)
        low = self._value_at(cumulative, last_rank, 1).reshape(shape)
        high = self._value_at(cumulative, last_rank, 99).reshape(shape)
        return low, high

    def _value_at(self, cumulative: Tensor, last_rank: Tensor, percent: int) -> Tensor:
        """Interpolated percentile [N, 1], truncated. Rank k is the first value whose cumulative count exceeds k."""
        position = last_rank * percent
        rank = torch.div(position, 100, rounding_mode="floor")
        hundredths = position - rank * 100
        below = (cumulative <= rank).sum(dim=1, keepdim=True)
        above = (cumulative <= torch.minimum(rank + 1, last_rank)).sum(dim=1, keepdim=True)
        return below + torch.div((above - below) * hundredths, 100, rounding_mode="floor")

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> three exposures, [N, 9, H, W] in [0, 1], each a whole code value over 255."""
        codes = torch.round(image.detach().float() * 255.0).clamp(0.0, 255.0)
        low, high = self.percentiles(codes.to(torch.int64))
        lowest, span = low.to(codes.dtype), (high - low).to(codes.dtype)
        # A truncated percentile is also the smallest (largest) value left after clipping. No span: a flat exposure.
        stretched = (torch.maximum(torch.minimum(codes, lowest + span), lowest) - lowest) / span.clamp(min=1.0)
        exposures: list[Tensor] = []
        for darkest, brightest in self.ranges:
            exposure = torch.round(255.0 * darkest + stretched * (255.0 * (brightest - darkest)))
            exposures.append((exposure / 255.0).to(image.dtype))
        return torch.cat(exposures, dim=1)


class DropPath(nn.Module):
    """Skip a residual branch for a whole picture at random, in training only (stochastic depth)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, scale: Tensor, pictures: int) -> Tensor:
        """The factor of each picture's branch: `scale` [1, C, 1, 1], or in training [N, C, 1, 1].

        Of N pictures' branches each is dropped at `rate`; the kept ones are scaled to the same mean.
        """
        if not self.training or self.rate == 0.0:
            return scale
        keep = 1.0 - self.rate
        kept = torch.rand(pictures, 1, 1, 1, device=scale.device) < keep
        return scale * (kept.to(scale.dtype) / keep)


class ColorAffine(nn.Module):
    """`alpha * (color @ pixel) + beta` in every pixel: the paper's "normalization", which is a 1×1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, channels))
        self.color = nn.Parameter(torch.eye(channels))

    def forward(self, features: Tensor) -> Tensor:
        weight = self.alpha.reshape(-1, 1) * self.color
        return F.conv2d(features, weight.unsqueeze(-1).unsqueeze(-1), self.beta.reshape(-1))


class PointwiseMlp(nn.Module):
    """1×1 convolution to four times the width, GELU, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, 4 * channels, 1)
        self.fc2 = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(features)))


class ConvBlock(nn.Module):
    """Transformer-shaped block with a depthwise 5×5 convolution instead of attention."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = ColorAffine(channels)
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.attn = DepthwiseConv5x5(channels, bias=True)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.norm2 = ColorAffine(channels)
        self.mlp = PointwiseMlp(channels)
        self.gamma_1 = nn.Parameter(torch.full((1, channels, 1, 1), 1e-4))
        self.gamma_2 = nn.Parameter(torch.full((1, channels, 1, 1), 1e-4))
        self.drop_path = DropPath(drop_path)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.pos_embed(features)
        mixed = self.conv2(self.attn(self.conv1(self.norm1(features))))
        features = torch.addcmul(features, self.drop_path(self.gamma_1, features.shape[0]), mixed)
        refined = self.mlp(self.norm2(features))
        return torch.addcmul(features, self.drop_path(self.gamma_2, features.shape[0]), refined)


class BaseNet(nn.Module):
    """Local refinement: three blocks between two convolutions. [N, 3, H, W] -> [N, 3, H, W] in (-1, 1)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.add_blocks = nn.Sequential(*(ConvBlock(width, rate) for rate in DROP_PATH_RATES))
        self.add_end = nn.Sequential(nn.Conv2d(width, 3, 3, padding=1), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        shallow = F.leaky_relu(self.conv1(image), 0.2)
        return self.add_end(self.add_blocks(shallow) + shallow)


class SceneEmbedding(nn.Module):
    """[N, 3, H, W] -> [N, 64, H/4, W/4]: the scene that the colour queries look at."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(width // 2),
            nn.GELU(),
            nn.AvgPool2d(2),
            nn.Conv2d(width // 2, width, 1),
            nn.BatchNorm2d(width),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class QueryAttention(nn.Module):
    """Ten learned queries attend to all tokens of a scene. [N, T, C] -> [N, 10, C]."""

    def __init__(self, width: int, heads: int = 4, queries: int = 10) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.q = nn.Parameter(torch.ones(1, queries, width))
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)
        nn.init.zeros_(self.v.weight)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, [self.heads, -1]).transpose(1, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        scores = torch.matmul(self._split(self.q), self._split(self.k(tokens)).transpose(2, 3)) * self.scale
        answers = torch.matmul(scores.softmax(dim=3), self._split(self.v(tokens)))
        return self.proj(answers.transpose(1, 2).flatten(2))


class TokenMlp(nn.Module):
    """Linear to four times the width, GELU, and back, on [N, T, C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class QueryBlock(nn.Module):
    """Position, attention without a residual path, and an MLP with one. [N, C, H, W] -> [N, 10, C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width)
        self.attn = QueryAttention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TokenMlp(width)

    def forward(self, scene: Tensor) -> Tensor:
        scene = scene + self.pos_embed(scene)
        answers = self.attn(self.norm1(scene.flatten(2).transpose(1, 2)))
        return answers + self.mlp(self.norm2(answers))


class GlobalColor(nn.Module):
    """Predict a colour matrix for the scene: queries 1 to 9, each a coefficient, added to a learned base.

    Query 0 and the `gamma` parameters are unused and do not learn here. IAT uses them, and published checkpoints
    contain them.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.gamma_base = nn.Parameter(torch.ones(1))
        self.color_base = nn.Parameter(torch.eye(3))
        self.conv_large = SceneEmbedding(width)
        self.generator = QueryBlock(width)
        self.gamma_linear = nn.Linear(width, 1)
        self.color_linear = nn.Linear(width, 1)
        self.gamma_base.requires_grad_(False)
        self.gamma_linear.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """Colour matrices [N, 3, 3], a row an output channel, from pictures [N, 3, H, W] with sides of 3 or more."""
        answers = self.generator(self.conv_large(image))
        return self.color_linear(answers[:, 1:]).reshape(-1, 3, 3) + self.color_base


@register(
    NetworkSpec(
        name="exdnet",
        title="ExdNet",
        paper="Exposure difference network for low-light image enhancement, Pattern Recognition 156 (2024), 110796",
        recipe="exdnet",
        spatial_scope="global",
        halo=0,
        multiple=1,
        smallest_side=6,
        working_side=256,
    )
)
class ExdNet(nn.Module):
    """The whole network; 75,554 parameters.

    Args:
        exposure_constants: whose stretch ranges to use: `lsrw` or `rellisur`.

    Raises:
        ValueError: for other constants.
    """

    def __init__(self, exposure_constants: str = "lsrw") -> None:
        super().__init__()
        self.exposures = ExposureSynthesis(exposure_constants)
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1)
        self.conv = nn.Conv2d(9, 3, 3, padding=1)
        self.local_net = BaseNet()
        self.local_net_1 = BaseNet()
        self.nlt_weight = nn.Parameter(torch.ones(1, 3, 1, 1))
        self.nlt_bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.global_net = GlobalColor()

    @torch.jit.export
    def stack(self, image: Tensor) -> Tensor:
        """Picture and exposures as the published network takes them: [N, 12, H, W] in [-1, 1]."""
        return torch.cat([image, self.exposures(image)], dim=1) * 2.0 - 1.0

    @torch.jit.export
    def refine(self, stack: Tensor) -> Tensor:
        """Sum of the refined picture and the refined exposure differences, [N, 3, H, W], before the colour matrix."""
        image, first, second, third = stack.split(3, dim=1)
        encoded, encoded1 = self.conv1(image), self.conv1(first)
        encoded2, encoded3 = self.conv1(second), self.conv1(third)
        differences = torch.cat([encoded1 - encoded, encoded2 - encoded1, encoded3 - encoded2], dim=1)
        revealed = self.local_net_1(self.conv(differences))
        return self.local_net(image) + revealed * self.nlt_weight + self.nlt_bias

    @torch.jit.export
    def color_matrix(self, refined: Tensor) -> Tensor:
        """Colour matrices [N, 3, 3] for the result of `refine`."""
        return self.global_net(F.avg_pool2d(refined, 2))

    @torch.jit.export
    def calibrate(self, refined: Tensor) -> Tensor:
        """Apply each picture's own colour matrix to the result of `refine`; not clamped."""
        calibrated = torch.matmul(self.color_matrix(refined), refined.flatten(2))
        return calibrated.reshape(refined.shape)

    @torch.jit.export
    def enhance(self, stack: Tensor) -> Tensor:
        """Published forward pass: [N, 12, H, W] in [-1, 1] -> [N, 3, H, W] in [1e-8, 1]."""
        return self.calibrate(self.refine(stack)).clamp(1e-8, 1.0)

    @torch.jit.export
    def unclamped(self, image: Tensor) -> Tensor:
        """The result of `forward` before clamping, for losses that also need a gradient outside the range."""
        return self.calibrate(self.refine(self.stack(image)))

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> [N, 3, H, W] in [1e-8, 1]; sides of at least 6."""
        return self.enhance(self.stack(image))


def _is_published(states: Sequence[StateDict]) -> bool:
    """Whether the one given file holds ExdNet; its keys are ours. (IAT, its parent, has no second local network.)"""
    return len(states) == 1 and {"nlt_weight", "local_net_1.conv1.weight"} <= set(states[0])


# Weights do not show which data set's exposures they were trained on; LSRW's, the default, are assumed.
register_official(OfficialLayout("exdnet", _is_published, lambda states: ({}, dict(states[0]))))
