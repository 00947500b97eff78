"""Pairs from exposure brackets: the dark shots of a sequence, and its well-exposed one.

Brackets show what LOL's rooms do not: landscapes, streets, skies, lamps, people. If the camera moved between two
shots, a network would learn to blur; so a pair is used only if the ranks of the brightnesses agree. Tone curves do
not change ranks.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.datasets._samples import (
    Sample,
    has_holdout,
    is_input,
    list_pictures,
    register_layout,
    shown_elsewhere,
)

WELL_EXPOSED = (95.0, 150.0)
"""Range of mean code values of 255 in which a shot may be a reference; the one nearest to its middle is used."""

MAX_CLIPPED = 0.03
"""Largest share of blown-out pixels in a reference."""

DARK = (4.0, 0.65)
"""Least mean code value of a dark shot, and its largest mean as a share of the reference's."""

MIN_AGREEMENT = 0.95
"""Least rank correlation of the two shots' brightness over the pixels that are not black in the dark one."""

THUMBNAIL = 96


@register_layout("brackets")
def brackets(root: Path, split: str) -> list[Sample]:
    """Pairs `low` and `high` from a folder of exposure sequences.

    `<folder>.scenes.csv` beside the folder lists `file`, `scene` (the sequence), `mean_rgb` (0 to 255) and
    `frac_clipped_hi` (share of pixels); it may have `same_as` and `holdout`, which make the splits
    (`training.datasets.sequences_of`).
    """
    return [
        Sample(low.stem, {"low": low, "high": high}, scene, shown_elsewhere(rows[0]))
        for scene, rows in sequences_of(root, split).items()
        for low, high in _pairs(rows, root)
    ]


def sequences_of(root: Path, split: str) -> dict[str, list[dict[str, str]]]:
    """The sequences of a split: `test` is what the list marks in its column `holdout`, `train` all others.

    Where the list marks nothing, both are all.
    """
    found = sequences(root)
    if not any(has_holdout(rows) for rows in found.values()):
        return found
    return {scene: rows for scene, rows in found.items() if has_holdout(rows) == (split == "test")}


def sequences(root: Path) -> dict[str, list[dict[str, str]]]:
    """All shots of a folder by sequence: rows of `<folder>.scenes.csv`.

    Raises:
        FileNotFoundError: there is no such list, or it lists a shot that is not there.
    """
    table = root.parent / f"{root.name}.scenes.csv"
    if not table.is_file():
        raise FileNotFoundError(
            f"pairing the shots of exposure sequences needs their list: there is no {table}; "
            f"`python -m training.datasets.scenes {root}` writes it"
        )
    names = {path.name for path in list_pictures(root).values()}
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with table.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["file"] not in names:
                raise FileNotFoundError(f"{table.name} lists {row['file']}, which is not in {root}")
            found[row["scene"]].append(row)
    return found


def _pairs(rows: list[dict[str, str]], root: Path) -> list[tuple[Path, Path]]:
    """(dark shot, reference) of one sequence."""
    darkest, brightest = WELL_EXPOSED
    references = [
        row
        for row in rows
        if darkest <= float(row["mean_rgb"]) <= brightest and float(row["frac_clipped_hi"]) <= MAX_CLIPPED
    ]
    if not references:
        return []
    reference = min(references, key=lambda row: abs(float(row["mean_rgb"]) - (darkest + brightest) / 2))
    least, share = DARK
    wanted = [row for row in rows if least <= float(row["mean_rgb"]) <= share * float(reference["mean_rgb"])]
    if has_holdout(rows):
        wanted = [row for row in rows if is_input(row) and row is not reference]
    if not wanted:
        return []
    view = thumbnail(root / reference["file"])
    return [
        (root / row["file"], root / reference["file"])
        for row in wanted
        if agreement(thumbnail(root / row["file"]), view) >= MIN_AGREEMENT
    ]


def agreement(dark: NDArray[np.float32], bright: NDArray[np.float32]) -> float:
    """Rank correlation of two shots' brightness [h, w] where neither is black nor blown out; 0 if that is nowhere."""
    visible = (dark > 2) & (bright < 250)
    if visible.sum() < visible.size // 10:
        return 0.0
    one, other = (shot[visible].argsort().argsort().astype(np.float64) for shot in (dark, bright))
    return float(np.corrcoef(one, other)[0, 1])


def thumbnail(path: Path) -> NDArray[np.float32]:
    """Brightness float32 [96, 96], 0 to 255."""
    with Image.open(path) as file:
        file.draft("L", (THUMBNAIL, THUMBNAIL))
        return np.asarray(file.convert("F").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
