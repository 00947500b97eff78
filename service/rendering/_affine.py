"""The network's effect as a local affine colour map: fitted on the proxy, or predicted by the model itself.

Guided filter: He, Sun and Tang, "Guided Image Filtering", TPAMI 2013; at low resolution: He and Sun, "Fast Guided
Filter", 2015. The regularisation is relative to the local brightness: on crops of photos of 12 to 20 megapixels it
keeps SSIM to the network's whole result at .955, where the textbook's absolute 1e-4 smears dark textures (.79).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from service.errors import EngineFailed
from service.memory import empty
from service.rendering._fit import MARGIN, fit_rows, limit_rows, smooth_rows
from service.rendering._strips import in_strips

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AffineMap:
    """y = slope * x + offset, channel by channel or with colours mixed, varying over the picture.

    Attributes:
        terms: float32 [2, h, w, 3]: y = t0 * x + t1; or [4, h, w, 3]: y = t0 * red + t1 * green + t2 * blue + t3.
            The last axis is the channel of y. x and y are code values from 0 to 1. (h, w) is any size: the map is
            stretched over the picture.
    """

    terms: Floats


def fit_affine(source: Floats, target: Floats) -> AffineMap:
    """Fit the map that takes `source` to `target`, both float32 [h, w, 3], code values from 0 to 1.

    Per channel, in windows of 5 x 5 with reflected border, a = cov / (var + 1e-3 * mean^2 + 1e-6) and
    b = mean_target - a * mean_source; then a and b are averaged over the same windows, and slopes limited
    (`limit_rows`).
    """
    height, width = source.shape[:2]
    x, y = (np.ascontiguousarray(values, np.float32).reshape(height, -1) for values in (source, target))
    slope, offset, smooth, value = empty((4, *x.shape), np.float32)
    terms = empty((2, *x.shape), np.float32)

    def scratch(rows: int) -> Floats:
        return np.empty((rows, MARGIN + 3 * width + MARGIN), np.float32)

    steps: tuple[Callable[[int, int], None], ...] = (
        lambda first, last: fit_rows(x, y, first, last, scratch(8), slope, offset),
        lambda first, last: smooth_rows(x, slope, offset, first, last, scratch(2), smooth, value),
        lambda first, last: limit_rows(x, smooth, value, first, last, scratch(2), terms),
    )
    for step in steps:
        in_strips(step, height, height * width)
    return AffineMap(terms.reshape(2, height, width, 3))


def predicted_affine(coefficients: NDArray[np.floating]) -> AffineMap:
    """Read a model's output `affine`.

    Args:
        coefficients: FP32 [h, w, 6] or [h, w, 12], for code values from 0 to 1.
            6: slopes of red, green, blue, then their offsets: y[c] = k[c] * x[c] + k[3 + c].
            12: a 3 x 4 matrix, row by row: y[c] = k[4c] * red + k[4c + 1] * green + k[4c + 2] * blue + k[4c + 3].

    Raises:
        EngineFailed: if the last axis has another length, or a coefficient is not finite.
    """
    height, width, count = coefficients.shape
    if not np.isfinite(coefficients).all():
        raise EngineFailed("the model predicted an affine map that is not finite")
    if count == 6:
        layout = coefficients.reshape(height, width, 2, 3).transpose(2, 0, 1, 3)
    elif count == 12:
        layout = coefficients.reshape(height, width, 3, 4).transpose(3, 0, 1, 2)
    else:
        raise EngineFailed(f"the model predicted an affine map of {count} coefficients; 6 or 12 are allowed")
    return AffineMap(np.ascontiguousarray(layout, np.float32))


def evaluate(affine: AffineMap, source: Floats) -> Floats:
    """Apply a map to a proxy, float32 [h, w, 3]; the result may leave 0 to 1."""
    height, width = source.shape[:2]
    *slopes, offset = (cv2.resize(term, (width, height), interpolation=cv2.INTER_LINEAR) for term in affine.terms)
    if len(slopes) == 1:
        return np.asarray(slopes[0] * source + offset, np.float32)
    mixed = sum(slope * source[..., channel, None] for channel, slope in enumerate(slopes))
    return np.asarray(mixed + offset, np.float32)
