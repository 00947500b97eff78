"""Local colour maps: shrinking a picture, and applying a map made from the small picture to every pixel.

The same arithmetic as the service's guided rendering: exact area means for shrinking, half-pixel centres and linear
interpolation for enlarging. Sides are unknown while a graph is exported, so nothing here branches on them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract import BT601
from training.networks._separable import Separable

STEP = 8
"""Sides of a proxy are multiples of this, in pixels."""

MIN_SIDE_OF_MAP = 16
"""Shortest side of a proxy, in pixels."""

FINEST = 4
"""Largest factor between the sides of the grid of local light and those of the map."""

QUIET, NOISY = (3.0, 1.5), (6.0, 3.0)
"""Deviations of grey and of colour noise, in code values of 255, up to which it is not seen, and from which it is."""

# Of white noise of deviation 1 in each channel, the mean size of a second difference of second differences is
# 6 sqrt(2 / pi) in a channel, 1 / sqrt(3) of that in their mean, and sqrt(2) times it in the difference of two.
GREY_NOISE = math.sqrt(math.pi / 2) / 6 * math.sqrt(3)
COLOUR_NOISE = math.sqrt(math.pi / 2) / 6 / math.sqrt(2)


def proxy_size(height: int, width: int, side: int, step: int = STEP) -> tuple[int, int]:
    """(height, width) of a picture shrunk so that its long side has `side` pixels or less.

    Multiples of `step`, at least 16, and never more than the picture has; its sides are at least 16.
    """
    longest = larger(height, width)
    long = smaller(longest, side) // step * step
    return _along(height, longest, long, step), _along(width, longest, long, step)


def shrink(image: Tensor, height: int, width: int) -> Tensor:
    """Exact area means: float [N, C, H, W] to [N, C, height, width], neither side larger than before."""
    if not torch.jit.is_scripting() and _trains_on_cpu(image):
        return _area_means(image.shape[2], image.shape[3], height, width)(image)
    rows = _area_weights(image.shape[2], height, image)
    columns = _area_weights(image.shape[3], width, image)
    return torch.matmul(torch.matmul(rows, image), columns.t())


def enlarge(coefficients: Tensor, height: int, width: int) -> Tensor:
    """Stretch a map over a picture: float [N, C, h, w] to [N, C, height, width]."""
    if not torch.jit.is_scripting() and _trains_on_cpu(coefficients):
        if (height, width) == tuple(coefficients.shape[2:]):
            return coefficients
        return _linear(coefficients.shape[2], coefficients.shape[3], height, width)(coefficients)
    return F.interpolate(coefficients, size=[height, width], mode="bilinear", align_corners=False)


def apply_map(coefficients: Tensor, image: Tensor) -> Tensor:
    """Stretch a map over a picture and apply it.

    Args:
        coefficients: float [N, K, h, w], neither side longer than the picture's. K is
            15: `y = gain * m + offset + T (x - m)` with m the local mean (`light_size`): three gains, three offsets,
            and the 3 x 3 matrix T row by row, which grows with large cells (`_for_cells`);
            16: plus a factor q; where the picture has no visible noise (`noise_free_mask`), T is the gains, times q
            for luminance; q = 0: T everywhere.
        image: float [N, 3, H, W], code values in [0, 1].

    Returns:
        float [N, 3, H, W], which may leave [0, 1].
    """
    height, width = image.shape[2], image.shape[3]
    fine_height, fine_width = light_size(height, width, coefficients.shape[2], coefficients.shape[3])
    light = shrink(image, fine_height, fine_width)
    cell = (height / fine_height + width / fine_width) / 2
    # One split: separate slices would each have a gradient as large as the whole.
    light_terms, texture_terms = coefficients[:, :15].split([6, 9], dim=1)
    matrix = _for_cells(light_terms, texture_terms, cell)
    if coefficients.shape[1] == 16:
        matrix = _for_noise(matrix, coefficients, image)
    gain, offset = enlarge(light_terms, fine_height, fine_width).split([3, 3], dim=1)
    red, green, blue = enlarge(matrix, fine_height, fine_width).unflatten(1, [3, 3]).unbind(2)
    base = gain * light + offset - _mix(red, green, blue, light)
    red, green, blue = enlarge(matrix, height, width).unflatten(1, [3, 3]).unbind(2)
    return _mix(red, green, blue, image) + enlarge(base, height, width)


def _for_cells(light_terms: Tensor, texture: Tensor, cell: float) -> Tensor:
    """T of a map, [N, 9, h, w], for cells with sides of `cell` pixels; gains and offsets are [N, 6, h, w].

    Detail finer than 7/3 pixels may be noise, and T decides how much of it to keep. With larger cells, part of the
    detail within a cell is coarser than noise: T grows with the cell, until texture gets the gain of the local mean.
    """
    gain = light_terms[:, :3].sum(dim=1, keepdim=True)
    kept = texture.sum(dim=1, keepdim=True) / gain.clamp(min=1e-6)
    most = (1.0 / kept.clamp(min=1e-6)).clamp(min=1.0)
    return texture * torch.minimum(most, (torch.ones_like(most) * (cell * 3.0 / 7.0)).clamp(min=1.0))


def _for_noise(
    matrix: Tensor, coefficients: Tensor, image: Tensor, weights: tuple[float, float, float] = BT601
) -> Tensor:
    """T, [N, 9, h, w], of a map of 16 coefficients: where the picture shows no noise, texture gets the gains of
    light.

    And its luminance the sixteenth times that: colours need no emphasis, and their noise shows first.
    """
    gains, clear = coefficients[:, :3], coefficients[:, 15:16]
    more = gains * (clear - 1.0)
    rows = []
    for channel in range(3):
        for colour in range(3):
            part = more[:, channel : channel + 1] * weights[colour]
            rows.append(part + gains[:, channel : channel + 1] if colour == channel else part)
    wanted = torch.cat(rows, dim=1)
    nothing = torch.zeros_like(clear)
    share = torch.where(clear > 0, noise_free_mask(image, gains.mean(dim=1, keepdim=True)), nothing)
    return matrix + share * (wanted - matrix)


def noise_free_mask(
    image: Tensor,
    gain: Tensor,
    unseen: tuple[float, float] = QUIET,
    seen: tuple[float, float] = NOISY,
    grey_unit: float = GREY_NOISE,
    colour_unit: float = COLOUR_NOISE,
) -> Tensor:
    """How free of noise a picture will look: 0 (texture may be noise) to 1, float [N, 1, h, w].

    Noise is measured in the picture by Immerkaer's method ("Fast Noise Variance Estimation", 1996), second
    differences of second differences, and multiplied by the gain that it will get. The noisier of brightness and
    colour decides. Each block of 8 x 8 pixels of the map gets the lowest noise among 5 x 5 blocks, because noise is
    everywhere and structure seldom is.

    Args:
        image: float [N, 3, H, W], code values in [0, 1].
        gain: float [N, 1, h, w].
        unseen, seen: standard deviations of grey and of colour noise in the result, in code values of 255, up to
            which it is invisible, and from which it is visible.
        grey_unit, colour_unit: standard deviations of noise whose mean second difference of second differences is 1.
    """
    red, green, blue = image.split(1, dim=1)
    planes = torch.cat([(red + green + blue) / 3.0, red - green, blue - green], dim=1)
    across = planes[:, :, :, :-2] - 2.0 * planes[:, :, :, 1:-1] + planes[:, :, :, 2:]
    response = (across[:, :, :-2] - 2.0 * across[:, :, 1:-1] + across[:, :, 2:]).abs()
    deviations = torch.cat(
        [response[:, 0:1] * grey_unit, (response[:, 1:2] + response[:, 2:3]) * (0.5 * colour_unit)], dim=1
    )
    rows, columns = _blocks(gain.shape[2]), _blocks(gain.shape[3])
    least = -F.max_pool2d(-shrink(deviations, rows, columns), 5, stride=1, padding=2)
    codes = 255.0 * least * shrink(gain, rows, columns)
    grey = (seen[0] - codes[:, 0:1]) / (seen[0] - unseen[0])
    colour = (seen[1] - codes[:, 1:2]) / (seen[1] - unseen[1])
    return enlarge(torch.minimum(grey, colour).clamp(0.0, 1.0), gain.shape[2], gain.shape[3])


def light_size(height: int, width: int, map_height: int, map_width: int, finest: int = FINEST) -> tuple[int, int]:
    """(height, width) of the grid whose area means are a picture's local light: a multiple of the map's size.

    The finest multiple, up to `finest`, whose cells have sides of at least 7/3 pixels, as in the proxy of a picture
    of 600 pixels. Detail finer than a cell counts as texture, which may be noise.
    """
    factor = smaller(3 * height // (7 * map_height), 3 * width // (7 * map_width))
    factor = larger(smaller(factor, finest), 1)
    return factor * map_height, factor * map_width


def local_mean(image: Tensor, radius: int) -> Tensor:
    """Means over windows of `2 * radius + 1` pixels, at the border over the part inside the picture."""
    window = 2 * radius + 1
    if not torch.jit.is_scripting() and _trains_on_cpu(image):
        return _mean_by_convolution(image, window)
    return F.avg_pool2d(image, window, stride=1, padding=radius, count_include_pad=False)


def _trains_on_cpu(image: Tensor) -> bool:
    """Whether gradients may be needed on a CPU, and this is not an export, which needs standard operators."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return False
    return image.device.type == "cpu" and image.dtype == torch.float32


