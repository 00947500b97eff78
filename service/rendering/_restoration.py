"""Restoration: a second network removes noise from an enhanced picture at full size, tile by tile.

It sees the enhanced picture and the photo, and predicts a correction to add (`service.contract`). Tiles have few
shapes, so that those of several pictures share batches; with their overlapping halos they have at most 1.3 times the
pixels. Tiles without visible noise are skipped; the correction is weighted by the map of visible noise, which is 0
there, so that grain fades out without an edge. A picture with more noisy pixels than time allows is restored at half
or a quarter of its size, and the correction is enlarged: coarse grain goes and fine grain stays, evenly in the
picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.contract import ANSWER, IMAGE, RESTORER_HALO, RESTORER_MULTIPLE, RESTORER_TILE
from service.errors import EngineFailed
from service.memory import empty
from service.pictures import Picture
from service.rendering._answer import Answer
from service.rendering._colour import in_picture_space, is_srgb_space
from service.rendering._plan import Span, Window
from service.rendering._visible_noise import is_zero, stretched

SCALES = (1, 2, 4)
"""How many times smaller a picture may be restored."""

LONGEST = 704
"""Length in pixels up to which an axis is not cut; longer ones are cut into tiles of which 512 pixels are used."""

LAST_STEP = 32
"""The last tile of a cut axis has a multiple of this many pixels, so that there are few shapes."""

INVERSION_ROUNDS = 3
"""Iterations to invert a profile for a correction: it is small, so an error of a sixteenth does not matter."""

Codes = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class RestorationPlan:
    """The parts of a picture that a restorer processes.

    Attributes:
        scale: how many times smaller the picture is made for it.
        windows: the tiles, in pixels of that smaller picture; they may reach beyond its right and bottom border.
        pixels: of the smaller picture that are restored, halos not counted.
        share: of the picture that is restored, 0 to 1.
    """

    scale: int
    windows: tuple[Window, ...]
    pixels: int
    share: float

    @property
    def item_pixels(self) -> int:
        """What all tiles cost, in pixels."""
        return sum(window.rows.length * window.columns.length for window in self.windows)


def plan_restoration(height: int, width: int, noise: Floats | None, scale: int = 1) -> RestorationPlan:
    """Choose the tiles of a picture of `height` x `width` pixels.

    Args:
        height, width: of the picture.
        noise: float32 [h, w], as `visible_noise` gives it; tiles without any are left out. None: all tiles.
        scale: how many times smaller the picture is made.
    """
    small = -(-height // scale), -(-width // scale)
    windows, pixels = [], 0
    for rows in _spans(small[0]):
        for columns in _spans(small[1]):
            window = Window(rows, columns)
            if noise is None or not is_zero(noise, (height, width), *_kept(window, scale, height, width)):
                windows.append(window)
                pixels += (rows.keep_stop - rows.keep_start) * (columns.keep_stop - columns.keep_start)
    return RestorationPlan(scale, tuple(windows), pixels, pixels / (small[0] * small[1]))


class Restoration:
    """One picture's restoration. Its tiles may be cut and added in any order, in any thread.

    Args:
        picture: the photo.
        answer: the answer at full size, [H, W, 3] of the picture's type; not written to.
        plan: the tiles.
        noise: weights of the corrections, as `visible_noise` returns them; None: equal everywhere.
        strength: 0 to 1, how much of the corrections is applied.
    """

    def __init__(
        self, picture: Picture, answer: Codes, plan: RestorationPlan, noise: Floats | None, strength: float = 1.0
    ) -> None:
        self.plan = plan
        self._picture = picture
        self._answer = answer
        self._noise = noise
        self._strength = np.float32(strength)
        self._restored = empty(answer.shape, answer.dtype)
        np.copyto(self._restored, answer)

    @property
    def pixels(self) -> Codes:
        """The restored answer, once all tiles are added; the original answer is released."""
        self._answer = self._restored
        return self._restored

    def inputs(self, window: Window) -> dict[str, NDArray[np.uint8]]:
        """The restorer's inputs for a tile: uint8 [1, h, w, 3] each, sRGB."""
        source, answer = self._picture.pixels, self._answer
        hidden, means = self._hidden
        tensors = {}
        for name, pixels, mean in ((ANSWER, answer, means[0]), (IMAGE, source, means[1])):
            rows, columns = _shown(window, self.plan.scale, *answer.shape[:2])
            part = np.ascontiguousarray(pixels[rows, columns])
            if hidden is not None:
                part = np.where(hidden[rows, columns, None], mean, part)
            tensors[name] = self._fitted(self._picture.srgb(part), window)[None]
        return tensors

    def add(self, window: Window, correction: NDArray[np.floating]) -> None:
        """Add the restorer's correction for a tile, [h, w, 3], in code values with white at 1.

        Raises:
            EngineFailed: if it has another shape, or is not finite.
        """
        expected = (window.rows.length, window.columns.length, 3)
        if correction.shape != expected:
            raise EngineFailed(f"the restorer returned {list(correction.shape)} for a tile of {list(expected)}")
        if not np.isfinite(correction).all():
            raise EngineFailed("the restorer returned numbers that are not finite")
        scale, shape = self.plan.scale, self._answer.shape[:2]
        change = np.asarray(correction, np.float32)
        if scale > 1:
            size = (window.columns.length * scale, window.rows.length * scale)
            change = np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), np.float32)
        rows, columns = _kept(window, scale, *shape)
        top, left = window.rows.start * scale, window.columns.start * scale
        change = change[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        answer = self._answer[rows, columns]
        change = self._in_picture_space(answer, change)
        white = np.float32(np.iinfo(answer.dtype).max)
        change = change * (white * self._strength)
        if self._noise is not None:
            change = change * stretched(self._noise, shape, rows, columns)[..., None]
        restored = answer + change
        np.clip(np.rint(restored, out=restored), 0, white, out=restored)
        self._restored[rows, columns] = restored

    def _fitted(self, part: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
        """A part of the picture in the tile's size: reflected where the picture ends, and shrunk."""
        scale = self.plan.scale
        height, width = window.rows.length, window.columns.length
        down, across = height * scale - part.shape[0], width * scale - part.shape[1]
        if down or across:
            part = np.asarray(cv2.copyMakeBorder(part, 0, down, 0, across, cv2.BORDER_REFLECT_101), np.uint8)
        if scale > 1:
            part = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return part

    def _in_picture_space(self, answer: Codes, change: Floats) -> Floats:
        """A correction in sRGB as one in the picture's own colour space, [h, w, 3] both."""
        picture = self._picture
        if is_srgb_space(picture):
            return change
        # Only the sum needs 16 bits; 8 bits of the answer are enough to convert between the spaces.
        source = np.rint(answer * np.float32(255 / np.iinfo(answer.dtype).max)).astype(np.uint8)
        seen = picture.srgb(source)
        wished = np.clip(seen * np.float32(1 / 255) + change, 0, 1)
        return in_picture_space(picture, source, seen, wished, INVERSION_ROUNDS) - source * np.float32(1 / 255)

    @cached_property
    def _hidden(self) -> tuple[NDArray[np.bool_] | None, tuple[Codes, Codes]]:
        """The fully transparent pixels, and the mean colours of answer and photo that replace them."""
        alpha, source, answer = self._picture.alpha, self._picture.pixels, self._answer
        nothing = np.zeros(3, source.dtype)
        if alpha is None or alpha.all():
            return None, (nothing, nothing)
        step = max(1, min(alpha.shape) // 256)
        visible = alpha[::step, ::step] > 0
        if not visible.any():
            return alpha == 0, (nothing, nothing)
        first, second = (
            np.rint(pixels[::step, ::step][visible].mean(axis=0)).astype(source.dtype) for pixels in (answer, source)
        )
        return alpha == 0, (first, second)


def restoration_of(answer: Answer, plan: RestorationPlan, noise: Floats | None, strength: float = 1.0) -> Restoration:
    """That of a network's answer; arguments as for `Restoration`."""
    return Restoration(answer.prepared.picture, answer.pixels(), plan, noise, strength)


def _spans(length: int) -> Iterator[Span]:
    """Cut an axis of `length` pixels into tiles."""
    start = keep = 0
    if length <= LONGEST:
        yield Span(0, _ceil(length, RESTORER_MULTIPLE), 0, length)
        return
    while length - start > LONGEST:
        yield Span(start, start + RESTORER_TILE, keep, start + RESTORER_TILE - RESTORER_HALO)
        keep = start + RESTORER_TILE - RESTORER_HALO
        start += RESTORER_TILE - 2 * RESTORER_HALO
    yield Span(start, start + _ceil(length - start, LAST_STEP), keep, length)


def _shown(window: Window, scale: int, height: int, width: int) -> tuple[slice, slice]:
    """The pixels of the picture that a tile shows."""
    rows, columns = window.rows, window.columns
    return (
        slice(rows.start * scale, min(rows.stop * scale, height)),
        slice(columns.start * scale, min(columns.stop * scale, width)),
    )


def _kept(window: Window, scale: int, height: int, width: int) -> tuple[slice, slice]:
    """The pixels of the picture that a tile decides on."""
    rows, columns = window.rows, window.columns
    return (
        slice(rows.keep_start * scale, min(rows.keep_stop * scale, height)),
        slice(columns.keep_start * scale, min(columns.keep_stop * scale, width)),
    )


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step
