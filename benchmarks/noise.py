"""How much noise and texture models keep in the dark parts of photos: `python -m benchmarks.noise PHOTOS`.

    python -m benchmarks.noise data/large --models nightlift,zero_dce_improved

Dark blocks of 16x16 pixels, with a mean from 2 to 60 of 255, are divided into fine structure, below 5x5 pixels, and
coarser detail. The tenth of the blocks with the least detail shows noise, the tenth with the most shows texture and
noise. Results are fractions of what plain gain would produce: everything is divided by the block's mean, so 1 keeps
all and 0 removes all. A model that keeps little detail looks hazy; one that keeps as much noise as texture does not
denoise.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from service.contract import BT601
from service.enhancement import EnhanceOptions
from service.pictures import Limits, decode, is_picture
from service.runtime import Runtime
from service.settings import Settings

BLOCK = 16
"""Side of a block in pixels."""

MIN_COUNT = 10
"""Fewest dark blocks for a result."""

FINE = 5
"""Side in pixels of the box whose mean separates detail from noise and fine texture."""

DARK = (2.0, 60.0)
"""Range of the mean code value of a dark block; lower means are black."""

LUMINANCE = np.array(BT601, np.float32)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """What one model keeps of one photo, as fractions of plain gain: medians over blocks."""

    noise: float
    colour_noise: float
    texture: float
    detail: float


def kept(source: NDArray[np.uint8], result: NDArray[np.uint8]) -> Kept:
    """Compare a dark photo with its enhanced version, both uint8 [H, W, 3].

    Raises:
        ValueError: if the photo has fewer than `MIN_COUNT` dark blocks.
    """
    before, after = (picture.astype(np.float32) for picture in (source, result))
    level = _blocks(_light(before)).mean(axis=-1)
    dark = np.flatnonzero((level > DARK[0]) & (level < DARK[1]))
    if len(dark) < MIN_COUNT:
        raise ValueError("the photo has no dark parts to speak of")
    detail, detail_after = _detail(before), _detail(after)
    order = dark[np.argsort(detail[dark])]
    flat, lively = order[: len(order) // 10], order[-(len(order) // 10) :]
    (light, colour), (light_after, colour_after) = _fine(before), _fine(after)
    return Kept(
        noise=float(np.median(light_after[flat] / np.maximum(light[flat], 1e-6))),
        colour_noise=float(np.median(colour_after[flat] / np.maximum(colour[flat], 1e-6))),
        texture=float(np.median(light_after[lively] / np.maximum(light[lively], 1e-6))),
        detail=float(np.median(detail_after[lively] / np.maximum(detail[lively], 1e-6))),
    )


def _fine(picture: Floats) -> tuple[Floats, Floats]:
    """Standard deviation of fine luminance and fine colour in each block, divided by its mean luminance: [blocks]."""
    light = _light(picture)
    colour = picture[..., 0] - picture[..., 2]
    mean = np.maximum(_blocks(light).mean(axis=-1), 1.0)
    both = (_blocks(plane - _mean(plane)).std(axis=-1) / mean for plane in (light, colour))
    first, second = both
    return first, second


def _detail(picture: Floats) -> Floats:
    """Standard deviation of coarser structure in each block, divided by its mean luminance: [blocks]."""
    blocks = _blocks(_mean(_light(picture)))
    return np.asarray(blocks.std(axis=-1) / np.maximum(blocks.mean(axis=-1), 1e-6))


def _light(picture: Floats) -> Floats:
    return np.asarray(picture @ LUMINANCE, np.float32)


def _mean(plane: Floats) -> Floats:
    return np.asarray(cv2.blur(plane, (FINE, FINE)), np.float32)


def _blocks(plane: Floats) -> Floats:
    """[H, W] -> [blocks, pixels of a block]; the right and bottom rests that do not fill a block are dropped."""
    rows, columns = (side // BLOCK for side in plane.shape)
    cut = plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(rows * columns, BLOCK * BLOCK)


async def run(settings: Settings, photos: Sequence[Path], models: Sequence[str]) -> str:
    """A Markdown table with a row for each photo and model, and the medians of each model.

    Raises:
        NightliftError: if a photo cannot be enhanced.
    """
    wanted = settings.model_copy(update={"models": tuple(models), "required_models": ()})
    rows = [
        "| model | photo | luminance noise | colour noise | texture | detail |",
        "| --- | --- " + 4 * "| ---: " + "|",
    ]
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        for model in models:
            results = []
            for photo in photos:
                data = await asyncio.to_thread(photo.read_bytes)
                answer = await runtime.enhance(data, EnhanceOptions(model=model, format="png", protect=0))
                pictures = (decode(file, Limits()).pixels for file in (data, answer.data))
                results.append(kept(*pictures))
                rows.append(_row(model, photo.name, results[-1]))
            medians = (float(np.median([getattr(one, name) for one in results])) for name in Kept.__annotations__)
            rows.append(_row(model, "**median**", Kept(*medians)))
    return "\n".join(rows)


def _row(model: str, photo: str, values: Kept) -> str:
    numbers = (values.noise, values.colour_noise, values.texture, values.detail)
    return " | ".join([f"| {model}", photo, *(f"{number:.2f}" for number in numbers)]) + " |"


def main() -> int:
    """Run the benchmark; returns the exit code, 2 if there are no photos."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photos straight from the camera")
    parser.add_argument("--models", default="nightlift,zero_dce_improved,exdnet", help="names, comma-separated")
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.photos.glob("*") if is_picture(path))
    if not photos:
        print(f"no pictures found in {arguments.photos}", file=sys.stderr)
        return 2
    models = [name.strip() for name in arguments.models.split(",") if name.strip()]
    print(asyncio.run(run(Settings(), photos, models)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
