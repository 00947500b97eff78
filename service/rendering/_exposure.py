"""Exposure: a tone curve that acts as a camera's exposure does on dark parts, and keeps white.

In light L, 0 to 1, by sRGB's transfer function (IEC 61966-2-1), and with k = 2^exposure:

    T(L) = k L / (1 + (k^q - 1) L^q)^(1/q),    q = 1.5

T(0) = 0 and T(1) = 1; in the dark its slope is k, and towards white it bends like a film's shoulder, so that nothing
is clipped. With q = 1 this is Reinhard's operator ("Photographic Tone Reproduction for Digital Images", 2002,
equation 3) scaled to keep white, which gives middle grey but three quarters of the stops that were asked for; the
larger q, the later and the harder the bend. The curve of -exposure is the inverse of that of exposure, for every q.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHOULDER = 1.5
"""q: at 1 a stop more gives middle grey 0.76 stops, at 1.5 it is 0.87, at 2 it is 0.94."""

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
    nodes, codes = np.linspace(0, 1, NODES), np.linspace(0, 1, len(tones))
    exposed = to_code(_exposed(to_light(np.interp(nodes, codes, tones)), 2.0**stops))
    return np.interp(np.linspace(0, 1, steps), nodes, np.interp(exposed, tones, codes)).astype(np.float32)


def to_light(code: Values) -> Values:
    """sRGB code values, 0 to 1, as light, 0 to 1."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def to_code(light: Values) -> Values:
    """Light, 0 to 1, as sRGB code values, 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _exposed(light: Values, gain: float) -> Values:
    return gain * light / (1 + (gain**SHOULDER - 1) * light**SHOULDER) ** (1 / SHOULDER)
