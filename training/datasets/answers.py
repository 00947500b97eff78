"""Results of models, the photos that they were made from, and references without noise (`training.answers`)."""

from __future__ import annotations

import csv
from pathlib import Path

from training.datasets._samples import Sample, register_layout

TABLE = "answers.csv"
COLUMNS = ("name", "scene", "low", "answer", "high")
"""Of the table: `scene` as `Sample.shows` has it, and three files, absolute or in the folder of the table."""

TEST_EVERY = 10
"""One in this many scenes of photographs belongs to the split `test`."""


@register_layout("answers")
def answers(root: Path, split: str) -> list[Sample]:
    """Samples `low`, `answer` and `high` of a folder that `training.answers` wrote; `test` is every tenth scene.

    For `rooms`, hold out a fraction instead, as for the pairs themselves.
    """
    if not (root / TABLE).is_file():
        raise FileNotFoundError(f"there is no {root / TABLE}; `python -m training.answers` writes it")
    with (root / TABLE).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    photos = [row for row in rows if not Path(row["low"]).is_absolute()]
    scenes = sorted({row["scene"] for row in photos})
    held_out = set(scenes[::TEST_EVERY])
    return [
        Sample(
            Path(row["answer"]).stem,
            {field: root / row[field] for field in ("low", "answer", "high")},
            row["scene"].partition("/")[2],
            frozenset({row["scene"]}),
        )
        for row in rows
        if (row["scene"] in held_out) == (split == "test")
    ]
