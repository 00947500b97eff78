"""The network's effect as a local colour map: fitted on the proxy, or predicted by the model itself.

Guided filter: He, Sun and Tang, "Guided Image Filtering", TPAMI 2013; at low resolution: He and Sun, "Fast Guided
Filter", 2015. The regularisation is relative to the local brightness: on crops of photos of 12 to 20 megapixels it
keeps SSIM to the network's whole result at .955, where the textbook's absolute 1e-4 smears dark textures (.79).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.contract import MapLayout
from service.errors import EngineFailed
from service.memory import empty
from service.rendering import _native
from service.rendering._native import kernel
from service.rendering._noise import noise_free_mask
from service.rendering._shrink import luminance
from service.rendering._strips import run

Floats = NDArray[np.float32]

MEAN = np.full(3, 1 / 3, np.float32)
"""Weights with which the channels of a term are summed."""

BASE_AND_DETAIL_TERMS = (slice(6, 15, 3), slice(7, 15, 3), slice(8, 15, 3), slice(0, 3), slice(3, 6))

TERMS: Mapping[int, tuple[slice, ...]] = {
    MapLayout.GAIN_AND_OFFSET: (slice(0, 3), slice(3, 6)),
    MapLayout.MATRIX_AND_OFFSET: (slice(0, 12, 4), slice(1, 12, 4), slice(2, 12, 4), slice(3, 12, 4)),
    MapLayout.BASE_AND_DETAIL: BASE_AND_DETAIL_TERMS,
    MapLayout.BASE_AND_CLEAN_DETAIL: (*BASE_AND_DETAIL_TERMS, slice(15, 16)),
}
"""Indices of the map's terms among the coefficients of a position, by layout."""


@dataclass(frozen=True)
class AffineMap:
    """How a pixel's colour x becomes y, both code values from 0 to 1: affine, varying over the picture.

    Attributes:
        terms: float32 [n, h, w, 3], the last axis the channel of y; (h, w) is any size, stretched over the picture.
            n = 2: y = t0 * x + t1, channel by channel.
            n = 4: y = t0 * red + t1 * green + t2 * blue + t3, colours mixed.
            n = 5: y = t0 * red' + t1 * green' + t2 * blue' + t3 * m + t4, where m is the local mean, and red' and so
            on are the texture x - m.
            n = 6: the same, plus t5, equal in all channels, a factor q: where the picture has no visible noise,
            texture gets the gain t3 instead, and its luminance q times t3; q = 0: never.
    """

    terms: Floats

    @property
    def has_base_and_detail(self) -> bool:
        """Whether applying it needs the picture's local mean."""
        return len(self.terms) >= 5

    def suited_to(self, pixels: NDArray[Any], light: tuple[int, int]) -> tuple[Floats, Floats]:
        """The map adapted to a picture: a matrix for pixels, and coefficients for the local mean.

        Detail finer than 7/3 pixels may be noise, and the matrix decides how much of it to keep. With larger cells,
        part of the detail within a cell is not noise: the matrix grows with the cell, until texture gets the same
        gain as the local mean. Where the picture has no visible noise, texture gets the map's gain for that case.

        Args:
            pixels: uint8 or uint16 [H, W, 3].
            light: (height, width) of the grid whose cell means are the local mean m.

        Returns:
            float32 [3, h, w, 3], the matrix T, colour by colour, and float32 [4, h, w, 3], from which `light_base`
            computes the term to add to T x: t3 * m + t4 - T m.
        """
        height, width = pixels.shape[:2]
        terms = np.ascontiguousarray(self.terms)
        cell = (height / light[0] + width / light[1]) / 2
        looks_at_noise = len(terms) == 6 and light != (height, width) and bool(terms[5].any())
        free_of_noise = noise_free_mask(pixels, terms[3] @ MEAN) if looks_at_noise else None
        slopes, rest = empty((3, *terms.shape[1:]), np.float32), empty((4, *terms.shape[1:]), np.float32)
        count = terms[0].size // 3
        run("suit", terms, count, free_of_noise, max(cell * 3 / 7, 1), slopes, rest, pixels=count)
        return slopes, rest

    @property
    def light(self) -> AffineMap:
        """The map of a picture without texture: only its gain and offset for the local mean."""
        return AffineMap(self.terms[3:5])

    def moved(self, source: Floats, light: Floats, grey: bool) -> AffineMap:
        """The map in another colour space: the local mean becomes `light`, gains and texture stay.

        Args:
            source: float32 [h, w, 3], a proxy in that space, code values from 0 to 1.
            light: the same shape, the wanted local mean.
            grey: whether all channels are equal; each then gets the results' mean, weighted as luminance.
        """
        height, width = source.shape[:2]
        terms = np.stack([cv2.resize(term, (width, height), interpolation=cv2.INTER_LINEAR) for term in self.terms])
        if grey:
            terms = np.repeat(luminance(terms)[..., None], 3, axis=-1)
        terms[4] = light - terms[3] * source
        return AffineMap(terms)


