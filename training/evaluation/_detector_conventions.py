"""The two conventions in which detectors are exported, and how to tell them by their shapes.

YOLOv8 (Ultralytics): RGB in [0, 1], the picture centred on a grey canvas; output [N, 4 + classes, candidates] with
centre x, centre y, width and height in pixels of the canvas, then a score in [0, 1] for each class.

YOLOX (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430): BGR code values 0 to 255, the picture in
the canvas's top left corner; output [N, cells, 5 + classes] over grids of stride 8, 16 and 32, row by row: centre
relative to the cell and in its strides, logarithm of width and height in strides, objectness, and a score for each
class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GREY = 114
STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Canvas:
    """A picture as a detector sees it.

    Attributes:
        pixels: uint8 [height, width, 3] RGB.
        scale: canvas pixels a picture pixel.
        left, top: where the picture begins, in canvas pixels.
    """

    pixels: Pixels
    scale: float
    left: int
    top: int


@dataclass(frozen=True)
class Candidates:
    """What a detector answers: centres [n, 2], sizes [n, 2], both in canvas pixels, and scores [n, classes]."""

    centres: Floats
    sizes: Floats
    scores: Floats


@dataclass(frozen=True)
class Convention:
    """One way to ask a detector.

    Attributes:
        name: for messages.
        letterbox: (picture, height, width) -> canvas.
        planes: canvas pixels, uint8 [H, W, 3] -> the detector's input, float32 [1, 3, H, W].
        decode: (output [1, a, b], height, width) -> candidates.
    """

    name: str
    letterbox: Callable[[Pixels, int, int], Canvas]
    planes: Callable[[Pixels], Floats]
    decode: Callable[[Floats, int, int], Candidates]


def convention_of(output: tuple[int, ...], height: int, width: int) -> tuple[Convention, int]:
    """The convention that an output's shape follows, for an input of this size, and the number of classes.

    Raises:
        ValueError: the shape follows neither.
    """
    if len(output) == 3 and output[0] == 1:
        cells = sum((height // stride) * (width // stride) for stride in STRIDES)
        if output[1] == cells != output[2] and output[2] > 5:
            return YOLOX, output[2] - 5
        if output[1] > 4:
            return YOLOV8, output[1] - 4
    raise ValueError(
        f"an output of {list(output)} is neither YOLOv8's [1,4+classes,n] nor YOLOX's [1,cells,5+classes]"
    )


def centred(picture: Pixels, height: int, width: int) -> Canvas:
    """A picture in its proportions, in the middle of a grey canvas."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows, columns = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    return _placed(picture, (height, width), (rows, columns), scale, ((height - rows) // 2, (width - columns) // 2))


def in_corner(picture: Pixels, height: int, width: int) -> Canvas:
    """A picture in its proportions, in the top left corner of a grey canvas."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows, columns = max(1, int(picture.shape[0] * scale)), max(1, int(picture.shape[1] * scale))
    return _placed(picture, (height, width), (rows, columns), scale, (0, 0))


def _placed(
    picture: Pixels, size: tuple[int, int], shown: tuple[int, int], scale: float, corner: tuple[int, int]
) -> Canvas:
    (rows, columns), (top, left) = shown, corner
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.full((*size, 3), GREY, np.uint8)
    canvas[top : top + rows, left : left + columns] = cv2.resize(picture, (columns, rows), interpolation=how)
    return Canvas(canvas, scale, left, top)


def _shares(canvas: Pixels) -> Floats:
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _bgr_codes(canvas: Pixels) -> Floats:
    return np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)


def _decode_yolov8(output: Floats, height: int, width: int) -> Candidates:
    rows = output[0].T
    return Candidates(rows[:, :2], rows[:, 2:4], rows[:, 4:])


def _decode_yolox(output: Floats, height: int, width: int) -> Candidates:
    rows = output[0]
    places, strides = _grid(height, width)
    return Candidates(
        centres=(rows[:, :2] + places) * strides,
        sizes=np.exp(rows[:, 2:4]) * strides,
        scores=rows[:, 4:5] * rows[:, 5:],
    )


def _grid(height: int, width: int) -> tuple[Floats, Floats]:
    """(column, row) of every cell, [cells, 2], and its stride, [cells, 1]."""
    places: list[NDArray[Any]] = []
    strides: list[NDArray[Any]] = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        places.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(places).astype(np.float32), np.concatenate(strides).astype(np.float32)


YOLOV8 = Convention("YOLOv8", centred, _shares, _decode_yolov8)
YOLOX = Convention("YOLOX", in_corner, _bgr_codes, _decode_yolox)
