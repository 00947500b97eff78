"""Decides how a network is applied to a picture: a pure function of sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.contract import (
    AFFINE,
    ENHANCED,
    EVIDENCE,
    EVIDENCE_CHANNELS,
    EXPOSURE,
    IMAGE,
    PROXY,
    ModelTraits,
    SpatialScope,
)
from service.errors import InvalidParameter, UnsupportedShape
from service.limits import MIN_SIDE
from service.rendering._options import Detail, RenderOptions

ASPECT_RATIOS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9, 2.0)
"""Common aspect ratios of proxies; pictures of similar shape use the same proxy shape, so that they share batches."""

MAX_DISTORTION = 0.12
"""How far a common aspect ratio may differ from the picture's before the picture gets its own proxy shape."""

SIDE_STEP = 8
"""Proxy sides and tile windows are multiples of this, in pixels."""

FINEST_LIGHT = 4
"""Largest factor between the sides of the grid on which local light is taken, and those of the proxy."""


@dataclass(frozen=True)
class Span:
    """One window along one axis: pixels [start, stop) go in, and of the result [keep_start, keep_stop) is used."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture that goes to the network in one pass."""

    rows: Span
    columns: Span


@dataclass(frozen=True)
class RenderPlan:
    """How a network is applied to a picture.

    Attributes:
        detail: what is actually done; never `auto`.
        proxy: (height, width) in pixels of the work item that guided rendering sends, else None.
        windows: for `whole` (exactly one) and `tiles`, the rectangles sent at full size, else empty.
        through_map: whether the network's effect reaches the pixels as a local affine map. Always so for guided
            rendering, and for 16-bit pictures, whose depth an 8-bit network output cannot carry.
        output: the model output to ask for, `enhanced` or `affine`.
        light: (height, width) of the grid of local means, for predicted maps that treat them and texture separately,
            else None: an integer multiple of the proxy.
        exposure: stops relative to the automatic brightness, for models that take it as an input beside the proxy and
            the evidence; None for models whose only input is a picture.
        gate: whether well-exposed pictures are left alone.
    """

    detail: Detail
    proxy: tuple[int, int] | None
    windows: tuple[Window, ...]
    through_map: bool
    output: str = ENHANCED
    light: tuple[int, int] | None = None
    exposure: float | None = None
    gate: bool = True

    @property
    def item_tensors(self) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Shape and type of the first work item's tensors, by the names of the model's inputs."""
        height, width = self.item_shapes[0]
        if self.exposure is None:
            return {IMAGE: ((height, width, 3), np.uint8)}
        return {
            PROXY: ((height, width, 3), np.float32),
            EVIDENCE: ((height, width, EVIDENCE_CHANNELS), np.float32),
            EXPOSURE: ((1,), np.float32),
        }

    @property
    def item_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each work item, in order."""
        if self.proxy is not None:
            return (self.proxy,)
        return tuple((window.rows.length, window.columns.length) for window in self.windows)

    @property
    def item_pixels(self) -> tuple[int, ...]:
        """The cost of each work item, in pixels, for the scheduler's budget."""
        return tuple(height * width for height, width in self.item_shapes)

    @property
    def label(self) -> str:
        """What is done, for the answer: `whole`, `guided`, `tiles`, `whole-affine` or `tiles-affine`.

        The last two are 16-bit pictures: the network runs at full size, and its effect is fitted there.
        """
        exact = self.detail is not Detail.GUIDED
        return f"{self.detail}-affine" if exact and self.through_map else str(self.detail)