def fit_affine(source: Floats, target: Floats) -> AffineMap:
    """Fit the map that takes `source` to `target`, both float32 [h, w, 3], code values from 0 to 1.

    Per channel, in windows of 5 x 5 with reflected border, a = cov / (var + 1e-3 * mean^2 + 1e-6) and
    b = mean_target - a * mean_source; then a and b are averaged over the same windows, and slopes limited
    (`limit` in native/fit.c).
    """
    height, width = source.shape[:2]
    x, y = (np.ascontiguousarray(values, np.float32) for values in (source, target))
    assert x.shape == y.shape == (height, width, 3)
    slope, offset, smooth, value = empty((4, *x.shape), np.float32)
    terms = empty((2, *x.shape), np.float32)
    pixels = height * width
    run("fit", x, y, height, width, slope, offset, pixels=pixels)
    run("smooth", x, slope, offset, height, width, smooth, value, pixels=pixels)
    run("limit", x, smooth, value, height, width, terms, pixels=pixels)
    return AffineMap(terms)


def predicted_affine(coefficients: NDArray[np.floating]) -> AffineMap:
    """Read a model's output `affine`.

    Args:
        coefficients: FP32 [h, w, k], for code values from 0 to 1; k is
            6: slopes of red, green, blue, then their offsets: y[c] = k[c] * x[c] + k[3 + c].
            12: a 3 x 4 matrix, row by row: y[c] = k[4c] * red + k[4c + 1] * green + k[4c + 2] * blue + k[4c + 3].
            15: with texture, y[c] = k[c] * m[c] + k[3 + c] + T (x - m)[c]: gains, offsets, and the 3 x 3 matrix T row
            by row.
            16: the same, plus a factor q: where the picture has no visible noise, T is diag(g) (I + (q - 1) 1 w^T)
            instead, with w the weights of luminance; q = 0: never.

    Raises:
        EngineFailed: if the last axis has another length, or a coefficient is not finite.
    """
    height, width, count = coefficients.shape
    parts = TERMS.get(count)
    if parts is None:
        allowed = ", ".join(map(str, map(int, TERMS)))
        raise EngineFailed(f"the model predicted an affine map of {count} coefficients; {allowed} are allowed")
    order = np.array([np.broadcast_to(np.arange(count)[part], 3) for part in parts], np.int32)
    terms = empty((len(parts), height, width, 3), np.float32)
    given, nothing = np.ascontiguousarray(coefficients, np.float32), np.empty(1, np.float32)
    kernel("deal", _native.LEVEL)(given, height * width, count, order, len(parts), terms, nothing)
    if nothing[0] != 0:
        raise EngineFailed("the model predicted an affine map that is not finite")
    return AffineMap(terms)


def evaluate(affine: AffineMap, source: Floats) -> Floats:
    """Apply a map to a proxy, float32 [h, w, 3], treating the proxy as without texture.

    The result may leave 0 to 1. A map larger than the proxy is averaged.
    """
    height, width = source.shape[:2]
    terms = affine.light.terms if affine.has_base_and_detail else affine.terms
    scaling = cv2.INTER_AREA if terms.shape[1] > height or terms.shape[2] > width else cv2.INTER_LINEAR
    *slopes, offset = (cv2.resize(term, (width, height), interpolation=scaling) for term in terms)
    if len(slopes) == 1:
        return np.asarray(slopes[0] * source + offset, np.float32)
    mixed = sum(slope * source[..., channel, None] for channel, slope in enumerate(slopes))
    return np.asarray(mixed + offset, np.float32)


def light_base(rest: Floats, means: Floats, white: np.float32) -> Floats:
    """The local mean's term, to be added to the matrix's result for the pixels.

    The fineness of the local mean decides what counts as texture, which may be noise and may be reduced: it depends
    on the picture's scale, not the proxy's.

    Args:
        rest: float32 [4, h, w, 3], from `AffineMap.suited_to`; enlarged linearly over the grid.
        means: float32 [H, W, 3], code values from 0 to 1: area means.
        white: the unit of the result is 1 / white.

    Returns:
        float32 [H, W, 3].
    """
    height, width = means.shape[:2]
    source, base = np.ascontiguousarray(means, np.float32), empty(means.shape, np.float32)
    run("light_base", source, height, width, rest, *rest.shape[1:3], white, base, pixels=height * width)
    return base