@lru_cache(maxsize=64)
def _area_means(height: int, width: int, fewer_rows: int, fewer_columns: int) -> Separable:
    """`shrink` as matrices."""
    like = torch.empty(0)
    return Separable.of(_area_weights(height, fewer_rows, like), _area_weights(width, fewer_columns, like))


@lru_cache(maxsize=64)
def _linear(height: int, width: int, rows: int, columns: int) -> Separable:
    """`enlarge` as matrices: the interpolation of unit vectors."""
    down, across = (
        F.interpolate(torch.eye(length)[None], size=longer, mode="linear", align_corners=False)[0].t()
        for length, longer in ((height, rows), (width, columns))
    )
    return Separable.of(down, across)


def _mean_by_convolution(image: Tensor, window: int) -> Tensor:
    """`local_mean`, ten times as fast as average pooling, forward and backward."""
    channels, height, width = image.shape[1:]
    with torch.autocast(image.device.type, enabled=False):
        ones = torch.ones(channels, 1, window, window)
        sums = F.conv2d(image, ones, padding=window // 2, groups=channels)
        return sums * _share_of_each(height, width, window)


@lru_cache(maxsize=64)
def _share_of_each(height: int, width: int, window: int) -> Tensor:
    """One over the number of pixels that a window holds, by its place: float32 [height, width]."""
    counts = F.conv2d(torch.ones(1, 1, height, width), torch.ones(1, 1, window, window), padding=window // 2)
    return 1.0 / counts[0, 0]


def _mix(red: Tensor, green: Tensor, blue: Tensor, image: Tensor) -> Tensor:
    """The sum of the picture's channels times their weights `red`, `green` and `blue`, all [N, 3, H, W]."""
    mixed = torch.addcmul(red * image[:, 0:1], green, image[:, 1:2])
    return torch.addcmul(mixed, blue, image[:, 2:3])


def _area_weights(length: int, shorter: int, like: Tensor) -> Tensor:
    """float [shorter, length]: the share of each pixel in each pixel of the shrunk axis; rows sum to 1."""
    edges = torch.arange(shorter + 1, device=like.device, dtype=torch.float32) * (length / shorter)
    start = torch.arange(length, device=like.device, dtype=torch.float32)
    ends = torch.minimum(edges[1:].unsqueeze(1), start + 1)
    overlap = (ends - torch.maximum(edges[:-1].unsqueeze(1), start)).clamp(min=0.0)
    return (overlap / overlap.sum(dim=1, keepdim=True)).to(like.dtype)


def _along(side: int, longest: int, long: int, step: int, shortest: int = MIN_SIDE_OF_MAP) -> int:
    """One side of the proxy: scaled, rounded to a multiple of `step`, at least 16, at most what the picture has."""
    scaled = (2 * side * long + step * longest) // (2 * step * longest) * step
    return smaller(larger(scaled, shortest), side // step * step)


def _blocks(side: int, block: int = STEP) -> int:
    """How many blocks of 8 pixels a side has, at least one."""
    return larger(side // block, 1)


def larger(one: int, other: int) -> int:
    """The maximum of two sides, which may be unknown while a graph is exported."""
    if torch.jit.is_scripting():
        return max(one, other)
    else:
        return torch.sym_max(one, other)


def smaller(one: int, other: int) -> int:
    """The minimum, as `larger`."""
    if torch.jit.is_scripting():
        return min(one, other)
    else:
        return torch.sym_min(one, other)
