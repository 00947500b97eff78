"""Results of served models, as training data for the restorer.

    python -m training.answers rooms data/LOLv1 --out data/LOLv1.answers
    python -m training.answers photos data/photos --copies 12 --out data/photos.answers

`rooms` enhances the dark photo of every pair with every model. `photos` darkens well-lit photographs with the sensor
model of `training.datasets` and enhances each with a randomly chosen model; the reference is the noise-free dark
photo enhanced with the same colour map. It keeps a crop of each. Both write PNG files and `answers.csv`, which the
layout `answers` reads.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, apply_effect, fit_effect, plan, prepare
from training.checkpoints import WEIGHTS, build_network, load_checkpoint
from training.datasets import find_samples, list_pictures, read_picture
from training.datasets._darkening import Darkening, darken_twice
from training.datasets.answers import COLUMNS, TABLE
from training.evaluation import EvaluatedModel, network_as_model, open_model

Pixels = NDArray[np.uint8]

GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)

SIDE = 288
"""Side in pixels of the crop of a photograph that is kept."""

LONGEST = 1280
"""Long side in pixels that photographs are shrunk to, at most."""

UNTOUCHED = 0.1
"""Share of copies without noise, so that clean pictures stay as they are."""

SENSOR = Darkening(
    gain=(0.02, 0.6),
    electrons=(400, 40000),
    read_noise=(0.5, 6.0),
    grain=(1.0, 4.0),
    mosaic=0.7,
    chroma_blur=(0.0, 3.0),
    jpeg=0.6,
    quality=(60, 95),
)
"""Camera noise, from none to that of a phone in a dark street."""


def rooms(root: Path, models: Sequence[EvaluatedModel], out: Path) -> int:
    """Enhance the dark photo of every training pair of LOL with every model; returns the number of files."""
    rows = []
    for sample in find_samples("lolv1", root, "train"):
        dark = read_picture(sample.files["low"])
        for model in models:
            name = f"{sample.name}__{model.name}.png"
            _write(out / name, model.render(dark, Detail.GUIDED))
            files = (str(sample.files["low"].resolve()), name, str(sample.files["high"].resolve()))
            rows.append((sample.name, f"{root.resolve().name}/{sample.scene}", *files))
    _table(out, rows)
    return len(rows)


def photos(root: Path, models: Sequence[EvaluatedModel], out: Path, copies: int, seed: int) -> int:
    """Darken and enhance photographs, `copies` times each; returns the number of samples."""
    rows = []
    for number, (stem, path) in enumerate(list_pictures(root).items()):
        picture = _shrunk(read_picture(path))
        if min(picture.shape[:2]) < SIDE:
            continue
        for copy in range(copies):
            random = np.random.default_rng([seed, number, copy])
            model = models[int(random.integers(len(models)))]
            noisy, clean = darken_twice(picture, SENSOR, random)
            if random.random() < UNTOUCHED:
                noisy = np.round(clean / 257).astype(np.uint8)
            answer, reference = _both_answers(noisy, clean, model)
            box = _part(picture.shape, random)
            name = f"{stem}__{copy}"
            files = [f"{name}.{part}.png" for part in ("low", "answer", "high")]
            for file, pixels in zip(files, (noisy, answer, reference), strict=True):
                _write(out / file, pixels[box])
            rows.append((name, f"{root.resolve().name}/{stem}", *files))
    _table(out, rows)
    return len(rows)


def _both_answers(noisy: Pixels, clean: NDArray[np.uint16], model: EvaluatedModel) -> tuple[Pixels, Pixels]:
    """A noisy photo enhanced with a model's map, and the noise-free photo enhanced with the same map."""
    height, width = noisy.shape[:2]
    frames = (Picture(noisy, PictureFormat.PNG), Picture(clean, PictureFormat.PNG))
    ready, quiet = (prepare(frame, plan(width, height, frame.bits, model.traits, GUIDED)) for frame in frames)
    effect = fit_effect(ready, [model.answer(inputs, ready.plan.output)[0] for inputs in ready.inputs()], GUIDED)
    answer = apply_effect(frames[0], effect, GUIDED)
    reference = apply_effect(frames[1], effect.on(quiet, GUIDED), GUIDED)
    return answer, np.round(reference / 257).astype(np.uint8)


def _part(shape: tuple[int, ...], random: np.random.Generator) -> tuple[slice, slice]:
    top, left = (int(random.integers(side - SIDE + 1)) for side in shape[:2])
    return slice(top, top + SIDE), slice(left, left + SIDE)


def _shrunk(picture: Pixels) -> Pixels:
    longest = max(picture.shape[:2])
    if longest <= LONGEST:
        return picture
    size = (round(picture.shape[1] * LONGEST / longest), round(picture.shape[0] * LONGEST / longest))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _write(path: Path, pixels: Pixels) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])


def _table(out: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with (out / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def _opened(names: Sequence[str], repository: Path) -> Iterator[EvaluatedModel]:
    """Models as served, but without detail gain, so that noise-free texture stays as it is."""
    for name in names:
        model = open_model(name, repository, threads=1)
        if model.traits.map_layout.has_base_and_detail:
            checkpoint: dict[str, Any] = dict(load_checkpoint(model.file.with_name(WEIGHTS)))
            checkpoint["options"] = {**checkpoint["options"], "detail_gain": 1}
            network = build_network(checkpoint).eval()
            model = replace(network_as_model(network, checkpoint["network"], checkpoint["options"]), name=name)
        yield model


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("rooms", "photos"))
    parser.add_argument("data", type=Path, help="a folder of LOLv1, or of photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the answers; made if missing")
    parser.add_argument("--models", nargs="+", default=["nightlift"], help="names in the repository")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--copies", type=int, default=8, help="of each photograph")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        models = list(_opened(args.models, args.repository))
        if args.kind == "rooms":
            count = rooms(args.data, models, args.out)
        else:
            count = photos(args.data, models, args.out, args.copies, args.seed)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"answers in {args.out}: {count}")


if __name__ == "__main__":
    main()
