"""Fuse exposure sequences from the well-exposed parts of each shot (Mertens et al., "Exposure Fusion", 2007).

    python -m training.datasets.fuse data/zero_dce_train

writes `data/zero_dce_train.fused/`: a picture for each sequence, and `shots.csv`, which lists its shots. The
layout `fused` reads them.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.datasets._transforms import read_picture
from training.datasets.brackets import MIN_AGREEMENT, agreement, sequences, thumbnail
from training.datasets.fused import TABLE, beside

Pixels = NDArray[np.uint8]

MIN_COUNT = 3
"""Shots that a fusion is made of, at least."""

BRIGHTEST = 215.0
"""Largest mean code value of a shot that is fused; brighter shots are mostly clipped."""

MIDDLE = 110.0
"""Mean code value of the shot that the others have to agree with."""

QUALITY = 95


def fuse(root: Path) -> int:
    """Fuse every sequence of a folder and write the results beside it; returns their number.

    Args:
        root: the folder of shots; beside it `<folder>.scenes.csv` (`training.datasets.brackets`).

    Raises:
        FileNotFoundError: the folder, its list, or a listed shot is missing.
        ValueError: no sequence has enough shots that agree.
    """
    to = beside(root)
    unfinished = to.with_name(f"{to.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    lines = []
    for scene, rows in sequences(root).items():
        shots = _fusible([row for row in rows if float(row["mean_rgb"]) <= BRIGHTEST], root)
        if len(shots) < MIN_COUNT:
            continue
        picture = exposure_fusion([read_picture(root / row["file"]) for row in shots])
        name = f"{scene}.jpg"
        Image.fromarray(picture).save(unfinished / name, quality=QUALITY, subsampling="4:4:4")
        lines += [(row["file"], scene, name, f"{picture.mean():.1f}") for row in shots]
    if not lines:
        shutil.rmtree(unfinished)
        raise ValueError(f"{root} has no sequence of {MIN_COUNT} shots or more that show the same")
    with (unfinished / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([("file", "scene", "fused", "mean_fused"), *lines])
    shutil.rmtree(to, ignore_errors=True)
    unfinished.rename(to)
    return len({line[1] for line in lines})


def exposure_fusion(shots: list[Pixels]) -> Pixels:
    """Mertens' fusion of shots of one size, uint8 [H, W, 3], contrast, saturation and exposure weighing the same."""
    merged = cv2.createMergeMertens(1.0, 1.0, 1.0).process(shots)
    result: Pixels = np.round(np.clip(merged, 0, 1) * 255).astype(np.uint8)
    return result


def _fusible(rows: list[dict[str, str]], root: Path) -> list[dict[str, str]]:
    """The shots that show the same as the middle one and have its size, from dark to bright."""
    rows = sorted(rows, key=lambda row: float(row["mean_rgb"]))
    if not rows:
        return []
    middle = min(rows, key=lambda row: abs(float(row["mean_rgb"]) - MIDDLE))
    view, size = thumbnail(root / middle["file"]), _size(root / middle["file"])
    return [
        row
        for row in rows
        if row is middle
        or (
            _size(root / row["file"]) == size
            and agreement(*sorted((thumbnail(root / row["file"]), view), key=np.mean)) >= MIN_AGREEMENT
        )
    ]


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as file:
        return file.size


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of shots; <folder>.scenes.csv lies beside it")
    folder = parser.parse_args().folder
    print(f"fused sequences in {beside(folder)}: {fuse(folder)}")


if __name__ == "__main__":
    main()
