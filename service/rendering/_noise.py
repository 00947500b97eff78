"""How free of noise a picture will look, by position: measured in the full picture, since a small proxy hides it.

J. Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding, 1996: second differences of
second differences, [1 -2 1] down times [1 -2 1] across, vanish where a picture is smooth, and keep noise. Exported
graphs that get a whole picture do the same (`training.networks`), but use every pixel of large ones, too.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.rendering._strips import run

QUIET, NOISY = np.array([3.0, 1.5], np.float32), np.array([6.0, 3.0], np.float32)
"""Deviations of grey and of colour noise, in code values of 255: invisible up to the first, visible from the
second."""

# Of white noise of deviation 1 in each channel, the mean size of a second difference of second differences is
# 6 sqrt(2 / pi) in a channel, 1 / sqrt(3) of that in their mean, and sqrt(2) times it in the difference of two.
GREY_NOISE = np.float32(math.sqrt(math.pi / 2) / 6 * math.sqrt(3))
COLOUR_NOISE = np.float32(math.sqrt(math.pi / 2) / 6 / math.sqrt(2))

BLOCK = 8
"""Side, in pixels of the map, of the blocks in which noise is measured."""

SAMPLES = 2
"""Pixels a side that are looked at under each pixel of the map, of those that there are."""

NEIGHBOURS = np.ones((5, 5), np.uint8)
"""Neighbouring blocks, of which the least noisy counts."""

Floats = NDArray[np.float32]


def noise_free_mask(pixels: NDArray[Any], gain: Floats, *, to_the_edge: bool = False) -> Floats:
    """How free of noise a picture will look: float32 [h, w], 0 (texture may be noise) to 1.

    The noisier of brightness and colour decides. A block gets the lowest noise among 5 x 5 blocks, because noise is
    everywhere and structure seldom is.

    Args:
        pixels: uint8 or uint16 [H, W, 3], sides at least 3.
        gain: float32 [h, w], by which the map brightens.
        to_the_edge: whether an area that is noisy throughout 5 x 5 blocks counts as noisy up to its edge. Otherwise
            it counts as free of noise within two blocks of an area without noise.
    """
    height, width = gain.shape
    noise = _deviations(pixels, (height, width), (max(1, height // BLOCK), max(1, width // BLOCK)))
    least = cv2.erode(noise, NEIGHBOURS).reshape(noise.shape)
    if to_the_edge:
        least = cv2.dilate(least, NEIGHBOURS).reshape(noise.shape)
    seen = least * _shrunk(gain, noise.shape[1::-1])[..., None]
    share = np.clip(((NOISY - seen) / (NOISY - QUIET)).min(axis=2), 0, 1)
    return np.asarray(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _deviations(pixels: NDArray[Any], shape: tuple[int, int], blocks: tuple[int, int]) -> Floats:
    """Noise of grey and of colour in blocks, float32 [*blocks, 2] in code values of 255, by a part of the pixels.

    Args:
        pixels: uint8 or uint16 [H, W, 3], sides at least 3.
        shape: (height, width) of the map.
        blocks: (rows, columns); there are no more than pixels to look at.
    """
    rows, columns = pixels.shape[:2]
    step = max(1, int(min(rows / shape[0], columns / shape[1])) // SAMPLES)
    down, across = (rows - 3) // step + 1, (columns - 3) // step + 1
    blocks = min(blocks[0], down), min(blocks[1], across)
    result = np.empty((*blocks, 2), np.float32)
    unit = np.float32(255 / np.iinfo(pixels.dtype).max)
    source = np.ascontiguousarray(pixels)
    units = (unit * GREY_NOISE, unit * COLOUR_NOISE)
    sizes = (source.dtype == np.uint16, columns, step, down, across, *blocks)
    run("measure_noise", source, *sizes, *units, result, pixels=down * columns)
    return result


def _shrunk(values: Floats, size: tuple[int, int]) -> Floats:
    """Area means on (columns, rows)."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
