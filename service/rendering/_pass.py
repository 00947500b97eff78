"""The pass over the full-size pixels: geometry and memory around the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.memory import empty
from service.rendering._affine import AffineMap, with_light
from service.rendering._grade import Grade
from service.rendering._strips import run

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
    matrix, base = (np.ascontiguousarray(values, np.float32) for values in (slopes, offset))
    source = np.ascontiguousarray(pixels)
    result = empty(source.shape, source.dtype)
    maps = (matrix, *matrix.shape[:3], base, *base.shape[:2])
    numbers = (white, grade.blend, grade.protect, grade.tone, grade.tone.size)
    deep = source.dtype == np.uint16
    run("apply_map", source, deep, height, width, *maps, *numbers, result, pixels=height * width)
    return result


def blend(pixels: NDArray[np.uint8], enhanced: NDArray[np.uint8], grade: Grade) -> NDArray[np.uint8]:
    """Grade an enhanced picture of full size, all uint8 [H, W, 3]."""
    source, target = np.ascontiguousarray(pixels), np.ascontiguousarray(enhanced)
    result = empty(source.shape, source.dtype)
    count = source.size // 3
    numbers = (np.float32(255), grade.blend, grade.protect, grade.tone, grade.tone.size)
    run("blend", source, target, count, *numbers, result, pixels=count)
    return result
