"""Shrinks a picture that was rendered at full size, by area averaging, to a bounded size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.pictures import _exif
from service.pictures._picture import Picture


def fitted_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """(width, height) in pixels, the same shape, neither side longer than `max_side`; never larger than it was."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit(picture: Picture, max_side: int | None) -> Picture:
    """The picture with neither side longer than `max_side` pixels; the same object where it is small enough.

    Every new pixel is the mean of those that it stands for, counted by their alpha, in code values. Depth, colour
    space, alpha and metadata stay; the sizes that EXIF names become those of the smaller picture.
    """
    size = fitted_size(picture.width, picture.height, max_side)
    if size == (picture.width, picture.height):
        return picture
    exif = _exif.with_size(picture.exif, *size)
    if picture.alpha is None:
        return replace(picture, pixels=_averaged(picture.pixels, size), exif=exif)
    kind = picture.pixels.dtype
    weight = _averaged(picture.alpha.astype(np.float32), size)
    channels = [_weighted(picture.pixels[..., channel], picture.alpha, weight) for channel in range(3)]
    return replace(picture, pixels=_codes(np.dstack(channels), kind), alpha=_codes(weight, kind), exif=exif)


def _weighted(channel: NDArray[Any], alpha: NDArray[Any], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of one channel [H, W] counted by `alpha`, on the grid of its means `weight`; plain ones where it is 0."""
    size = weight.shape[1], weight.shape[0]
    sums = _averaged(channel.astype(np.float32) * alpha, size)
    return np.where(weight > 0, sums / np.maximum(weight, np.finfo(np.float32).tiny), _averaged(channel, size))


def _averaged(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    return np.ascontiguousarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def _codes(values: NDArray[np.float32], kind: np.dtype[Any]) -> NDArray[Any]:
    return np.clip(np.rint(values), 0, np.iinfo(kind).max).astype(kind)
