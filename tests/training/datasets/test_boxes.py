"""Photographs with boxes in a CSV file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pictures import encoded
from training.datasets.boxes import CLASSES, classes_of, read_boxes, read_labelled
from training.datasets.exdark import CLASSES as EXDARK
from training.datasets.exdark import Labelled

HEADER = "file,class,x,y,width,height"


def write(root: Path, *lines: str, header: str = HEADER) -> Path:
    (root / "images").mkdir()
    for name in ("10.png", "2.png"):
        (root / "images" / name).write_bytes(encoded(np.zeros((16, 16, 3), np.uint8)))
    (root / "boxes.csv").write_text("\n".join([header, *lines]) + "\n")
    return root


def test_boxes_are_gathered_by_picture(tmp_path: Path) -> None:
    write(tmp_path, "2.png,0,1.5,2,3,4", "10.png,79,0,0,8,8", "2.png,16,5,6,7,8")
    first, second = read_boxes(tmp_path)
    assert (first.path.name, second.path.name) == ("10.png", "2.png")
    assert first.objects == (Labelled("toothbrush", 0, 0, 8, 8),)
    assert second.objects == (Labelled("person", 1.5, 2, 3, 4), Labelled("dog", 5, 6, 7, 8))
    assert read_labelled(tmp_path, "train") == [first, second]  # splits are ExDark's alone


def test_the_layout_decides_about_the_classes(tmp_path: Path) -> None:
    assert classes_of(tmp_path) == EXDARK
    assert classes_of(write(tmp_path, "2.png,0,0,0,1,1")) == CLASSES
    assert len(set(CLASSES)) == 80


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("2.png,80,0,0,1,1", "line 2: class 80 is not one of 0 to 79"),
        ("2.png,0,0,0,1", "line 2: expected file,class,x,y,width,height"),
        ("2.png,person,0,0,1,1", "line 2: expected"),
        ("../2.png,0,0,0,1,1", r"line 2: '\.\./2\.png' is not the name"),
        (",0,0,0,1,1", "line 2: '' is not the name"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_boxes(write(tmp_path, line))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"boxes\.csv"):
        read_boxes(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"names 3\.png"):
        read_boxes(write(tmp_path, "3.png,0,0,0,1,1"))


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lists no boxes"):
        read_boxes(write(tmp_path))
