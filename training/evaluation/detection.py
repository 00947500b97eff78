"""Does enhancement help a detector? Mean average precision on ExDark, plain against enhanced.

DED-Net and DRGN both report this. Any detector in ONNX will do that follows the convention of YOLOv8's export:

* one input [N, 3, H, W], float32 RGB in [0, 1], of fixed or dynamic size (then 640 by 640 is used);
* one output [N, 4 + classes, candidates]: centre x, centre y, width and height in pixels of the input, then a
  score in [0, 1] for each class;
* class names in the file's metadata as `names`, a mapping of numbers to names as YOLO exporters write it; without
  it, a detector of 12 classes is taken to know ExDark's, in the publisher's order.

Pictures are letterboxed: shrunk or enlarged to fit, centred on grey. Suppression of overlapping boxes is OpenCV's,
precision is pycocotools' (Lin et al., "Microsoft COCO", ECCV 2014).
"""

from __future__ import annotations

import ast
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.datasets import read_picture
from training.datasets.exdark import CLASSES, LabelledPicture, read_exdark

Pixels = NDArray[np.uint8]
Enhance = Callable[[Pixels], Pixels]

DEFAULT_SIDE = 640
GREY = 114
SMALLEST_SCORE = 0.001
LARGEST_OVERLAP = 0.7
MOST_BOXES = 300

SYNONYMS = {"motorcycle": "Motorbike", "person": "People", "dining table": "Table", "diningtable": "Table"}
"""Other data sets' names of ExDark's classes."""


@dataclass(frozen=True)
class Detection:
    """A found object: its class, its box in pixels of the picture (left, top, width, height), its score in [0, 1]."""

    label: str
    box: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class Precision:
    """Mean average precision in [0, 1].

    Attributes:
        average: over overlaps .50 to .95, COCO's figure.
        at_half: at overlap .50, the figure that papers give for ExDark.
        by_class: the latter for each class that the pictures hold.
    """

    average: float
    at_half: float
    by_class: dict[str, float]


@dataclass(frozen=True)
class DetectionReport:
    """Precision of one detector on plain and on enhanced pictures."""

    pictures: int
    objects: int
    plain: Precision
    enhanced: Precision

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    def table(self) -> str:
        """A Markdown table, in per cent."""
        rows = [("mAP .50", self.plain.at_half, self.enhanced.at_half)]
        rows.append(("mAP .50-.95", self.plain.average, self.enhanced.average))
        rows += [(name, value, self.enhanced.by_class[name]) for name, value in self.plain.by_class.items()]
        lines = [
            f"| {self.pictures} pictures, {self.objects} objects | plain | enhanced | gain |",
            "|---|--:|--:|--:|",
        ]
        lines += [f"| {name} | {100 * a:.1f} | {100 * b:.1f} | {100 * (b - a):+.1f} |" for name, a, b in rows]
        return "\n".join(lines)


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
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), scores.tolist(), classes.tolist(), SMALLEST_SCORE, LARGEST_OVERLAP
        )
        best = sorted((int(index) for index in kept), key=lambda index: -scores[index])[:MOST_BOXES]
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


def evaluate_detection(
    detector: Path, data: Path, enhance: Enhance, *, split: str = "test", limit: int | None = None, threads: int = 0
) -> DetectionReport:
    """Score a detector on ExDark's pictures as they are, and as `enhance` returns them.

    Args:
        detector: ONNX file in YOLOv8's convention.
        data: ExDark's folder, see `training.datasets.exdark`.
        enhance: uint8 [H, W, 3] RGB -> the same shape.
        split: `train`, `val` or `test`.
        limit: score the first so many pictures only.
        threads: CPU threads of the detector; 0: the runtime's choice.

    Raises:
        FileNotFoundError, ValueError: as `Detector` and `read_exdark` do.
    """
    model = Detector(detector, threads)
    pictures = read_exdark(data, split)[:limit]
    plain, enhanced = [], []
    for labelled in pictures:
        pixels = read_picture(labelled.path)
        plain.append(model.detect(pixels))
        enhanced.append(model.detect(enhance(pixels)))
    objects = sum(len(labelled.objects) for labelled in pictures)
    return DetectionReport(len(pictures), objects, precision(pictures, plain), precision(pictures, enhanced))


def precision(pictures: Sequence[LabelledPicture], detections: Sequence[Sequence[Detection]]) -> Precision:
    """Mean average precision of what was found in each picture, over the classes that the pictures hold."""
    numbers = {name: number for number, name in enumerate(CLASSES, start=1)}
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(1, len(pictures) + 1)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [
            {
                "image_id": image,
                "category_id": numbers[thing.label],
                "bbox": [thing.left, thing.top, thing.width, thing.height],
                "area": thing.width * thing.height,
                "iscrowd": 0,
            }
            for image, picture in enumerate(pictures, start=1)
            for thing in picture.objects
        ],
    }
    for number, annotation in enumerate(truth.dataset["annotations"], start=1):
        annotation["id"] = number  # from 1: pycocotools takes 0 for "no match"
    found = [
        {"image_id": image, "category_id": numbers[d.label], "bbox": list(d.box), "score": d.score}
        for image, things in enumerate(detections, start=1)
        for d in things
    ]
    present = sorted({annotation["category_id"] for annotation in truth.dataset["annotations"]})
    if not found:  # which pycocotools cannot read
        return Precision(0.0, 0.0, {CLASSES[number - 1]: 0.0 for number in present})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.catIds = present
        evaluation.evaluate()
        evaluation.accumulate()
    # [overlaps, recalls, classes, areas, numbers of boxes]: all areas, most boxes.
    curves = evaluation.eval["precision"][:, :, :, 0, -1]
    by_class = {CLASSES[number - 1]: float(curves[0, :, place].mean()) for place, number in enumerate(present)}
    return Precision(float(curves.mean()), float(curves[0].mean()), by_class)


def _exdark_name(name: str) -> str | None:
    """ExDark's name of a detector's class."""
    known = {ours.lower(): ours for ours in CLASSES} | SYNONYMS
    return known.get(name.lower())
