"""Photographs with boxes around their objects, and the classes of COCO in YOLO's order.

    images/000000000009.avif     photographs
    boxes.csv                    file, class (0 to 79), x, y, width, height: of the box, in pixels from the top left

COCO: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014. YOLO's order leaves out the numbers of
its list that have no boxes.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from training.datasets import exdark
from training.datasets.exdark import Labelled, LabelledPicture, read_exdark

CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
"""COCO's 80 classes, in YOLO's order."""

BOXES_FILE = "boxes.csv"
COLUMNS = ("file", "class", "x", "y", "width", "height")


def read_boxes(root: Path) -> list[LabelledPicture]:
    """The photographs that `boxes.csv` names, in the order of their names.

    Args:
        root: folder that holds `images` and `boxes.csv`.

    Raises:
        FileNotFoundError: the list, or a photograph that it names, is missing.
        ValueError: a line of the list cannot be read, or there is none.
    """
    file = root / BOXES_FILE
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}")
    objects: dict[str, list[Labelled]] = defaultdict(list)
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            objects[_name(row, file, number)].append(_labelled(row, file, number))
    if not objects:
        raise ValueError(f"{file} lists no boxes")
    pictures = []
    for name, things in sorted(objects.items()):
        path = root / "images" / name
        if not path.is_file():
            raise FileNotFoundError(f"{file} names {name}, and there is no {path}")
        pictures.append(LabelledPicture(path, tuple(things)))
    return pictures


def has_boxes(root: Path) -> bool:
    """Whether a folder is laid out as `read_boxes` reads it; otherwise it is taken for ExDark's."""
    return (root / BOXES_FILE).is_file()


def classes_of(root: Path) -> tuple[str, ...]:
    """Names of the classes that a folder of either layout is labelled with."""
    return CLASSES if has_boxes(root) else exdark.CLASSES


def read_labelled(root: Path, split: str = "test") -> list[LabelledPicture]:
    """Labelled pictures of either layout: `read_boxes`, which has no splits, or `read_exdark`.

    Raises:
        FileNotFoundError, ValueError: as these do.
    """
    return read_boxes(root) if has_boxes(root) else read_exdark(root, split)


def _name(row: dict[str, str], file: Path, number: int) -> str:
    """The photograph that a line names: a plain file name, so that nothing outside the folder is read."""
    name = row.get("file") or ""
    if not name or name != Path(name).name:
        raise ValueError(f"{file}, line {number}: {name!r} is not the name of a file in images/")
    return name


def _labelled(row: dict[str, str], file: Path, number: int) -> Labelled:
    try:
        left, top, width, height = (float(row[column]) for column in COLUMNS[2:])
        label = int(row["class"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}, line {number}: expected {','.join(COLUMNS)}") from error
    if not 0 <= label < len(CLASSES):
        raise ValueError(f"{file}, line {number}: class {label} is not one of 0 to {len(CLASSES) - 1}")
    return Labelled(CLASSES[label], left, top, width, height)
