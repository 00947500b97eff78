"""ExDark: dark photographs with labelled objects, to test whether enhancement helps a detector.

Loh and Chan, "Getting to Know Low-light Images with the Exclusively Dark Dataset", CVIU 2019. Its authors publish
two archives and a list; unpacked beside each other they are

    ExDark/Bicycle/2015_00001.png            pictures by class
    ExDark_Annno/Bicycle/2015_00001.png.txt  objects; the folder is spelt like this
    imageclasslist.txt                       file, class, light, indoors or not, split (1 train, 2 validate, 3 test)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.datasets._samples import list_pictures

CLASSES = (
    "Bicycle",
    "Boat",
    "Bottle",
    "Bus",
    "Car",
    "Cat",
    "Chair",
    "Cup",
    "Dog",
    "Motorbike",
    "People",
    "Table",
)
"""The publisher's classes in its order, where the list counts them from 1."""

SOURCE = "ExDark is published by Loh and Chan on GitHub, in the repository Exclusively-Dark-Image-Dataset"
ANNOTATION_FOLDERS = ("ExDark_Annno", "ExDark_Anno")
LIST_FILE = "imageclasslist.txt"
SPLITS = {"train": "1", "val": "2", "test": "3"}


@dataclass(frozen=True)
class Labelled:
    """An object in a picture: its class, and its box in pixels from the top left corner."""

    label: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class LabelledPicture:
    """A picture file and the objects in it."""

    path: Path
    objects: tuple[Labelled, ...]


def read_exdark(root: Path, split: str = "test") -> list[LabelledPicture]:
    """The pictures of a split in a fixed order; all of them where the publisher's list is absent.

    Args:
        root: folder that holds `ExDark`, `ExDark_Annno` and, for splits, `imageclasslist.txt`.
        split: `train`, `val` or `test`.

    Raises:
        FileNotFoundError: a folder, or a picture's annotation, is missing.
        ValueError: the split is unknown, or an annotation cannot be read.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    pictures = root / "ExDark"
    annotations = next((root / name for name in ANNOTATION_FOLDERS if (root / name).is_dir()), root / "ExDark_Annno")
    for folder in (pictures, annotations):
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}; {SOURCE}")
    wanted = _split_stems(root / LIST_FILE, SPLITS[split])
    found = []
    for folder in sorted(path for path in pictures.iterdir() if path.is_dir()):
        # Names of pictures and of their annotations differ in the case of the suffix: stems decide.
        objects_of = {path.name.split(".")[0]: path for path in (annotations / folder.name).glob("*.txt")}
        for stem, path in list_pictures(folder).items():
            if wanted is not None and stem not in wanted:
                continue
            if stem not in objects_of:
                raise FileNotFoundError(f"{path} has no annotation in {annotations / folder.name}; {SOURCE}")
            found.append(LabelledPicture(path, read_objects(objects_of[stem])))
    if not found:
        raise FileNotFoundError(f"{pictures} has no pictures of the split {split!r}; {SOURCE}")
    return found


def read_objects(file: Path) -> tuple[Labelled, ...]:
    """The objects in an annotation: lines `Class left top width height` and figures of no use here, after a `%` line.

    Raises:
        ValueError: a line is none of these, or its class is not one of `CLASSES`.
    """
    objects = []
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("%"):
            continue
        try:
            left, top, width, height = (float(word) for word in words[1:5])
        except ValueError as error:
            raise ValueError(f"{file}: {line!r} is not 'Class left top width height ...'") from error
        if words[0] not in CLASSES:
            raise ValueError(f"{file}: {words[0]!r} is not one of {', '.join(CLASSES)}")
        objects.append(Labelled(words[0], left, top, width, height))
    return tuple(objects)


def _split_stems(list_file: Path, number: str) -> set[str] | None:
    """Stems of the pictures of a split, from the publisher's list; None if there is none."""
    if not list_file.is_file():
        return None
    rows = [line.split() for line in list_file.read_text(encoding="utf-8").splitlines()]
    return {row[0].split(".")[0] for row in rows if len(row) >= 5 and row[4] == number}
