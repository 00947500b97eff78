"""Does enhancement help a detector? `python -m benchmarks.downstream DATA --detector FILE`.

    python -m benchmarks.downstream data/objects --detector detector.onnx --into docs/downstream.md

Well-lit photographs with boxes (`training.datasets.boxes`) are darkened to three levels by a sensor model; those of
ExDark (`training.datasets.exdark`) were taken in the dark. The detector's mean average precision is reported for the
originals, for the dark pictures, and for the dark pictures enhanced by a method without a network and by every served
model, through the service's pipeline in this process. The results do not depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks._downstream import LEVELS, DownstreamReport, Enhance, measure
from benchmarks._tables import machine, write_section
from service.enhancement import EnhanceOptions
from service.errors import NightliftError
from service.pictures import Limits, decode
from service.rendering import Detail
from service.runtime import Runtime
from service.settings import Settings
from training.datasets.boxes import classes_of, has_boxes, read_labelled
from training.evaluation.detection import Detector

Pixels = NDArray[np.uint8]

WAYS: Mapping[str, Mapping[str, Any]] = {"": {}}
"""Parameters of `POST /enhance` to use with each model, by the text that the row's name shows for them."""

PURE: Mapping[str, Any] = {"protect": 0.0, "gate": False}
"""Parameters for the network's result without protection of highlights and gate, as in every evaluation."""


async def enhance(runtime: Runtime, options: EnhanceOptions, picture: Pixels) -> Pixels:
    """A picture, uint8 [H, W, 3] RGB, enhanced by the service; same shape.

    Raises:
        NightliftError: if it cannot be enhanced.
    """
    _, file = cv2.imencode(".png", picture[..., ::-1], (cv2.IMWRITE_PNG_COMPRESSION, 1))
    answer = await runtime.enhance(file.tobytes(), options)
    return np.asarray(decode(answer.data, Limits()).pixels, np.uint8)


async def run(
    settings: Settings,
    data: Path,
    detector: Path,
    models: Sequence[str] = (),
    *,
    detail: Detail = Detail.AUTO,
    split: str = "test",
    limit: int | None = None,
    ways: Mapping[str, Mapping[str, Any]] = WAYS,
) -> DownstreamReport:
    """Measure with a new runtime.

    Args:
        settings: settings of the service; `cpu_threads` also applies to the detector.
        data: labelled pictures, in either layout.
        detector: ONNX file of the detector.
        models: names of models; if empty, all served models that take pictures.
        detail: as in `POST /enhance`.
        split: split of ExDark.
        limit: most pictures to use, evenly spread over the set.
        ways: see `WAYS`.

    Raises:
        FileNotFoundError, ValueError: if the data, the detector or a model is missing or invalid.
        NightliftError: if a picture cannot be enhanced.
    """
    asked = Detector(detector, settings.cpu_threads, classes_of(data))
    pictures = read_labelled(data, split)
    if limit is not None and limit < len(pictures):
        pictures = [pictures[i * len(pictures) // limit] for i in range(limit)]
    wanted = settings.model_copy(update={"models": tuple(models) or settings.models, "required_models": ()})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        served = {model.name for model in runtime.models.loaded() if model.config.takes_pictures}
        if missing := [name for name in models if name not in served]:
            raise ValueError(
                f"{', '.join(missing)} cannot be served; there are {', '.join(sorted(served)) or 'none'}"
            )
        systems: dict[str, Enhance] = {
            f"`{name}`{f', {said}' if said else ''}": partial(
                enhance, runtime, EnhanceOptions(model=name, detail=detail, format="png", **PURE, **parameters)
            )
            for name in list(models) or sorted(served)
            for said, parameters in ways.items()
        }
        return await measure(asked, detector.name, pictures, systems, LEVELS if has_boxes(data) else {}, _say)


def note(report: DownstreamReport, detail: Detail) -> str:
    """The text below the table."""
    return (
        f"In per cent. Pictures: {report.pictures}; objects of classes that the detector knows: {report.objects}; "
        f"{report.detector}, in {report.convention}'s convention; detail={detail}, strength 1, no protection, "
        f"no gate. {machine()}"
    )


def _say(number: int) -> None:
    if number % 10 == 0:
        print(f"{number} pictures", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.downstream", description=__doc__.splitlines()[0])
    words.add_argument("data", type=Path, help="folder with images/ and boxes.csv, or the folder of ExDark")
    words.add_argument("--detector", type=Path, required=True, help="ONNX file as exported by YOLOv8 or YOLOX")
    words.add_argument("--models", default="", help="names, comma-separated; default: all served models")
    words.add_argument("--detail", type=Detail, choices=list(Detail), default=Detail.AUTO, help="as in POST /enhance")
    words.add_argument("--split", choices=("train", "val", "test"), default="test", help="split of ExDark")
    words.add_argument("--limit", type=int, help="most pictures to use, evenly spread over the set")
    words.add_argument("--json", type=Path, help="write all results, including those of each class, to this file")
    words.add_argument("--into", type=Path, help="also write the table into this document")
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 2 if something is missing or cannot be read."""
    args = parser().parse_args(arguments)
    models = [name.strip() for name in args.models.split(",") if name.strip()]
    if args.limit is not None and args.limit < 1:
        print(f"--limit is {args.limit}; at least 1 is needed", file=sys.stderr)
        return 2
    words = {"detail": args.detail, "split": args.split, "limit": args.limit}
    try:
        report = asyncio.run(run(Settings(), args.data, args.detector, models, **words))
        text = f"{report.table()}\n\n{note(report, args.detail)}"
        print(text)
        if args.json is not None:
            args.json.write_text(json.dumps(report.as_dict(), indent=2) + "\n", encoding="utf-8")
        if args.into is not None:
            write_section(args.into, "downstream objects" if has_boxes(args.data) else "downstream exdark", text)
    except (FileNotFoundError, ValueError, NightliftError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
