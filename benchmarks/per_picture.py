"""The time that each photo of a folder takes with each model: `python -m benchmarks.per_picture PHOTOS`.

    python -m benchmarks.per_picture data/LIME --models zero_dce,zero_dce_improved --detail whole --out speed.md

Every photo goes through the service's pipeline in this process, file to file, as for `POST /enhance`. The models take
turns on each photo, so that other load on the machine affects them alike. Medians are reported, and how many times as
fast as the first model each model is. Times depend on the machine; the ratios are more comparable.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service.enhancement import EnhanceOptions
from service.pictures import is_picture
from service.rendering import Detail
from service.repository import ModelRepository
from service.runtime import Runtime
from service.settings import Settings

ROUNDS = 5


@dataclass(frozen=True)
class Line:
    """The result for one photo.

    Attributes:
        name, width, height: name, and size in pixels when upright.
        bytes: size of the file.
        seconds: model -> median seconds of (the whole request, the network).
        detail: model -> how the photo was rendered.
    """

    name: str
    width: int
    height: int
    bytes: int
    seconds: Mapping[str, tuple[float, float]]
    detail: Mapping[str, str]


async def measure(
    runtime: Runtime, photos: Sequence[Path], models: Sequence[str], detail: Detail, rounds: int
) -> list[Line]:
    """Measure every photo with every model, `rounds` times after one round of warm-up.

    Raises:
        NightliftError: if a photo cannot be enhanced.
    """
    return [await _measure_one(runtime, photo, models, detail, rounds) for photo in photos]


async def _measure_one(runtime: Runtime, photo: Path, models: Sequence[str], detail: Detail, rounds: int) -> Line:
    data = await asyncio.to_thread(photo.read_bytes)
    times: dict[str, list[tuple[float, float]]] = {model: [] for model in models}
    answers = {}
    for turn in range(rounds + 1):
        for model in models:
            started = time.perf_counter()
            answers[model] = await runtime.enhance(data, EnhanceOptions(model=model, detail=detail))
            if turn:
                times[model].append((time.perf_counter() - started, answers[model].timings.seconds["infer"]))
    first = answers[models[0]]
    return Line(
        photo.name,
        first.width,
        first.height,
        len(data),
        {
            model: (median(total for total, _ in taken), median(network for _, network in taken))
            for model, taken in times.items()
        },
        {model: answer.detail for model, answer in answers.items()},
    )


def to_markdown(lines: Sequence[Line], sizes: Mapping[str, int]) -> str:
    """A Markdown table with a row per photo and a column per model, then means, ratios and file sizes of the models.

    Args:
        lines: results of `measure`.
        sizes: model -> size of its file in bytes; the others are compared with the first model.
    """
    models = list(sizes)
    first = models[0]
    means = {model: sum(line.seconds[model][0] for line in lines) / len(lines) for model in models}
    passes = {model: sum(line.seconds[model][1] for line in lines) / len(lines) for model in models}
    rows = [
        ["photo", "pixels", "kB", *(f"{model}, ms" for model in models)],
        ["---", "---", "---:", *("---:" for _ in models)],
        *(
            [
                line.name,
                f"{line.width}x{line.height}",
                f"{line.bytes / 1000:,.0f}",
                *(f"{1000 * line.seconds[model][0]:.1f}" for model in models),
            ]
            for line in lines
        ),
        ["**mean**", "", "", *(f"{1000 * means[model]:.1f}" for model in models)],
        ["the network alone", "", "", *(f"{1000 * passes[model]:.1f}" for model in models)],
        [f"times as fast as {first}", "", "", *(f"{means[first] / means[model]:.2f}" for model in models)],
        ["file of the model, kB", "", "", *(f"{sizes[model] / 1000:,.0f}" for model in models)],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def run(settings: Settings, photos: Sequence[Path], models: Sequence[str], detail: Detail, rounds: int) -> str:
    """Run `measure` with a new runtime; returns Markdown. Empty `models` means all loaded models that take pictures.

    Raises:
        ValueError: if a model does not exist or cannot be served.
    """
    there = ModelRepository(settings.model_repository).names()
    if missing := [name for name in models if name not in there]:
        raise ValueError(f"there is no model {', '.join(missing)}; choose of {', '.join(there)}")
    wanted = settings.model_copy(update={"models": tuple(models) or settings.models, "required_models": ()})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        served = {
            model.name: model.source.path.stat().st_size
            for model in runtime.models.loaded()
            if model.config.takes_pictures
        }
        names = list(models) or sorted(served)
        if broken := [name for name in names if name not in served]:
            raise ValueError(f"{', '.join(broken)} cannot be served; `nightlift doctor` says why")
        lines = await measure(runtime, photos, names, detail, rounds)
    shown = sorted({kind for line in lines for kind in line.detail.values()})
    note = f"File to file in process, one at a time, medians of {rounds} turns; rendered {' or '.join(shown)}."
    return f"{to_markdown(lines, {name: served[name] for name in names})}\n\n{note}"


def find_photos(folder: Path) -> list[Path]:
    """The pictures of a folder, without its subfolders, in numerical order of their names."""
    return sorted((path for path in folder.glob("*") if is_picture(path)), key=_in_order)


def main() -> int:
    """Run the benchmark; returns the exit code, 2 if there are no photos."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.per_picture", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--models", default="", help="comma-separated, the first is the baseline; default: all")
    parser.add_argument(
        "--detail", type=Detail, choices=list(Detail), default=Detail.AUTO, help="as in POST /enhance"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each model on each photo")
    parser.add_argument("--out", type=Path, help="Markdown file to write; default: print to the terminal")
    arguments = parser.parse_args()
    photos = find_photos(arguments.photos)
    if not photos:
        print(f"no pictures found in {arguments.photos}", file=sys.stderr)
        return 2
    models = [name.strip() for name in arguments.models.split(",") if name.strip()]
    text = asyncio.run(run(Settings(), photos, models, arguments.detail, max(1, arguments.rounds)))
    if arguments.out is None:
        print(text)
    else:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _in_order(path: Path) -> tuple[int, str]:
    """Sort key that puts 2.png before 10.png."""
    return (int(path.stem) if path.stem.isdecimal() else 0, path.name)


if __name__ == "__main__":
    sys.exit(main())
