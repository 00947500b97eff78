"""Where the noise of an enhanced picture will be visible: measured in the photo, times the network's gain."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from service.rendering._answer import Answer
from service.rendering._noise import noise_free_mask

CELL = (2, 8)
"""Smallest and largest side, in pixels of the photo, of a cell in the map of visible noise. Noise is measured in
blocks of 8 x 8 cells."""

CELLS = 256
"""Cells along the long side, as far as `CELL` allows."""

FADE = 17
"""Cells over which the map is averaged: grain fades over about as many more than a block has."""

LEAST = 1e-3
"""Weights below this count as 0: a correction this weak is invisible."""

FLOOR = np.float32(1 / 255)
"""Added to code values before their ratio is computed."""

Floats = NDArray[np.float32]


def visible_noise(answer: Answer) -> Floats:
    """How much of a restorer's correction to apply, by position.

    Args:
        answer: of a network, to a picture whose sides have at least 3 pixels.

    Returns:
        float32 [h, w], 0 (no visible noise) to 1; any size, stretched over the picture. Smooth, and exactly 0 where
        no noise is visible, or where the picture is transparent.
    """
    picture, view = answer.prepared.picture, answer.prepared.view
    before, after = (np.clip(colour, 0, 1).mean(axis=-1) for colour in answer.from_afar())
    size = _cells(picture.height, picture.width)[::-1]
    gain = cv2.resize((after + FLOOR) / (before + FLOOR), size, interpolation=cv2.INTER_LINEAR)
    noise = 1 - noise_free_mask(picture.pixels, np.asarray(gain, np.float32), to_the_edge=True)
    noise = np.asarray(cv2.blur(noise, (FADE, FADE), borderType=cv2.BORDER_REPLICATE), np.float32)
    noise[noise < LEAST] = 0
    if picture.alpha is not None:
        noise *= np.minimum(1, cv2.resize(view.weight, size, interpolation=cv2.INTER_LINEAR))
    return noise


def stretched(values: Floats, shape: tuple[int, int], rows: slice, columns: slice) -> Floats:
    """A part of a map that is enlarged linearly over a picture.

    Args:
        values: float32 [h, w].
        shape: (height, width) of the picture.
        rows, columns: the part, in pixels; start and stop are numbers.

    Returns:
        float32 [rows, columns].
    """
    above, below, down = _neighbours(values.shape[0], shape[0], rows)
    left, right, across = _neighbours(values.shape[1], shape[1], columns)
    lines = values[above] + down[:, None] * (values[below] - values[above])
    return np.asarray(lines[:, left] + across * (lines[:, right] - lines[:, left]), np.float32)


def is_zero(values: Floats, shape: tuple[int, int], rows: slice, columns: slice) -> bool:
    """Whether `stretched` would be 0 everywhere."""
    ends = []
    for length, size, part in zip(values.shape, shape, (rows, columns), strict=True):
        first, last = ((place + 0.5) * length / size - 0.5 for place in (part.start, part.stop - 1))
        ends.append(slice(max(0, math.floor(first)), math.ceil(last) + 1))
    return not values[ends[0], ends[1]].any()


def _cells(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the map."""
    side = min(max(max(height, width) / CELLS, CELL[0]), CELL[1])
    return max(1, round(height / side)), max(1, round(width / side))


def _neighbours(cells: int, length: int, part: slice) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The cells on both sides of each pixel of a part of an axis, and how far it is from the first to the second."""
    places = (np.arange(part.start, part.stop) + 0.5) * (cells / length) - 0.5
    places = np.clip(places, 0, cells - 1)
    first = places.astype(np.intp)
    return first, np.minimum(first + 1, cells - 1), (places - first).astype(np.float32)
