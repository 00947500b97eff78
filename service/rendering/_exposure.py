"""Exposure: a tone curve that acts like a camera's exposure in dark areas, and keeps white.

In light L, 0 to 1, by sRGB's transfer function (IEC 61966-2-1), and with k = 2^exposure:

    E(L) = k L / (1 + (k^n - 1) L^n)^(1/n)

E(0) = 0 and E(1) = 1; near black its slope is k. When brightened, highlights roll off towards white like the shoulder
of film, and nothing is clipped; the larger n, the later and harder the roll-off. With n = 1 this is Reinhard's
operator ("Photographic Tone Reproduction for Digital Images", 2002, equation 3) scaled to keep white.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BRIGHTER, DARKER = 1.5, 1.0
"""n for exposure above 0, and below: in both cases the first stop is 0.87 stops at middle grey. With n = 1,
brightening would give 0.76; with 1.5, darkening would spread the last codes before white twice as far."""

NODES = 4096
"""At which the curve is computed; between them it is linear."""

Values = NDArray[np.float64]


def exposure_curve(stops: float, tones: Values, steps: int) -> NDArray[np.float32]:
    """The curve as a table over code values of a picture's colour space: float32 [steps], 0 to 1.

    Args:
        stops: the exposure.
        tones: the colour space's greys in sRGB, as `grey_tones` gives them.
        steps: entries of the table, for code values from 0 to 1.
    """
    nodes = np.linspace(0, 1, NODES)
    exposed = as_in_srgb(nodes, tones, lambda code: to_code(_exposed(to_light(code), 2.0**stops)))
    return np.interp(np.linspace(0, 1, steps), nodes, exposed).astype(np.float32)


def as_in_srgb(codes: Values, tones: Values, change: Callable[[Values], Values]) -> Values:
    """Code values of a colour space, 0 to 1, changed as `change` does it in sRGB; what it leaves alone stays.

    Args:
        codes: code values of the space's greys.
        tones: what its greys are in sRGB, as `grey_tones` gives them.
        change: takes and gives code values of sRGB, 0 to 1.
    """
    steps = np.linspace(0, 1, len(tones))
    shown = np.interp(codes, steps, tones)
    # Different greys may map to one value in sRGB, which has no inverse; so the difference is added.
    changed = codes + np.interp(change(shown), tones, steps) - np.interp(shown, tones, steps)
    return np.clip(changed, 0, 1)


def to_light(code: Values) -> Values:
    """sRGB code values, 0 to 1, as light, 0 to 1."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def to_code(light: Values) -> Values:
    """Light, 0 to 1, as sRGB code values, 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _exposed(light: Values, gain: float) -> Values:
    power = BRIGHTER if gain > 1 else DARKER
    return gain * light / (1 + (gain**power - 1) * light**power) ** (1 / power)
