"""Tests models on night scenes and backlit subjects, where one brightness does not fit the whole photo.

    python -m training.evaluation.mixed_light nightlift zero_dce_improved \\
        --brackets data/brackets --objects data/objects --photos data/photos --unpaired data/unpaired

prints a table, a row a model, at the service's default settings:

- sequences: the darkened shot of every held-out exposure sequence against the fusion of its shots;
- backlit: photographs whose subject was darkened by two to four stops; the mean code value of areas below 64, which
  should become readable, and the change of white areas, which should stay;
- night: mean code values of black skies, which should stay black, and the largest difference between their channels;
- good: how much the mean luminance of well-exposed photographs changes.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.contract import BT601
from training.datasets import find_samples, list_pictures, read_picture
from training.datasets._relighting import Relighting, relight
from training.datasets.brackets import sequences
from training.datasets.fuse import BRIGHTEST, exposure_fusion
from training.evaluation._command import exit_code, model_parser
from training.evaluation._models import open_model
from training.losses.fidelity import match_brightness
from training.objectives import paired_scores

Pixels = NDArray[np.uint8]
Enhance = Callable[[Pixels], Pixels]

BACKLIGHT = Relighting(loss=(2.0, 4.0), surroundings=(0.0, 0.5), softness=(1.0, 3.0), spotlight=0.0)
"""Relighting of the test photographs; a seed for each, so that every model sees the same."""

DARK, WHITE = 64, 240
"""Luminance in code values below which a part is dark, and from which it is white."""

LEAST_DARK = 0.05
"""Least share of a relit photograph that must be dark for it to count."""

NIGHTS: Mapping[str, tuple[float, float, float, float]] = {
    "LIME/5": (0.0, 0.2, 0.2, 0.43),
    "DICM/12": (0.0, 0.35, 0.3, 0.9),
    "DICM/20": (0.0, 0.125, 0.0, 1.0),
}
"""Photo -> the part of it that is black sky: first and last row, first and last column, as shares."""


@dataclass(frozen=True)
class Light:
    """Means over the photos of a set; NaN where there is none.

    Attributes:
        psnr, ssim, psnr_matched, ssim_matched: of sequences; `matched` after both have the same mean brightness.
        dark, white: code values of dark parts after, and the change of white parts, of backlit photos.
        skies: (mean code value, largest difference between channels) of each black sky that was found.
        changed: mean size of the relative change of luminance of good photographs.
    """

    psnr: float
    ssim: float
    psnr_matched: float
    ssim_matched: float
    dark: float
    white: float
    skies: tuple[tuple[float, float], ...]
    changed: float

    @property
    def row(self) -> str:
        """Cells of a Markdown table."""
        skies = ", ".join(f"{mean:.0f} ({apart:.0f})" for mean, apart in self.skies) or "-"
        return (
            f"{self.psnr:.2f} / {self.ssim:.3f} | {self.psnr_matched:.2f} / {self.ssim_matched:.3f} | "
            f"{self.dark:.0f}, {self.white:+.1f} | {skies} | {100 * self.changed:.1f} %"
        )


HEADING = (
    "| model | sequences | with GT-mean | backlit: dark, white | night skies (colour) | good photos change |\n"
    "|---|---|---|---|---|---|"
)


def judge_light(
    enhance: Enhance,
    brackets: Path | None = None,
    objects: Path | None = None,
    photos: Path | None = None,
    unpaired: Path | None = None,
) -> Light:
    """Measure on the available sets; None leaves a set out."""
    scores = [_scores(enhance(dark), fusion) for dark, fusion in held_out_sequences(brackets)] if brackets else []
    backlit = [_parts(photo, enhance(photo)) for photo in backlit_photos(objects)] if objects else []
    changes = [_change(photo, enhance(photo)) for photo in good_photos(photos)] if photos else []
    psnr, ssim, psnr_matched, ssim_matched = (_mean([row[index] for row in scores]) for index in range(4))
    dark, white = (_mean([pair[index] for pair in backlit]) for index in (0, 1))
    skies = tuple(_sky(enhance(photo), box) for photo, box in night_skies(unpaired)) if unpaired else ()
    return Light(psnr, ssim, psnr_matched, ssim_matched, dark, white, skies, _mean(changes))


def held_out_sequences(root: Path) -> Iterator[tuple[Pixels, Pixels]]:
    """(Darkened shot, fusion of all shots up to a mean of 215) of the sequences whose list marks them as held out."""
    for rows in sequences(root).values():
        dark = [row for row in rows if row.get("holdout") == "input"]
        if dark:
            shots = [read_picture(root / row["file"]) for row in rows if float(row["mean_rgb"]) <= BRIGHTEST]
            yield read_picture(root / dark[0]["file"]), exposure_fusion(shots)


def backlit_photos(root: Path) -> Iterator[Pixels]:
    """The test photographs of the layout `objects`, their subjects against the light."""
    for number, sample in enumerate(find_samples("objects", root, "test")):
        random = np.random.default_rng(number)
        relit = relight(read_picture(sample.files["image"]), read_picture(sample.files["mask"]), BACKLIGHT, random)
        if relit is not None and (_luminance(relit[0]) < DARK).mean() >= LEAST_DARK:
            yield relit[0]


def good_photos(root: Path) -> Iterator[Pixels]:
    """Well-exposed photographs: all of a folder, or those that a CSV in it marks `good` in its column `exposure`."""
    marks = {
        Path(row["file"]).stem: row["exposure"]
        for table in root.glob("*.csv")
        for row in csv.DictReader(table.open(newline=""))
        if "exposure" in row
    }
    for stem, path in list_pictures(root).items():
        if marks.get(stem, "good") == "good":
            yield read_picture(path)


def night_skies(root: Path) -> Iterator[tuple[Pixels, tuple[slice, slice]]]:
    """(Photo, its black sky) of those of `NIGHTS` that are there."""
    for name, (top, bottom, left, right) in NIGHTS.items():
        for path in root.glob(f"{name}.*"):
            photo = read_picture(path)
            height, width = photo.shape[:2]
            yield (
                photo,
                (
                    slice(round(top * height), round(bottom * height)),
                    slice(round(left * width), round(right * width)),
                ),
            )


def _scores(result: Pixels, reference: Pixels) -> list[float]:
    one, other = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255 for pixels in (result, reference))
    plain, matched = paired_scores(one, other), paired_scores(match_brightness(one, other), other)
    return [float(scores[name]) for scores in (plain, matched) for name in ("psnr", "ssim")]


def _parts(before: Pixels, after: Pixels) -> tuple[float, float]:
    """Mean of what was dark, and change of what was white; NaN where nothing is."""
    was, now = _luminance(before), _luminance(after)
    white = was >= WHITE
    return float(now[was < DARK].mean()), float((now - was)[white].mean()) if white.any() else float("nan")


def _sky(after: Pixels, box: tuple[slice, slice]) -> tuple[float, float]:
    channels = after[box].reshape(-1, 3).mean(axis=0)
    return float(channels.mean()), float(channels.max() - channels.min())


def _change(before: Pixels, after: Pixels) -> float:
    was = _luminance(before).mean()
    return float(abs(_luminance(after).mean() - was) / was)


def _luminance(pixels: Pixels) -> NDArray[np.float32]:
    return pixels.astype(np.float32) @ np.array(BT601, np.float32)


def _mean(values: Sequence[float]) -> float:
    return float(np.nanmean(values)) if values else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = model_parser(__doc__)
    parser.add_argument("models", nargs="+", help="names in the repository, or checkpoints")
    for name in ("brackets", "objects", "photos", "unpaired"):
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args(arguments)
    folders = {name: getattr(args, name) for name in ("brackets", "objects", "photos", "unpaired")}

    def measure() -> None:
        print(HEADING)
        if folders["brackets"]:
            print(f"| input | {judge_light(lambda photo: photo, **folders).row} |", flush=True)
        for name in args.models:
            model = open_model(name, args.repository, threads=args.threads)
            print(f"| `{model.name}` | {judge_light(model.served, **folders).row} |", flush=True)

    return exit_code(measure)


if __name__ == "__main__":
    sys.exit(main())
