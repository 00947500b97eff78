"""Whether enhancement helps a detector: mean average precision on labelled pictures, plain against enhanced.

DED-Net and DRGN both report this, on ExDark. The detector can be any ONNX file in the convention of YOLOv8's
export or of YOLOX's (`Detector`). Precision is pycocotools' (Lin et al., "Microsoft COCO", ECCV 2014).
`python -m benchmarks.downstream` measures the same for all served models, on darkened well-lit photographs.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from service.rendering import Detail
from training.datasets import read_picture
from training.datasets.boxes import classes_of, read_labelled
from training.datasets.exdark import CLASSES, LabelledPicture
from training.evaluation._detector import Detection, Detector
from training.evaluation._models import open_model

__all__ = [
    "Detection",
    "DetectionReport",
    "Detector",
    "Precision",
    "compare_detections",
    "count_objects",
    "evaluate_detector",
    "precision",
]

Pixels = NDArray[np.uint8]
Enhance = Callable[[Pixels], Pixels]


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


def evaluate_detector(
    model: str | Path,
    detector: Path,
    data: Path,
    *,
    detail: str = "guided",
    split: str = "test",
    limit: int | None = None,
    repository: Path = Path("model_repository"),
    threads: int | None = None,
    out: Path | None = None,
) -> DetectionReport:
    """Score a detector on labelled pictures as they are, and as a model enhances them.

    Args:
        model: name in the repository (the exported file is run), or a checkpoint, ours or published.
        detector: ONNX file in YOLOv8's or YOLOX's convention.
        data: a folder as `training.datasets.exdark` or `training.datasets.boxes` describes it.
        detail: way of rendering, `whole` or `guided`; strength 1, no protection, gate or gamma.
        split: ExDark's `train`, `val` or `test`.
        limit: score the first so many pictures only.
        repository: the model repository.
        threads: CPU threads; None: one a core.
        out: folder to write `detection.md` and `detection.json` into.

    Raises:
        FileNotFoundError: the model, the detector or a part of the data is missing.
        ValueError: a file is not a model or detector, or an argument is out of its range.
    """
    opened = open_model(model, repository, threads=threads)
    enhance = partial(opened.render, detail=Detail(detail))
    report = compare_detections(detector, data, enhance, split=split, limit=limit, threads=threads or 0)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "detection.md").write_text(f"{report.table()}\n")
        facts = {"model": opened.name, "sha256": opened.sha256, "detail": detail, "detector": detector.name}
        (out / "detection.json").write_text(json.dumps(facts | report.as_dict(), indent=2) + "\n")
    return report


def compare_detections(
    detector: Path, data: Path, enhance: Enhance, *, split: str = "test", limit: int | None = None, threads: int = 0
) -> DetectionReport:
    """Score a detector on labelled pictures as they are, and as `enhance` returns them.

    Args:
        detector: ONNX file in YOLOv8's or YOLOX's convention.
        data: a folder as `training.datasets.exdark` or `training.datasets.boxes` describes it.
        enhance: uint8 [H, W, 3] RGB -> the same shape.
        split: ExDark's `train`, `val` or `test`.
        limit: score the first so many pictures only.
        threads: CPU threads of the detector; 0: the runtime's choice.

    Raises:
        FileNotFoundError, ValueError: as `Detector` and `read_labelled` do.
    """
    model = Detector(detector, threads, classes_of(data))
    pictures = read_labelled(data, split)[:limit]
    plain, enhanced = [], []
    for labelled in pictures:
        pixels = read_picture(labelled.path)
        plain.append(model.detect(pixels))
        enhanced.append(model.detect(enhance(pixels)))
    return DetectionReport(
        len(pictures),
        count_objects(pictures, model.known),
        precision(pictures, plain, model.known),
        precision(pictures, enhanced, model.known),
    )


def count_objects(pictures: Sequence[LabelledPicture], classes: Sequence[str]) -> int:
    """How many objects of these classes there are."""
    return sum(thing.label in classes for picture in pictures for thing in picture.objects)


def precision(
    pictures: Sequence[LabelledPicture], detections: Sequence[Sequence[Detection]], classes: Sequence[str] = CLASSES
) -> Precision:
    """Mean average precision of what was found in each picture.

    Args:
        pictures: with what is in them.
        detections: what was found in each of them.
        classes: those that count, as far as the pictures hold them: all that the detector knows.

    Raises:
        ValueError: the pictures hold nothing of these classes.
    """
    numbers = {name: number for number, name in enumerate(classes, start=1)}
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
            if thing.label in numbers
        ],
    }
    for number, annotation in enumerate(truth.dataset["annotations"], start=1):
        annotation["id"] = number  # from 1: pycocotools takes 0 for "no match"
    found = [
        {"image_id": image, "category_id": numbers[d.label], "bbox": list(d.box), "score": d.score}
        for image, things in enumerate(detections, start=1)
        for d in things
        if d.label in numbers
    ]
    present = sorted({annotation["category_id"] for annotation in truth.dataset["annotations"]})
    if not present:
        raise ValueError("the pictures hold no object of a class that the detector knows")
    if not found:  # which pycocotools cannot read
        return Precision(0.0, 0.0, {classes[number - 1]: 0.0 for number in present})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.catIds = present
        evaluation.evaluate()
        evaluation.accumulate()
    # [overlaps, recalls, classes, areas, numbers of boxes]: all areas, most boxes.
    curves = evaluation.eval["precision"][:, :, :, 0, -1]
    by_class = {classes[number - 1]: float(curves[0, :, index].mean()) for index, number in enumerate(present)}
    return Precision(float(curves.mean()), float(curves[0].mean()), by_class)
