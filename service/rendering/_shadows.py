"""Shadows: factors that lift or darken only the dark areas, without halos and without flattening texture.

The brightest channel v decides how dark a place is, so that coloured lights do not count as dark and no channel
exceeds white. For v from 0 to 1, in sRGB (with a profile: the sRGB value of a grey of this code value), the factor is

    f(v) = 2^(shadows * STOPS / 2.2 * rise(v) * fall(v)),    rise from 0 to 1, fall from 1 to 0

which is 1 from middle grey on. Towards black it returns to 1, because there is mostly noise; and factors, unlike
offsets, keep black black. The factors are smoothed by a guided filter (He, Sun and Tang, "Guided Image Filtering",
TPAMI 2013) whose guide is v itself: within a dark area all texture gets the same factor, and at an edge the factor
changes with it. The filter's slope and offset come from the small picture, and the guide from the large one (He and
Sun, "Fast Guided Filter", 2015), so edges stay as sharp as in the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from service.rendering._exposure import Values, as_in_srgb, to_code

STOPS = 1.5
"""Largest change in stops, with light as code value to the power 2.2, at `shadows` = 1."""

RISE = (0.0, 0.08)
"""Code values between which the factor goes from 1 to its full size: 20 of 255 are above the noise of most photos."""

MIDDLE_GREY = float(to_code(np.array(0.18)))
"""The code value of 18 % of white's light."""

FALL = (0.1, MIDDLE_GREY)
"""Code values between which it goes back to 1. Tones keep their order: v * f(v) grows for every `shadows`."""

WINDOW = 1 / 16
"""Radius of the filter's windows, of the small picture's long side."""

FLAT = 0.015**2
"""Variance of code values within a window up to which it counts as texture, and from which as an edge."""

NODES = 1024
"""At which f is computed; between them it is linear."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shadows:
    """The factors by position, for code values from 0 to 1 of the picture's own colour space.

    Attributes:
        field: float32 [h, w, 3], any size, stretched over the picture: a slope, an offset, and 0. A pixel whose
            brightest channel is v gets the factor slope * v + offset, limited as `most` and `middle` say
            (native/grade.h). Without rows: all factors are 1.
        most: the strongest factor; above 1 it lifts.
        middle: code value from which nothing changes.
    """

    field: Floats
    most: np.float32
    middle: np.float32


NO_SHADOWS = Shadows(np.empty((0, 0, 3), np.float32), np.float32(1), np.float32(1))
"""All factors are 1."""


def shadow_factors(light: Floats, shadows: float, tones: Values) -> Shadows:
    """The factors for a picture.

    Args:
        light: float32 [h, w, 3], 0 to 1: the shrunk picture to be lifted.
        shadows: -1 to 1.
        tones: the colour space's greys in sRGB, as `grey_tones` gives them.
    """
    nodes = np.linspace(0, 1, NODES)
    changed = as_in_srgb(nodes, tones, lambda code: code * _factor(code, shadows))
    factors = np.ones(NODES)
    np.divide(changed, nodes, out=factors, where=nodes > 0)
    guide = light.max(axis=-1)
    slope, offset = _guided(guide, np.interp(guide, nodes, factors).astype(np.float32))
    most = factors.max() if shadows > 0 else factors.min()
    middle = np.interp(MIDDLE_GREY, tones, np.linspace(0, 1, len(tones)))
    return Shadows(np.dstack([slope, offset, np.zeros_like(slope)]), np.float32(most), np.float32(middle))


def _factor(code: Values, shadows: float) -> Values:
    """f over sRGB code values, 0 to 1."""
    return 2 ** (shadows * STOPS / 2.2 * _step(code, *RISE) * (1 - _step(code, *FALL)))


def _step(values: Values, start: float, end: float) -> Values:
    """0 up to `start`, 1 from `end` on, smooth between."""
    part = np.clip((values - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def _guided(guide: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of a guided filter, [h, w] each."""
    radius = max(1, round(WINDOW * max(guide.shape)))

    def mean(values: Floats) -> Floats:
        size = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT), np.float32)

    middle, goal = mean(guide), mean(target)
    covariance, variance = mean(guide * target) - middle * goal, mean(guide * guide) - middle * middle
    slope = np.asarray(covariance / (variance + FLAT), np.float32)
    return mean(slope), mean(goal - slope * middle)
