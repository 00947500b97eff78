"""What restoration costs beside a bare pass over the same pixels: `python -m benchmarks.restoration PHOTOS`.

    python -m benchmarks.restoration data/large --sides 600,2000,4000 --rounds 5

Every photo is shrunk to each long side, made noisy, and sent through the service's own pipeline in this process with
`denoise=0` and with `denoise=1`. The difference is what restoration costs. In turns with it the restorer's file
runs in a bare session of ONNX Runtime, with as many threads, over the whole picture's pixels in tiles without a halo.
Reported are medians, seconds a megapixel, and how many times the bare pass restoration takes; a machine that does
something else beside it, or throttles, makes the seconds larger but hardly the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from service.contract import ANSWER, CORRECTION, IMAGE, RESTORER_MULTIPLE
from service.enhancement import EnhanceOptions
from service.pictures import is_picture
from service.runtime import Runtime
from service.settings import Settings, available_cores

ROUNDS = 5
SIDES = (600, 2000)

TILE = 512
"""Side of the bare session's tiles: what a tile of the service is without its halo."""

GRAIN = 8.0
"""Deviation of the noise that is added to photos, in code values."""


@dataclass(frozen=True)
class Line:
    """One photo at one size.

    Attributes:
        name, width, height: of the photo.
        without, with_it: seconds of a request with `denoise=0` and with `denoise=1`, medians.
        bare: seconds of the bare session, median.
    """

    name: str
    width: int
    height: int
    without: float
    with_it: float
    bare: float

    @property
    def megapixels(self) -> float:
        """Of the photo."""
        return self.width * self.height / 1e6

    @property
    def restoration(self) -> float:
        """Seconds that restoration adds to a request."""
        return self.with_it - self.without

    @property
    def ratio(self) -> float:
        """Restoration in the service to the bare pass."""
        return self.restoration / self.bare


def noisy(photo: Path, side: int) -> NDArray[np.uint8]:
    """A photo shrunk to a long side of at most `side`, with noise: uint8 [H, W, 3]."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    image.thumbnail((side, side))
    pixels = np.asarray(image)
    noise = np.random.default_rng(0).normal(0, GRAIN, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def bare_pass(session: onnxruntime.InferenceSession, pixels: NDArray[np.uint8]) -> float:
    """Seconds of a session over a picture, uint8 [H, W, 3], as its own answer; cutting tiles is not counted."""
    height, width = (side - side % RESTORER_MULTIPLE for side in pixels.shape[:2])
    tiles = [
        np.ascontiguousarray(pixels[None, top : min(top + TILE, height), left : min(left + TILE, width)])
        for top in range(0, height, TILE)
        for left in range(0, width, TILE)
    ]
    started = time.perf_counter()
    for tile in tiles:
        session.run([CORRECTION], {ANSWER: tile, IMAGE: tile})
    return time.perf_counter() - started


async def measure(runtime: Runtime, photos: Sequence[Path], sides: Sequence[int], rounds: int) -> list[Line]:
    """Measure every photo at every size, `rounds` times in turns after one round to warm up.

    Raises:
        ValueError: if the service has no restorer, or one that is no ONNX file.
        NightliftError: if a photo cannot be enhanced.
    """
    restorer = runtime.find_restorer()
    if restorer is None or restorer.config.backend != "onnxruntime":
        raise ValueError("the repository has no restorer in ONNX; NIGHTLIFT_RESTORER names it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.settings.cpu_threads or available_cores()
    session = onnxruntime.InferenceSession(restorer.source.path, options, providers=["CPUExecutionProvider"])
    lines = []
    for photo in photos:
        for side in sides:
            pixels = await asyncio.to_thread(noisy, photo, side)
            lines.append(await _measure_one(runtime, session, photo.name, pixels, rounds))
    return lines


async def _measure_one(
    runtime: Runtime, session: onnxruntime.InferenceSession, name: str, pixels: NDArray[np.uint8], rounds: int
) -> Line:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=95)
    # A picture that is bright already would be left alone.
    without, with_it = (EnhanceOptions(denoise=denoise, gate=False) for denoise in (0, 1))
    times: dict[str, list[float]] = {"without": [], "with_it": [], "bare": []}
    for turn in range(rounds + 1):
        taken = {
            "without": await _request(runtime, file.getvalue(), without),
            "with_it": await _request(runtime, file.getvalue(), with_it),
            "bare": await asyncio.to_thread(bare_pass, session, pixels),
        }
        for kind, seconds in taken.items():
            times[kind] += [seconds] * (turn > 0)
    height, width = pixels.shape[:2]
    return Line(name, width, height, **{kind: median(seconds) for kind, seconds in times.items()})


async def _request(runtime: Runtime, data: bytes, options: EnhanceOptions) -> float:
    started = time.perf_counter()
    answer = await runtime.enhance(data, options)
    seconds = time.perf_counter() - started
    if options.denoise and answer.denoise_scale != 1:
        raise ValueError("a photo was not restored at its full size; set NIGHTLIFT_MAX_RESTORED_PIXELS higher")
    return seconds


def to_markdown(lines: Sequence[Line]) -> str:
    """The table: a row a photo and size, and the medians of what does not depend on the size."""
    rows = [
        ["photo", "pixels", "without, ms", "with, ms", "restoration, s/MP", "bare pass, s/MP", "times the bare pass"],
        ["---", "---", *["---:"] * 5],
    ]
    for line in lines:
        rows.append(
            [
                line.name,
                f"{line.width}x{line.height}",
                f"{1000 * line.without:.1f}",
                f"{1000 * line.with_it:.1f}",
                f"{line.restoration / line.megapixels:.3f}",
                f"{line.bare / line.megapixels:.3f}",
                f"{line.ratio:.2f}",
            ]
        )
    middle = (
        median(line.restoration / line.megapixels for line in lines),
        median(line.bare / line.megapixels for line in lines),
        median(line.ratio for line in lines),
    )
    middle_row = [f"{value:.{digits}f}" for value, digits in zip(middle, (3, 3, 2), strict=True)]
    rows.append(["**median**", "", "", "", *middle_row])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def run(settings: Settings, photos: Sequence[Path], sides: Sequence[int], rounds: int) -> str:
    """`measure` on a runtime of its own, as Markdown; without a bound on what is restored where none is set."""
    wanted = settings.model_copy(update={"models": (settings.default_model,), "required_models": ()})
    if wanted.max_restored_pixels is None:
        wanted = wanted.model_copy(update={"max_restored_pixels": wanted.max_pixels})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        return to_markdown(await measure(runtime, photos, sides, rounds))


def main() -> int:
    """See the module; the exit code is 2 if there is nothing to measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restoration", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--sides", default=",".join(map(str, SIDES)), help="long sides in pixels, comma-separated")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of each photo and size")
    arguments = parser.parse_args()
    photos = sorted(path for path in arguments.photos.glob("*") if is_picture(path))
    if not photos:
        print(f"no pictures found in {arguments.photos}", file=sys.stderr)
        return 2
    sides = [int(side) for side in arguments.sides.split(",")]
    try:
        print(asyncio.run(run(Settings(), photos, sides, max(1, arguments.rounds))))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
