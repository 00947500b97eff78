"""Running a detector: any ONNX file that follows the convention of YOLOv8's export.

* one input [N, 3, H, W], float32 RGB in [0, 1], of fixed or dynamic size (then 640 by 640 is used);
* one output [N, 4 + classes, candidates]: centre x, centre y, width and height in pixels of the input, then a
  score in [0, 1] for each class;
* class names in the file's metadata as `names`, a mapping of numbers to names as YOLO exporters write it; without
  it, a detector of 12 classes is taken to know ExDark's, in the publisher's order.

Pictures are letterboxed: shrunk or enlarged to fit, centred on grey. Of boxes that overlap, OpenCV keeps the surest.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.datasets.exdark import CLASSES

Pixels = NDArray[np.uint8]

DEFAULT_SIDE = 640
GREY = 114
MIN_SCORE = 0.001
MAX_OVERLAP = 0.7
MAX_BOXES = 100

SYNONYMS = {"motorcycle": "Motorbike", "person": "People", "dining table": "Table", "diningtable": "Table"}
"""Other data sets' names of ExDark's classes."""


@dataclass(frozen=True)
class Detection:
    """A found object: its class, its box in pixels of the picture (left, top, width, height), its score in [0, 1]."""

    label: str
    box: tuple[float, float, float, float]
    score: float


class Detector:
    """A detector in an ONNX file, in YOLOv8's convention (see the module).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its input, output or class names do not follow the convention.
    """

    def __init__(self, file: Path, threads: int = 0) -> None:
        """
        Args:
            file: the ONNX file.
            threads: CPU threads; 0: the runtime's choice.
        """
        if not file.is_file():
            raise FileNotFoundError(f"there is no detector {file}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4 or len(outputs[0].shape) != 3:
            shown = [tuple(value.shape) for value in (*inputs, *outputs)]
            raise ValueError(
                f"{file.name}: a detector has one input [N,3,H,W] and one output [N,4+classes,n], not {shown}"
            )
        self._input = inputs[0].name
        height, width = inputs[0].shape[2:]
        self.size = tuple(side if isinstance(side, int) else DEFAULT_SIDE for side in (height, width))
        self.labels = self._read_labels(file, outputs[0].shape[1])

    def detect(self, picture: Pixels) -> list[Detection]:
        """The objects of ExDark's classes in a picture, uint8 [H, W, 3] RGB."""
        canvas, scale, left, top = letterbox(picture, *self.size)
        planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        output = self._session.run(None, {self._input: planes})[0][0].T
        if output.shape[1] != 4 + len(self.labels):
            raise ValueError(f"the detector gave {output.shape[1]} values a box, not 4 and {len(self.labels)} scores")
        classes = output[:, 4:].argmax(axis=1)
        scores = output[:, 4:].max(axis=1)
        sizes = output[:, 2:4]
        corners = output[:, :2] - sizes / 2
        boxes = np.concatenate([(corners - (left, top)) / scale, sizes / scale], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), MIN_SCORE, MAX_OVERLAP)
        best = sorted((int(index) for index in kept), key=lambda index: -scores[index])[:MAX_BOXES]
        found = []
        for index in best:
            label = self.labels[classes[index]]
            if label is not None:
                box = tuple(float(value) for value in boxes[index])
                found.append(Detection(label, (box[0], box[1], box[2], box[3]), float(scores[index])))
        return found

    def _read_labels(self, file: Path, values: Any) -> list[str | None]:
        """ExDark's name of each of the detector's classes, None for classes that ExDark does not have."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        if "names" in metadata:
            names = ast.literal_eval(metadata["names"])
            ordered = [names[number] for number in range(len(names))] if isinstance(names, dict) else list(names)
        elif values == 4 + len(CLASSES):
            ordered = list(CLASSES)
        else:
            raise ValueError(f"{file.name}: no metadata 'names', and not {len(CLASSES)} classes: what are they?")
        labels = [_exdark_name(name) for name in ordered]
        if not any(labels):
            raise ValueError(f"{file.name}: none of its classes is one of {', '.join(CLASSES)}")
        return labels


def letterbox(picture: Pixels, height: int, width: int) -> tuple[Pixels, float, int, int]:
    """A picture in its proportions, centred on a grey canvas.

    Returns:
        canvas: uint8 [height, width, 3].
        scale: canvas pixels a picture pixel.
        left, top: where the picture begins on the canvas, in pixels.
    """
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows, columns = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    shrunk = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas = np.full((height, width, 3), GREY, np.uint8)
    canvas[top : top + rows, left : left + columns] = shrunk
    return canvas, scale, left, top


def _exdark_name(name: str) -> str | None:
    """ExDark's name of a detector's class."""
    known = {ours.lower(): ours for ours in CLASSES} | SYNONYMS
    return known.get(name.lower())
