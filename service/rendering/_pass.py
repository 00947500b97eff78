"""The pass over the full-size pixels: geometry and memory around the kernels, and compiling them ahead of time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.memory import empty
from service.pictures import Picture, PictureFormat
from service.rendering._affine import AffineMap, fit_affine, flat_terms, neighbours, with_light
from service.rendering._grade import Grade
from service.rendering._kernels import CHUNK, blend_rows, map_rows
from service.rendering._noise import quiet
from service.rendering._shrink import mean_luminance, shrink
from service.rendering._strips import in_strips

Codes = NDArray[Any]
"""uint8 or uint16 [H, W, 3]."""


def apply_map(pixels: Codes, affine: AffineMap, grade: Grade, means: NDArray[np.float32] | None = None) -> Codes:
    """Stretch a map over the picture, apply it and grade: uint8 or uint16 [H, W, 3] to a new array of the kind.

    Args:
        pixels: the picture.
        affine: the map.
        grade: what comes after it.
        means: float32 [h, w, 3], the picture's area means on the grid of its local light, code values from 0 to 1;
            for maps that tell light from texture.
    """
    height, width = pixels.shape[:2]
    white = np.float32(np.iinfo(pixels.dtype).max)
    if affine.tells_light_from_texture:
        assert means is not None, "a map for light and texture is applied with the picture's light"
        affine = affine.suited_to(pixels, means.shape[:2])
        slopes, offset = affine.terms[:3], with_light(affine, means, white)
    else:
        slopes, offset = affine.terms[:-1], affine.terms[-1] * white
    matrix, base = flat_terms(slopes), flat_terms(offset[None])
    columns = (*neighbours(width, slopes.shape[2]), *neighbours(width, offset.shape[1]))
    source = np.ascontiguousarray(pixels).reshape(height, -1)
    result = empty(source.shape, source.dtype)
    numbers = (white, grade.blend, grade.protect, grade.tone)

    def strip(first: int, last: int) -> None:
        scratch = np.empty((2, 3 * CHUNK), np.float32)
        rows, base_rows = (np.empty((2, len(terms), 3 * width), np.float32) for terms in (matrix, base))
        map_rows(source, matrix, base, *columns, first, last, *numbers, scratch, rows, base_rows, result)

    in_strips(strip, height, height * width)
    return result.reshape(pixels.shape)


def blend(pixels: NDArray[np.uint8], enhanced: NDArray[np.uint8], grade: Grade) -> NDArray[np.uint8]:
    """Grade an enhanced picture of full size, all uint8 [H, W, 3]."""
    height, width = pixels.shape[:2]
    source = np.ascontiguousarray(pixels).reshape(height, -1)
    target = np.ascontiguousarray(enhanced).reshape(height, -1)
    result = empty(source.shape, source.dtype)
    numbers = (np.float32(255), grade.blend, grade.protect, grade.tone)

    def strip(first: int, last: int) -> None:
        scratch = np.empty((2, 3 * CHUNK), np.float32)
        blend_rows(source, target, first, last, *numbers, scratch, result)

    in_strips(strip, height, height * width)
    return result.reshape(pixels.shape)


def warm_up() -> None:
    """Have every kernel ready for 8 and 16 bit: compiled in 4 s of one core, or read from numba's cache in 0.4 s.

    Takes no time where a library made ahead of time has them (`compile_ahead`).
    """
    numbers = Grade(np.float32(1), np.float32(0.5), np.linspace(0, 1, 16, dtype=np.float32))
    for dtype in (np.uint8, np.uint16):
        pixels = np.zeros((2, 2, 3), dtype)
        means = np.zeros((2, 2, 3), np.float32)
        for terms in (2, 4, 5):
            apply_map(pixels, AffineMap(np.zeros((terms, 1, 1, 3), np.float32)), numbers, means)
        quiet(np.zeros((3, 3, 3), dtype), np.ones((1, 1), np.float32))
        view = shrink(Picture(pixels, PictureFormat.PNG), (1, 1))
        mean_luminance(view.colour, view.weight)
    blend(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), numbers)
    fit_affine(np.zeros((2, 2, 3), np.float32), np.zeros((2, 2, 3), np.float32))
