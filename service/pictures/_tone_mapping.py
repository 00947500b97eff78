"""HDR pictures (Rec. ITU-R BT.2100, PQ and HLG) to SDR, since the networks were not trained on their code values.

The method is the EETF of Report ITU-R BT.2390-10, section 5.4.1, applied to each channel, from 1,000 cd/m² to the
reference white of Report ITU-R BT.2408, 203 cd/m², which becomes SDR's white. The primaries stay what they are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.pictures._matrix_profiles import Hdr

_PEAK, _WHITE = 1000.0, 203.0
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2  # of the system, at a peak of 1,000 cd/m² (BT.2100, table 5)


def to_sdr(pixels: NDArray[Any], hdr: Hdr) -> NDArray[Any]:
    """uint8 or uint16 [...] under an HDR transfer function, as the same type under sRGB's curve."""
    curve = _lookup(hdr, pixels.dtype.itemsize)
    return np.asarray(cv2.LUT(pixels, curve)) if pixels.itemsize == 1 else curve[pixels]


@lru_cache(maxsize=4)
def _lookup(hdr: Hdr, itemsize: int) -> NDArray[Any]:
    top = 256**itemsize - 1
    light = _light(np.arange(top + 1) / top, hdr)
    linear = np.minimum(_reduced(light) / _WHITE, 1.0)
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(code * top).astype(f"uint{8 * itemsize}")


def _light(signal: NDArray[np.float64], hdr: Hdr) -> NDArray[np.float64]:
    """Light on a display, cd/m²: BT.2100's EOTF of PQ (table 4), or of HLG on one of 1,000 cd/m² (table 5)."""
    if hdr == "pq":
        power = signal ** (1 / _M2)
        return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    return _PEAK * np.minimum(scene, 1.0) ** _HLG_GAMMA


def _reduced(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """The EETF: as it was up to a knee, then a Hermite spline up to the smaller peak."""
    source, target = _pq(np.array(_PEAK)), _pq(np.array(_WHITE))
    level, largest = np.minimum(_pq(light) / source, 1.0), float(target / source)
    knee = 1.5 * largest - 0.5
    t = (level - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * largest
    return _light(np.where(level < knee, level, spline) * source, "pq")


def _pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m² as a PQ signal (BT.2100, table 4, the inverse EOTF)."""
    power = (light / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
