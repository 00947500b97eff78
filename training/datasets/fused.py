"""Pairs from exposure sequences: the dark shots, and the fusion of all shots.

A single exposure shows either a backlit subject or the sky behind it. A fusion (`training.datasets.fuse`) shows both:
from such pairs a network learns to lift shadows and keep skies.
"""

from __future__ import annotations

import csv
from pathlib import Path

from training.datasets._samples import Sample, has_holdout, is_input, register_layout, shown_elsewhere
from training.datasets.brackets import sequences, sequences_of

TABLE = "shots.csv"
"""Beside the fusions: which shots each is made of, and its mean code value."""

DARK = (25.0, 0.85)
"""Least mean code value of a shot that is paired, and its largest mean as a share of the fusion's. Darker shots
teach a network to lift all black, which turns night skies into fog."""

MAX_CLIPPED = 0.05
"""Largest share of clipped pixels in a shot that is paired: a network could only invent what they lost."""


@register_layout("fused")
def fused(root: Path, split: str) -> list[Sample]:
    """Pairs `low` and `high` from a folder of exposure sequences, fused before.

    `<folder>.scenes.csv` beside the folder and the splits as in the layout `brackets`, and `<folder>.fused/` as
    `fuse` leaves it. Of a held-out sequence the shot that the list marks as `input` is paired, however dark.
    """
    made = beside(root)
    if not (made / TABLE).is_file():
        raise FileNotFoundError(
            f"sequences have to be fused first: there is no {made / TABLE}; "
            f"`python -m training.datasets.fuse {root}` writes it"
        )
    shots = {row["file"]: row for rows in sequences(root).values() for row in rows}
    wanted = sequences_of(root, split)
    samples = []
    with (made / TABLE).open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["file"] not in shots:
                raise FileNotFoundError(f"{made / TABLE} lists {row['file']}, which is not in {root}: fuse again")
            shot = shots[row["file"]]
            if row["scene"] not in wanted:
                continue
            held_out = has_holdout(wanted[row["scene"]])
            if is_input(shot) if held_out else _is_trained_on(shot, float(row["mean_fused"])):
                files = {"low": root / row["file"], "high": made / row["fused"]}
                samples.append(Sample(files["low"].stem, files, row["scene"], shown_elsewhere(shot)))
    return samples


def _is_trained_on(shot: dict[str, str], mean_fused: float) -> bool:
    least, share = DARK
    return least <= float(shot["mean_rgb"]) <= share * mean_fused and float(shot["frac_clipped_hi"]) <= MAX_CLIPPED


def beside(root: Path) -> Path:
    """The folder of the fusions of a folder of sequences."""
    return root.parent / f"{root.name}.fused"
