"""Repeat the beginning of a training from the record in its model's folder, and compare the losses.

    python -m training.repeat model_repository/nightlift/1/manifest.json --data pairs=data/LOLv1 --data ...

On the same class of hardware with the same libraries, losses agree to rounding. The exit code is 1 if one differs by
more than a thousandth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training._journal import read_curve
from training._train import data_folders, train
from training.recipe import Recipe

TOLERANCE = 1e-3
"""Largest relative difference of two losses that count as equal."""


@dataclass(frozen=True)
class Point:
    """The loss averaged over the steps before `step`: as recorded in the manifest, and now."""

    step: int
    then: float
    now: float

    @property
    def difference(self) -> float:
        """Relative to the manifest's."""
        return abs(self.now - self.then) / max(abs(self.then), 1e-12)


def repeat(
    training: Mapping[str, Any],
    data: Mapping[str, Path] | Path,
    steps: int,
    start_from: Path | None = None,
    vgg16: Path | None = None,
) -> list[Point]:
    """Train the first `steps` steps of a recorded training again.

    Args:
        training: a run's `run.json`, or the entry `training` of a model's `manifest.json`.
        data: folder by stream, or the only one.
        start_from: the checkpoint it began with, where it did.
        vgg16: weights of the perceptual losses' network, where it had them.

    Raises:
        ValueError: the record has no curve, or one that begins later.
    """
    recorded = {int(step): float(value) for step, value in training.get("curve", [])}
    if not any(step <= steps for step in recorded):
        raise ValueError(f"the record has no losses of the first {steps} steps")
    recipe = Recipe.model_validate(training["recipe"])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        train(recipe, data, out, stop_after=steps, threads=training["threads"], start_from=start_from, vgg16=vgg16)
        now = dict(read_curve(out / "curve.csv")["train/loss"])
    return [Point(step, recorded[step], value) for step, value in sorted(now.items()) if step in recorded]


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m training.repeat", description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="manifest.json of a model, or run.json of a training")
    parser.add_argument("--data", action="append", required=True, help="FOLDER, or STREAM=FOLDER, repeated")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--start-from",
        type=Path,
        help="the checkpoint that the last stage began with; without it, the first stage is repeated",
    )
    parser.add_argument("--vgg16", type=Path, help="weights of the perceptual losses' network, where it had them")
    arguments = parser.parse_args()
    record = json.loads(arguments.manifest.read_text(encoding="utf-8"))
    training = record.get("training", record)
    while arguments.start_from is None and training.get("began_with"):
        training = training["began_with"]
    points = repeat(training, data_folders(arguments.data), arguments.steps, arguments.start_from, arguments.vgg16)
    print("| step | loss, recorded | now | relative difference |\n| ---: | ---: | ---: | ---: |")
    for point in points:
        print(f"| {point.step} | {point.then:.5f} | {point.now:.5f} | {point.difference:.1e} |")
    return int(max(point.difference for point in points) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
