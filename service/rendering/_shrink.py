"""Shrinks a picture, for the network and for measuring luminance."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from service.contract import BT709
from service.memory import empty
from service.pictures import Picture
from service.rendering import _native
from service.rendering._strips import run

LUMINANCE_WEIGHTS = np.array(BT709, np.float32)
"""Weights of luminance in Rec. ITU-R BT.709, used on code values."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A shrunk picture.

    Attributes:
        colour: float32 [h, w, 3], 0 to 1, code values in the picture's own colour space: the exact area mean of the
            visible colour. Where everything is transparent it is the picture's mean colour, so that what is hidden
            there leaks neither into the network nor into the map.
        weight: float32 [h, w], 0 to 1, mean alpha; 1 everywhere for an opaque picture.
    """

    colour: NDArray[np.float32]
    weight: NDArray[np.float32]

    @property
    def mean_colour(self) -> NDArray[np.float64]:
        """Mean visible colour, float64 [3], 0 to 1; black if nothing is visible."""
        return _weighted_mean(self.colour, self.weight)


def shrink(picture: Picture, shape: tuple[int, int]) -> View:
    """Average a picture over the pixels of a smaller one of `shape` = (height, width); aspect ratios may differ."""
    height, width = picture.pixels.shape[:2]
    rows, columns = shape
    colour, weight = empty((rows, columns, 3), np.float32), empty((rows, columns), np.float32)
    white = np.float32(np.iinfo(picture.pixels.dtype).max)
    alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha)
    pixels = np.ascontiguousarray(picture.pixels)
    sizes = (pixels.dtype == np.uint16, height, width, rows, columns)
    spans = (np.linspace(0, height, rows + 1), *_spans(width, columns))
    run("shrink", pixels, alpha, *sizes, *spans, white, colour, weight, pixels=height * width)
    if picture.alpha is not None:
        colour /= np.maximum(weight * white, np.finfo(np.float32).tiny)[..., None]
        colour[weight == 0] = _weighted_mean(colour, weight)
    return View(colour, weight)


def coarser(view: View, shape: tuple[int, int]) -> View:
    """A view averaged once more, to `shape` = (height, width), of which its own is a whole multiple."""
    rows, columns = shape

    def averaged(values: Floats) -> Floats:
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    if view.weight.min() == 1:
        return View(averaged(view.colour), np.ones(shape, np.float32))
    weight = averaged(view.weight)
    colour = averaged(view.colour * view.weight[..., None])
    colour /= np.maximum(weight, np.finfo(np.float32).tiny)[..., None]
    colour[weight == 0] = view.mean_colour
    return View(colour, weight)


def luminance(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rec. 709 luminance of code values: [..., 3] to [...]."""
    return colour @ LUMINANCE_WEIGHTS


def mean_luminance(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> float:
    """Mean luminance of visible code values, 0 to 1: `colour` [h, w, 3] counted by `weight` [h, w]; 0 if none is."""
    return mean_light(colour, weight, 0, 1)[0]


def mean_light(
    colour: NDArray[np.float32], weight: NDArray[np.float32], dark: float, lit: float
) -> tuple[float, float]:
    """Mean luminance, and the share of dark areas: both 0 to 1, counted by `weight`; 0 and 1 if nothing is visible.

    Args:
        colour: float32 [h, w, 3], code values from 0 to 1.
        weight: float32 [h, w].
        dark, lit: luminance up to which an area is wholly dark, and from which it is not dark at all.
    """
    sums = np.empty(3)
    colour, weight = (np.ascontiguousarray(values, np.float32) for values in (colour, weight))
    _native.kernel("add_light", _native.LEVEL)(colour, weight, weight.size, dark, lit, sums)
    total, light, darkness = sums.tolist()
    return (light / total, darkness / total) if total else (0.0, 1.0)


def _spans(width: int, columns: int) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats, Floats]:
    """`begins`, `ends`, `heads` and `tails` of native/shrink.c."""
    edges = np.linspace(0, width, columns + 1)
    begins = edges[:-1].astype(np.int32)
    ends = np.minimum(np.ceil(edges[1:]), width).astype(np.int32)
    heads = np.minimum(edges[1:], begins + 1) - edges[:-1]
    tails = np.where(ends - begins > 1, edges[1:] - (ends - 1), 0)
    return begins, ends, heads.astype(np.float32), tails.astype(np.float32)


def _weighted_mean(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float64]:
    total = weight.sum(dtype=np.float64)
    if total == 0:
        return np.zeros(3)
    return weight.ravel().astype(np.float64) @ colour.reshape(-1, 3).astype(np.float64) / total
