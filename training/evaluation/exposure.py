"""Whether a dark picture tells how bright its reference is, or only knowledge of the scene does.

    python -m training.evaluation.exposure data/LOLv1

Somebody chose the exposure of every reference. Scores without GT-mean depend on how well a network guesses it. This
measures how well it can be guessed: the logarithm of the reference's mean is predicted by ridge regression on the
dark picture's brightness and colour, each scene from the others, and, for test pictures of a training scene, by
looking up the references of that scene. An error of 0.1 is 10 % of brightness.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets import Sample, find_samples, read_picture
from training.evaluation._command import exit_code

SHRUNK = (150, 100)
"""Width and height that pictures are shrunk to, in pixels."""

QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)
FOLDS = 10
PENALTY = 10.0
"""Of the ridge regression, on features of unit variance."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """Root mean square errors of a guess at the logarithm of a reference's mean.

    Attributes:
        pictures: training pairs.
        spread: error of guessing the same for all.
        told: error of the regression on dark pictures of other scenes.
        within: spread within scenes, of which there is more than one picture.
        tests: test pairs.
        known: those of them whose scene has a training pair.
        tests_told: error of the regression on the known, trained without their scenes; NaN where none is known.
        tests_looked_up: error of the mean over the training references of the scene, on the known; or NaN.
    """

    pictures: int
    spread: float
    told: float
    within: float
    tests: int
    known: int
    tests_told: float
    tests_looked_up: float

    def table(self) -> str:
        """Lines of Markdown."""
        rows = [
            ("training pairs", str(self.pictures)),
            ("one brightness for all", f"{self.spread:.3f}"),
            ("told from the dark picture, scene unseen", f"{self.told:.3f}"),
            ("within a scene", f"{self.within:.3f}"),
            ("test pairs, of a training scene", f"{self.known} of {self.tests}"),
            ("these, told from the dark picture, scene unseen", f"{self.tests_told:.3f}"),
            ("these, looked up in the training pairs of their scene", f"{self.tests_looked_up:.3f}"),
        ]
        return "\n".join(["| guess | error |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def judge_exposure(train: Sequence[Sample], test: Sequence[Sample]) -> Exposure:
    """Measure on pairs with the fields `low` and `high`.

    Raises:
        ValueError: fewer training scenes than folds of the regression.
    """
    features, targets, scenes = _read(train)
    groups = np.unique(scenes)
    if len(groups) < FOLDS:
        raise ValueError(f"{len(groups)} scenes are too few to tell anything; there must be at least {FOLDS}")
    told = np.empty_like(targets)
    for fold in np.array_split(np.random.default_rng(0).permutation(groups), FOLDS):
        unseen = np.isin(scenes, fold)
        told[unseen] = _ridge(features[~unseen], targets[~unseen], features[unseen])
    shared = [scenes == scene for scene in groups if np.sum(scenes == scene) > 1]
    within = [targets[pictures] - targets[pictures].mean() for pictures in shared] or [np.array([np.nan])]

    test_features, test_targets, test_scenes = _read(test)
    known = np.isin(test_scenes, scenes)
    unseen = ~np.isin(scenes, test_scenes[known])
    test_told = _ridge(features[unseen], targets[unseen], test_features[known])
    looked_up = np.array([targets[scenes == scene].mean() for scene in test_scenes[known]])
    return Exposure(
        pictures=len(train),
        spread=float(targets.std()),
        told=_rms(targets - told),
        within=_rms(np.concatenate(within)),
        tests=len(test),
        known=int(known.sum()),
        tests_told=_rms(test_targets[known] - test_told),
        tests_looked_up=_rms(test_targets[known] - looked_up),
    )


def _read(samples: Sequence[Sample]) -> tuple[Floats, Floats, NDArray[np.str_]]:
    """Features of the dark pictures [N, F], logarithms of the references' means [N], scenes [N]."""
    rows = [_features(_shrunk(sample.files["low"])) for sample in samples]
    means = [np.log(max(_shrunk(sample.files["high"]).mean(), 1 / 512)) for sample in samples]
    return np.array(rows), np.array(means), np.array([sample.scene for sample in samples])


def _shrunk(file: Path) -> Floats:
    """A picture at the size that is judged, float [100, 150, 3] in [0, 1]."""
    small = cv2.resize(read_picture(file), SHRUNK, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64) / 255


def _features(dark: Floats) -> Floats:
    """Level, spread, quantiles and colour of a dark picture, all in logarithms."""
    light = np.log(dark.mean(axis=2) + 1 / 512)
    colour = np.log(dark.mean(axis=(0, 1)) + 1 / 512)
    level = np.log(dark.mean() + 1 / 512)
    return np.concatenate([[level, light.mean(), light.std()], np.quantile(light, QUANTILES), colour - colour.mean()])


def _ridge(features: Floats, targets: Floats, asked: Floats) -> Floats:
    """What a ridge regression, fitted to targets [N] of features [N, F], says of others [M, F]: [M]."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-9
    known = (features - mean) / deviation
    weights = np.linalg.solve(
        known.T @ known + PENALTY * np.eye(known.shape[1]), known.T @ (targets - targets.mean())
    )
    return np.asarray((asked - mean) / deviation @ weights + targets.mean())


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="training.evaluation.exposure", description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder of pairs")
    parser.add_argument("--layout", default="lolv1", help="its layout (default: lolv1)")
    args = parser.parse_args(arguments)

    def measure() -> None:
        train, test = (find_samples(args.layout, args.data, split) for split in ("train", "test"))
        print(judge_exposure(train, test).table())

    return exit_code(measure)


if __name__ == "__main__":
    sys.exit(main())
