"""What asking for the right brightness is worth, against scaling a finished picture to it.

    python -m training.evaluation.wanted_brightness data/LOLv1 nightlift zero_dce_improved

For each test pair, bisection finds the `exposure` with which the service's result is as bright as the reference. The
table compares the scores of that result with those of the automatic one, scaled afterwards (GT-mean).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.limits import EXPOSURE_RANGE
from service.rendering import RenderOptions
from training.datasets import find_samples, read_picture
from training.evaluation._command import exit_code, model_parser
from training.evaluation._metrics import LUMINANCE, match_mean, psnr, ssim
from training.evaluation._models import EvaluatedModel, open_model

Pixels = NDArray[np.uint8]
Expose = Callable[[Pixels, float], Pixels]
"""A dark picture and an exposure in stops -> the result, uint8 [H, W, 3] -> the same shape."""

ROUNDS = 12
"""Of the bisection: to 0.001 stops."""

HEADING = "| model | scaled (GT-mean) | by exposure | gain in dB | stops |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Wanted:
    """Means over the pairs.

    Attributes:
        scaled: (PSNR in dB, SSIM) of the automatic result, scaled to the reference's brightness.
        exposed: the same of the result at the exposure that reaches the reference's brightness.
        stops: mean size of that exposure.
    """

    scaled: tuple[float, float]
    exposed: tuple[float, float]
    stops: float

    @property
    def row(self) -> str:
        """Cells of a Markdown table."""
        return (
            f"{self.scaled[0]:.2f} / {self.scaled[1]:.3f} | {self.exposed[0]:.2f} / {self.exposed[1]:.3f} | "
            f"{self.exposed[0] - self.scaled[0]:+.2f} | {self.stops:.2f}"
        )


def judge_wanted(expose: Expose, pairs: Iterable[tuple[Pixels, Pixels]]) -> Wanted:
    """Measure on pairs (dark, reference), uint8 [H, W, 3]; NaN without any."""
    rows = []
    for dark, reference in pairs:
        aim = reference / 255
        stops, exposed = _bisect(expose, dark, _brightness(reference))
        scaled = match_mean(expose(dark, 0.0) / 255, aim)
        scores = [score(result, aim) for result in (scaled, exposed / 255) for score in (psnr, ssim)]
        rows.append((*scores, abs(stops)))
    means = [float(value) for value in np.mean(rows, axis=0)] if rows else [float("nan")] * 5
    return Wanted((means[0], means[1]), (means[2], means[3]), means[4])


def _bisect(expose: Expose, dark: Pixels, brightness: float) -> tuple[float, Pixels]:
    """The exposure in stops that gives a result of this brightness, or the end of the range that comes closest."""
    low, high = map(float, EXPOSURE_RANGE)
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        result = expose(dark, middle)
        low, high = (middle, high) if _brightness(result) < brightness else (low, middle)
    return middle, result


def _brightness(pixels: Pixels) -> float:
    return float((pixels @ LUMINANCE).mean())


def _with_exposure(model: EvaluatedModel) -> Expose:
    return lambda picture, stops: model.enhance(picture, RenderOptions(exposure=stops))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = model_parser(__doc__)
    parser.add_argument("data", type=Path, help="folder of pairs")
    parser.add_argument("models", nargs="+", help="names in the repository, or checkpoints")
    parser.add_argument("--layout", default="lolv1", help="layout of the pairs (default: lolv1)")
    args = parser.parse_args(arguments)

    def measure() -> None:
        samples = find_samples(args.layout, args.data, "test")
        pairs = [(read_picture(sample.files["low"]), read_picture(sample.files["high"])) for sample in samples]
        print(HEADING)
        for name in args.models:
            model = open_model(name, args.repository, threads=args.threads)
            print(f"| `{model.name}` | {judge_wanted(_with_exposure(model), pairs).row} |", flush=True)

    return exit_code(measure)


if __name__ == "__main__":
    sys.exit(main())
