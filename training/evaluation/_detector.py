"""Running a detector: an ONNX file in the convention of YOLOv8's export or of YOLOX's.

It has one input [N, 3, H, W], float32, of fixed or dynamic size (then 640 by 640 is used), and one output. Which of
the two conventions it follows is seen by the shape of its output (`training.evaluation._detector_conventions`). Names
of classes are in the file's metadata as `names`, a mapping of numbers to names as YOLO exporters write it; without
it, 80 classes are COCO's in YOLO's order, and 12 are ExDark's in its publisher's.

Of overlapping boxes, OpenCV keeps the one with the highest score.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.datasets import boxes, exdark
from training.evaluation._detector_conventions import GREY, convention_of

Pixels = NDArray[np.uint8]

DEFAULT_SIDE = 640
MIN_SCORE = 0.001
MAX_OVERLAP = 0.7
MAX_BOXES = 100

SYNONYMS = {
    "people": "person",
    "motorbike": "motorcycle",
    "table": "dining table",
    "diningtable": "dining table",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "tvmonitor": "tv",
}
"""Other data sets' names of COCO's classes."""


@dataclass(frozen=True)
class Detection:
    """A found object: its class, its box in pixels of the picture (left, top, width, height), its score in [0, 1]."""

    label: str
    box: tuple[float, float, float, float]
    score: float


class Detector:
    """A detector in an ONNX file (see the module).

    Attributes:
        size: height and width of what it sees, in pixels.
        labels: the wanted name of each of its classes, None for those that are not wanted.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its input, output or class names follow no convention, or it knows no wanted class.
    """

    def __init__(self, file: Path, threads: int = 0, wanted: Sequence[str] = exdark.CLASSES) -> None:
        """
        Args:
            file: the ONNX file.
            threads: CPU threads; 0: the runtime's choice.
            wanted: names of the classes to look for; those of COCO, ExDark and VOC are understood as one.
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
                f"{file.name}: a detector has one input [N,3,H,W] and one output of three axes, not {shown}"
            )
        self._input = inputs[0].name
        height, width = (side if isinstance(side, int) else DEFAULT_SIDE for side in inputs[0].shape[2:])
        self.size = (height, width)
        # Declared sizes may be dynamic, so the output for an empty picture decides.
        empty = np.full((1, 3, height, width), GREY, np.float32)
        output = self._session.run(None, {self._input: empty})[0]
        try:
            self._convention, classes = convention_of(output.shape, height, width)
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from error
        self.labels = self._read_labels(file, classes, wanted)

    @property
    def known(self) -> tuple[str, ...]:
        """The wanted classes that it can find."""
        return tuple(dict.fromkeys(label for label in self.labels if label is not None))

    @property
    def convention(self) -> str:
        """Name of the convention that the file follows."""
        return self._convention.name

    def detect(self, picture: Pixels) -> list[Detection]:
        """The objects of wanted classes in a picture, uint8 [H, W, 3] RGB."""
        canvas = self._convention.letterbox(picture, *self.size)
        output = self._session.run(None, {self._input: self._convention.planes(canvas.pixels)})[0]
        candidates = self._convention.decode(output, *self.size)
        classes = candidates.scores.argmax(axis=1)
        scores = candidates.scores.max(axis=1)
        corners = candidates.centres - candidates.sizes / 2
        places = np.concatenate(
            [(corners - (canvas.left, canvas.top)) / canvas.scale, candidates.sizes / canvas.scale], axis=1
        )
        kept = cv2.dnn.NMSBoxesBatched(places.tolist(), scores.tolist(), classes.tolist(), MIN_SCORE, MAX_OVERLAP)
        best = sorted((int(index) for index in kept), key=lambda index: -scores[index])[:MAX_BOXES]
        found = []
        for index in best:
            label = self.labels[classes[index]]
            if label is not None:
                box = tuple(float(value) for value in places[index])
                found.append(Detection(label, (box[0], box[1], box[2], box[3]), float(scores[index])))
        return found

    def _read_labels(self, file: Path, count: int, wanted: Sequence[str]) -> list[str | None]:
        metadata = self._session.get_modelmeta().custom_metadata_map
        by_count = {len(known): known for known in (boxes.CLASSES, exdark.CLASSES)}
        if "names" in metadata:
            names = ast.literal_eval(metadata["names"])
            ordered = [names[number] for number in range(len(names))] if isinstance(names, dict) else list(names)
            if len(ordered) != count:
                raise ValueError(f"{file.name}: it names {len(ordered)} classes, and scores {count}")
        elif count in by_count:
            ordered = list(by_count[count])
        else:
            raise ValueError(f"{file.name}: no metadata 'names', and neither 12 nor 80 classes, so they are unknown")
        names_of = {_common_name(name): name for name in wanted}
        labels = [names_of.get(_common_name(name)) for name in ordered]
        if not any(labels):
            raise ValueError(f"{file.name}: none of its classes is one of {', '.join(wanted)}")
        return labels


def _common_name(name: str) -> str:
    """COCO's name of a class, where it has one."""
    lower = name.lower()
    return SYNONYMS.get(lower, lower)
