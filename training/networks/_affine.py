"""Local colour maps: seeing a picture small, and bringing a map that was made there to every pixel.

The same arithmetic as the service's guided rendering: exact area means on the way down, half-pixel centres and
linear interpolation on the way up. Sides are unknown while a graph is exported, so nothing here branches on them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

STEP = 8
"""Sides of a proxy are multiples of this, in pixels."""

SHORTEST = 16
"""Shortest side of a proxy, in pixels."""

FINEST = 4
"""Largest factor between the sides of the grid of local light and those of the map."""


def proxy_size(height: int, width: int, side: int, step: int = STEP) -> tuple[int, int]:
    """(height, width) of a picture shrunk so that its long side has `side` pixels or less.

    Multiples of `step`, at least 16, and never more than the picture has; its sides are at least 16.
    """
    longest = _larger(height, width)
    long = _smaller(longest, side) // step * step
    return _along(height, longest, long, step), _along(width, longest, long, step)


def shrink(image: Tensor, height: int, width: int) -> Tensor:
    """Exact area means: float [N, C, H, W] to [N, C, height, width], neither side larger than before."""
    rows = _area_weights(image.shape[2], height, image)
    columns = _area_weights(image.shape[3], width, image)
    return torch.matmul(torch.matmul(rows, image), columns.t())


def as_codes(image: Tensor) -> Tensor:
    """Rounded to multiples of 1/255, as a picture is that an engine is given."""
    return torch.round(image * 255.0) / 255.0


def enlarge(coefficients: Tensor, height: int, width: int) -> Tensor:
    """Stretch a map over a picture: float [N, C, h, w] to [N, C, height, width]."""
    return F.interpolate(coefficients, size=[height, width], mode="bilinear", align_corners=False)


def apply_map(coefficients: Tensor, image: Tensor) -> Tensor:
    """Stretch a map over a picture and apply it.

    Args:
        coefficients: float [N, K, h, w], neither side longer than the picture's. K is
            6: slopes of red, green, blue, then their offsets;
            12: a 3 x 4 matrix row by row: `y[c] = k[4c] * red + k[4c + 1] * green + k[4c + 2] * blue + k[4c + 3]`;
            15: light and texture, `y = gain * m + offset + T (x - m)` with m the local light (`light_size`): three
            gains, three offsets, and the 3 x 3 matrix T row by row, which grows with large cells (`_for_cells`).
        image: float [N, 3, H, W], code values in [0, 1].

    Returns:
        float [N, 3, H, W], which may leave [0, 1].
    """
    height, width = image.shape[2], image.shape[3]
    if coefficients.shape[1] == 6:
        full = enlarge(coefficients, height, width)
        return full[:, :3] * image + full[:, 3:]
    if coefficients.shape[1] == 12:
        full = enlarge(coefficients, height, width)
        return _mix(full[:, 0::4], full[:, 1::4], full[:, 2::4], image) + full[:, 3::4]
    fine_height, fine_width = light_size(height, width, coefficients.shape[2], coefficients.shape[3])
    light = shrink(image, fine_height, fine_width)
    cell = (height / fine_height + width / fine_width) / 2
    coefficients = torch.cat([coefficients[:, :6], _for_cells(coefficients, cell)], dim=1)
    fine = enlarge(coefficients, fine_height, fine_width)
    base = fine[:, 0:3] * light + fine[:, 3:6] - _mix(fine[:, 6::3], fine[:, 7::3], fine[:, 8::3], light)
    texture = enlarge(coefficients[:, 6:], height, width)
    return _mix(texture[:, 0::3], texture[:, 1::3], texture[:, 2::3], image) + enlarge(base, height, width)


def _for_cells(coefficients: Tensor, cell: float) -> Tensor:
    """T of a map of 15 coefficients, [N, 9, h, w], for cells of so many pixels a side.

    What is finer than 7/3 pixels may be noise, and T says how much of it to keep. Of what is finer than a larger cell
    a part is coarser than noise: T grows as the cell does, until texture gets the gain of light.
    """
    texture = coefficients[:, 6:]
    gain = coefficients[:, :3].sum(dim=1, keepdim=True)
    kept = texture.sum(dim=1, keepdim=True) / gain.clamp(min=1e-6)
    most = (1.0 / kept.clamp(min=1e-6)).clamp(min=1.0)
    return texture * torch.minimum(most, (torch.ones_like(most) * (cell * 3.0 / 7.0)).clamp(min=1.0))


def light_size(height: int, width: int, map_height: int, map_width: int, finest: int = FINEST) -> tuple[int, int]:
    """(height, width) of the grid whose area means are a picture's local light: a multiple of the map's size.

    The finest multiple whose cells have at least 7/3 pixels a side, as the proxy has of a picture of 600, up to the
    `finest`. What is coarser than a cell is light, what is finer is texture, which may be noise.
    """
    factor = _smaller(3 * height // (7 * map_height), 3 * width // (7 * map_width))
    factor = _larger(_smaller(factor, finest), 1)
    return factor * map_height, factor * map_width


def local_mean(image: Tensor, radius: int) -> Tensor:
    """Means over windows of `2 * radius + 1` pixels, at the border over what there is of them."""
    window = 2 * radius + 1
    return F.avg_pool2d(image, window, stride=1, padding=radius, count_include_pad=False)


def _mix(red: Tensor, green: Tensor, blue: Tensor, image: Tensor) -> Tensor:
    """The sum of what a picture's channels give to the result's, `red` and so on: all [N, 3, H, W]."""
    return red * image[:, 0:1] + green * image[:, 1:2] + blue * image[:, 2:3]


def _area_weights(length: int, shorter: int, like: Tensor) -> Tensor:
    """float [shorter, length]: the share of each pixel in each pixel of the shrunk axis; rows sum to 1."""
    edges = torch.arange(shorter + 1, device=like.device, dtype=torch.float32) * (length / shorter)
    start = torch.arange(length, device=like.device, dtype=torch.float32)
    ends = torch.minimum(edges[1:].unsqueeze(1), start + 1)
    overlap = (ends - torch.maximum(edges[:-1].unsqueeze(1), start)).clamp(min=0.0)
    return (overlap / overlap.sum(dim=1, keepdim=True)).to(like.dtype)


def _along(side: int, longest: int, long: int, step: int, shortest: int = SHORTEST) -> int:
    """One side of the proxy: scaled, rounded to a multiple of `step`, at least 16, at most what the picture has."""
    scaled = (2 * side * long + step * longest) // (2 * step * longest) * step
    return _smaller(_larger(scaled, shortest), side // step * step)


def _larger(one: int, other: int) -> int:
    if torch.jit.is_scripting():
        return max(one, other)
    else:
        return torch.sym_max(one, other)


def _smaller(one: int, other: int) -> int:
    if torch.jit.is_scripting():
        return min(one, other)
    else:
        return torch.sym_min(one, other)
