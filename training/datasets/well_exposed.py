"""Well-exposed photographs, chosen from a collection by statistics, as a substitute for highly rated pictures.

DRBN's second stage uses AVA's photographs of high mean opinion score. Without these, exposure brackets (SICE's, which
Zero-DCE is trained on) have well-exposed shots among the dark and clipped ones.
"""

from __future__ import annotations

import csv
from pathlib import Path

from training.datasets._samples import Sample, has_holdout, list_pictures, register_layout, shown_elsewhere

MEAN_CODES = (95.0, 150.0)
"""Darkest and brightest mean code value, of 255, of a well-exposed photograph."""

MAX_CLIPPED, MAX_BLACK = 0.02, 0.01
"""Largest share of blown-out and of black pixels."""


@register_layout("well_exposed")
def well_exposed(root: Path, split: str) -> list[Sample]:
    """The well-exposed pictures of a folder, field `image`.

    `<folder>.scenes.csv` beside the folder lists `file`, `scene`, `mean_rgb` (0 to 255), `frac_clipped_hi` and
    `frac_black` (shares of pixels). Scenes that it marks in a column `holdout` are the split `test` alone.
    """
    table = root.parent / f"{root.name}.scenes.csv"
    if not table.is_file():
        raise FileNotFoundError(
            f"choosing well-exposed pictures needs their statistics: there is no {table}; "
            f"`python -m training.datasets.scenes {root}` writes it"
        )
    with table.open(newline="") as lines:
        listed = list(csv.DictReader(lines))
    marks = has_holdout(listed)
    chosen = [row for row in listed if not marks or has_holdout([row]) == (split == "test")]
    rows = [row for row in chosen if _is_well_exposed(row)]
    pictures = {path.name: path for path in list_pictures(root).values()}
    missing = [row["file"] for row in rows if row["file"] not in pictures]
    if missing:
        raise FileNotFoundError(f"{table.name} lists {missing[0]}, which is not in {root}")
    return [
        Sample(Path(row["file"]).stem, {"image": pictures[row["file"]]}, row["scene"], shown_elsewhere(row))
        for row in rows
    ]


def _is_well_exposed(row: dict[str, str]) -> bool:
    darkest, brightest = MEAN_CODES
    return (
        darkest <= float(row["mean_rgb"]) <= brightest
        and float(row["frac_clipped_hi"]) <= MAX_CLIPPED
        and float(row["frac_black"]) <= MAX_BLACK
    )
