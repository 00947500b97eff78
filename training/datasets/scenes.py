"""List which pictures show the same scene, and how they are exposed, for the layouts that need this.

    python -m training.datasets.scenes data/zero_dce_train            (writes data/zero_dce_train.scenes.csv)
    python -m training.datasets.scenes data/LOLv1 --layout lolv1      (writes data/LOLv1/scenes.csv)

Consecutive shots have consecutive file numbers, so a picture is compared with the few before it. Exposure and tone
curves do not change the ranks of brightness: if these agree over the whole picture, it is the same scene.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets._samples import find_samples, list_pictures, natural_order
from training.datasets._transforms import read_picture
from training.datasets.brackets import agreement, thumbnail

REACH = 5
"""How many of the pictures before it a picture is compared with."""

MIN_AGREEMENT = 0.8
"""Least rank correlation of two pictures of one scene; of pairs for training it is more (`brackets`)."""

BLOWN_OUT, BLACK = 252, 8
"""A pixel is blown out if a channel reaches the first code value of 255, and black if none exceeds the second."""

PAIRED = {"lolv1": {"train": "our485", "test": "eval15"}, "pairs": {"train": "train"}}
"""Paired layouts -> what the list calls their splits."""


def list_scenes(root: Path, layout: str = "folder", *, overwrite: bool = False) -> Path:
    """Write the list of a data set; returns its path.

    Args:
        root: the data set's folder.
        layout: `folder`, which serves `brackets`, `fused` and `well_exposed` too; or one of `PAIRED`.
        overwrite: replace an existing list. Hold-outs depend on it, so trainings cannot be resumed afterwards.

    Raises:
        FileNotFoundError: the folder, or what the layout needs in it, is missing.
        FileExistsError: there is a list already.
        ValueError: there is no list for this layout.
    """
    if layout != "folder" and layout not in PAIRED:
        raise ValueError(f"there are lists of scenes for folder, {', '.join(PAIRED)}, not for {layout!r}")
    file = root / "scenes.csv" if layout in PAIRED else root.parent / f"{root.name}.scenes.csv"
    if file.exists() and not overwrite:
        raise FileExistsError(f"{file} already exists; `--overwrite` replaces it")
    pictures, rows = _paired(root, layout) if layout in PAIRED else _plain(root)
    if not rows:
        raise FileNotFoundError(f"{root} has no pictures")
    for row, scene in zip(rows, scene_numbers(pictures), strict=True):
        row["scene"] = scene
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def scene_numbers(pictures: Sequence[Path]) -> list[int]:
    """The scene of each picture, a number from 0; they come in the order of their file names."""
    views = [thumbnail(path) for path in pictures]
    numbers: list[int] = []
    for index, view in enumerate(views):
        before = range(max(0, index - REACH), index)
        alike = {numbers[n] for n in before if agreement(*sorted((views[n], view), key=np.mean)) >= MIN_AGREEMENT}
        number = min(alike, default=max(numbers, default=-1) + 1)
        numbers = [number if one in alike else one for one in numbers]  # a picture may join what was apart
        numbers.append(number)
    return numbers


def exposure(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Mean code value of 255 of a picture [H, W, 3], and the shares of its pixels that are blown out and black."""
    return {
        "mean_rgb": round(float(picture.mean()), 1),
        "frac_clipped_hi": round(float((picture >= BLOWN_OUT).any(axis=2).mean()), 3),
        "frac_black": round(float((picture <= BLACK).all(axis=2).mean()), 3),
    }


def _plain(root: Path) -> tuple[list[Path], list[dict[str, Any]]]:
    pictures = list(list_pictures(root).values())
    return pictures, [{"file": path.name, **exposure(read_picture(path))} for path in pictures]


def _paired(root: Path, layout: str) -> tuple[list[Path], list[dict[str, Any]]]:
    found = [
        (called, sample.files["high"])
        for split, called in PAIRED[layout].items()
        for sample in find_samples(layout, root, split)
    ]
    found.sort(key=lambda one: natural_order(one[1].name))  # both splits number the same shots
    return [path for _, path in found], [{"split": split, "name": path.name} for split, path in found]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m training.datasets.scenes", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", default="folder", help=f"folder, {', '.join(PAIRED)}")
    parser.add_argument("--overwrite", action="store_true", help="replace a list that is there")
    arguments = parser.parse_args()
    try:
        print(list_scenes(arguments.folder, arguments.layout, overwrite=arguments.overwrite))
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
