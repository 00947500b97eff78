"""The pass over the full-size pixels: geometry and memory around the kernels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.memory import empty
from service.rendering._affine import AffineMap, light_base
from service.rendering._grade import Grade
from service.rendering._strips import run

Codes = NDArray[Any]
"""uint8 or uint16 [H, W, 3]."""


class Pass:
    """Pixels that are computed on demand: any rows at any time, in any thread.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3]; rows that were not computed are undefined.
    """

    def __init__(self, pixels: Codes, rows: Callable[[int, int, int], None]) -> None:
        """`rows(first, last, cost)` writes rows [first, last); from a cost of many pixels on by many threads."""
        self.pixels = pixels
        self._rows = rows
        self._spent: list[tuple[int, float]] = []

    def make(self, first: int, last: int) -> None:
        """Make rows [first, last) in this thread."""
        started = time.perf_counter()
        self._rows(first, last, 0)
        self._spent.append((threading.get_ident(), time.perf_counter() - started))

    def make_all(self) -> Codes:
        """Make every row, on all cores; returns `pixels`."""
        height, width = self.pixels.shape[:2]
        started = time.perf_counter()
        self._rows(0, height, height * width)
        self._spent.append((threading.get_ident(), time.perf_counter() - started))
        return self.pixels

    @property
    def seconds(self) -> float:
        """Wall time that making took so far: of all threads that called it together, divided by their number."""
        return sum(seconds for _, seconds in self._spent) / max(1, len({thread for thread, _ in self._spent}))


def apply_map(pixels: Codes, affine: AffineMap, grade: Grade, means: NDArray[np.float32] | None = None) -> Pass:
    """Stretch a map over the picture, apply it and grade: uint8 or uint16 [H, W, 3] to new pixels of the same type.

    Args:
        pixels: the picture.
        affine: the map.
        grade: what comes after it.
        means: float32 [h, w, 3], the picture's area means on the grid of its local light, code values from 0 to 1;
            for maps that treat the local mean and texture separately.
    """
    height, width = pixels.shape[:2]
    white = np.float32(np.iinfo(pixels.dtype).max)
    if affine.has_base_and_detail:
        assert means is not None, "a map for light and texture is applied with the picture's light"
        slopes, rest = affine.suited_to(pixels, means.shape[:2])
        offset = light_base(rest, means, white)
    else:
        slopes, offset = affine.terms[:-1], affine.terms[-1] * white
    matrix, base = (np.ascontiguousarray(values, np.float32) for values in (slopes, offset))
    source = np.ascontiguousarray(pixels)
    result = empty(source.shape, source.dtype)
    maps = (matrix, *matrix.shape[:3], base, *base.shape[:2])
    arguments = (source, source.dtype == np.uint16, height, width, *maps, white, *_numbers(grade, white))

    def rows(first: int, last: int, cost: int) -> None:
        run("apply_map", *arguments, last, result, pixels=cost, first=first)

    return Pass(result, rows)


def blend(pixels: Codes, enhanced: Codes, grade: Grade) -> Pass:
    """Grade an enhanced picture of full size, all uint8 or all uint16 [H, W, 3]."""
    source, target = np.ascontiguousarray(pixels), np.ascontiguousarray(enhanced)
    assert (source.dtype, source.shape) == (target.dtype, target.shape)
    result = empty(source.shape, source.dtype)
    white = np.float32(np.iinfo(source.dtype).max)
    arguments = (source, target, source.dtype == np.uint16, *source.shape[:2], white, *_numbers(grade, white))

    def rows(first: int, last: int, cost: int) -> None:
        run("blend", *arguments, last, result, pixels=cost, first=first)

    return Pass(result, rows)


def _numbers(grade: Grade, white: np.float32) -> tuple[Any, ...]:
    """In the order of the kernels' parameters from `blend` to `middle`; they count in codes up to `white`."""
    shadows = grade.shadows
    field = np.ascontiguousarray(shadows.field / np.array([white, 1, 1], np.float32))
    return (
        *(grade.blend, grade.protect, grade.tone, grade.tone.size, grade.gate, grade.curve, grade.curve.size),
        *(field, *field.shape[:2], shadows.most, shadows.middle * white),
    )
