"""Statistics of the detail that a proxy hides, as a further input of some networks.

Area means do not show whether a pixel of the proxy covers texture to be lifted or an empty night sky, nor how much of
the detail is noise. Exported graphs that get a whole picture compute the same statistics (`training.networks`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import EVIDENCE_CHANNELS, EVIDENCE_SAMPLES
from service.memory import empty
from service.rendering._strips import run


def evidence(pixels: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Three numbers for each pixel of a proxy, from 2 x 2 to 4 x 4 samples in it.

    The standard deviation of grey; the mean absolute second difference of grey along a row, which is noise or the
    finest texture; and that of red and blue minus green.

    Args:
        pixels: uint8 or uint16 [H, W, 3], code values.
        shape: (height, width) of the proxy, not larger than the picture.

    Returns:
        float32 [h, w, 3], code values from 0 to 1.
    """
    height, width = pixels.shape[:2]
    rows, columns = shape
    least, most = EVIDENCE_SAMPLES
    count = max(least, min(most, height // rows, width // columns))
    down, across = _centres(height, rows * count), _centres(width, columns * count)
    source = np.ascontiguousarray(pixels)
    unit = np.float32(1 / np.iinfo(pixels.dtype).max)
    sums, result = empty((rows, columns, 5), np.float32), empty((rows, columns, EVIDENCE_CHANNELS), np.float32)
    sizes = (source.dtype == np.uint16, width, rows, columns, count)
    run("evidence", source, *sizes, down, across, unit, sums, result, pixels=rows * columns * count * count)
    return result


def _centres(length: int, parts: int) -> NDArray[np.int32]:
    """Centres of equal parts of an axis of `length` pixels, as indices."""
    return ((2 * np.arange(parts) + 1) * length // (2 * parts)).astype(np.int32)