def plan(width: int, height: int, depth_bits: int, traits: ModelTraits, options: RenderOptions) -> RenderPlan:
    """Decide how a model is applied to a picture of `width` x `height` pixels, `depth_bits` (8 or 16) per channel.

    Raises:
        UnsupportedShape: if a side is shorter than the model accepts, or than 16 pixels for guided rendering.
        InvalidParameter: if tiles are asked of a network that looks at the whole picture.
    """
    if min(width, height) < traits.smallest_side:
        raise UnsupportedShape(
            f"the picture has {width} x {height} pixels; each side must have at least {traits.smallest_side}"
        )
    deep = depth_bits > 8
    match options.detail:
        case Detail.TILES:
            return RenderPlan(Detail.TILES, None, _tiles(width, height, traits), through_map=deep)
        case Detail.WHOLE:
            whole = True
        case Detail.GUIDED:
            whole = False
        case Detail.AUTO:
            whole = width * height <= traits.max_pixels
    if whole:
        window = Window(_full(height), _full(width))
        return RenderPlan(Detail.WHOLE, None, (window,), through_map=deep)
    proxy = proxy_shape(width, height, traits.working_side)
    output = AFFINE if traits.map_layout else ENHANCED
    light = light_shape(width, height, proxy) if traits.map_layout.has_base_and_detail else None
    exposure = options.exposure if traits.map_model else None
    return RenderPlan(Detail.GUIDED, proxy, (), True, output, light, exposure, options.gate)


def proxy_shape(width: int, height: int, working_side: int) -> tuple[int, int]:
    """(height, width) of the proxy: sides multiples of 8, never larger than the picture, few different shapes.

    Both have at least 16 pixels: with a `working_side` of 256 pictures longer than 16:1 are squeezed.

    Raises:
        UnsupportedShape: if a side of the picture has less than 16 pixels.
    """
    long, short = max(width, height), min(width, height)
    if short < MIN_SIDE:
        raise UnsupportedShape(f"the picture has {width} x {height} pixels; each side must have at least {MIN_SIDE}")
    ratio = _shared_ratio(long / short)
    proxy_long = _floor(min(working_side, long), SIDE_STEP)
    proxy_short = SIDE_STEP * round(proxy_long / ratio / SIDE_STEP)
    proxy_short = max(MIN_SIDE, min(proxy_short, _floor(short, SIDE_STEP)))
    return (proxy_short, proxy_long) if width >= height else (proxy_long, proxy_short)


def light_shape(width: int, height: int, proxy: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the grid of local light: the finest multiple of the proxy, up to fourfold, whose cells have
    at least 7/3 of the picture's pixels a side.
    """
    rows, columns = proxy
    factor = max(1, min(FINEST_LIGHT, 3 * height // (7 * rows), 3 * width // (7 * columns)))
    return factor * rows, factor * columns


def _shared_ratio(ratio: float) -> float:
    nearest = min(ASPECT_RATIOS, key=lambda shared: abs(math.log(ratio / shared)))
    distortion = max(ratio / nearest, nearest / ratio) - 1
    return nearest if distortion <= MAX_DISTORTION else ratio


def _tiles(width: int, height: int, traits: ModelTraits) -> tuple[Window, ...]:
    if traits.spatial_scope is not SpatialScope.LOCAL:
        raise InvalidParameter(
            f"detail=tiles is for networks that see only a pixel's surroundings; {traits.family} depends on the "
            "whole picture, and tiles would change its look. Use auto, whole or guided"
        )
    step = math.lcm(SIDE_STEP, traits.multiple)
    side = max(_floor(math.isqrt(traits.max_pixels), step), step + _ceil(4 * traits.halo, step))
    rows = tile_spans(height, side, traits.halo, traits.multiple)
    columns = tile_spans(width, side, traits.halo, traits.multiple)
    return tuple(Window(row, column) for row in rows for column in columns)


def tile_spans(length: int, window: int, halo: int, multiple: int) -> list[Span]:
    """Cut an axis of `length` pixels into windows of at most `window` pixels that start at multiples of `multiple`.

    Each kept pixel is at least `halo` pixels away from a cut, so that a network with that receptive-field radius
    gives what it would give for the whole axis. The picture's own borders are borders of the windows there, and
    the network pads them as it would pad the whole picture.
    """
    if length <= window:
        return [_full(length)]
    step = _floor(window - 2 * halo, multiple)
    last = _ceil(length - window, multiple)
    starts = [*range(0, last, step), last]
    stops = [min(start + window, length) for start in starts]
    cuts = [0, *(start + halo for start in starts[1:]), length]
    return [Span(start, stop, *keep) for start, stop, keep in zip(starts, stops, pairwise(cuts), strict=True)]


def _full(length: int) -> Span:
    return Span(0, length, 0, length)


def _floor(value: int, step: int) -> int:
    return value // step * step


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step
