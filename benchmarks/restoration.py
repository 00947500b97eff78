"""The time of restoration (denoising) compared with the network alone: `python -m benchmarks.restoration PHOTOS`.

    python -m benchmarks.restoration data/large --sides 600,2000,4000 --rounds 5

Every photo is shrunk to each long side, made noisy, and sent through the service's pipeline in this process with
`denoise=0` and with `denoise=1`. The difference is the time of restoration. In turn with these, the restorer's file
runs in a plain session of ONNX Runtime (the bare pass) with the same number of threads, over the whole picture in
tiles without halos. Reported are medians, in seconds per megapixel, and the ratio of restoration to the bare pass.
The ratio depends much less than the seconds on other load and on throttling.
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
"""Side in pixels of the bare pass's tiles: that of the service's tiles without their halo."""

GRAIN = 8.0
"""Standard deviation of the noise that is added to photos, in code values from 0 to 255."""


@dataclass(frozen=True)
class Line:
    """The result for one photo at one size.

    Attributes:
        name, width, height: name, and size in pixels.
        without, with_it: median seconds of a request with `denoise=0` and with `denoise=1`.
        bare: median seconds of the bare pass.
    """

    name: str
    width: int
    height: int
    without: float
    with_it: float
    bare: float

    @property
    def megapixels(self) -> float:
        """Size of the photo in megapixels."""
        return self.width * self.height / 1e6

    @property
    def restoration(self) -> float:
        """Seconds that restoration adds to a request."""
        return self.with_it - self.without

    @property
    def ratio(self) -> float:
        """Time of restoration in the service divided by that of the bare pass."""
        return self.restoration / self.bare


def noisy(photo: Path, side: int) -> NDArray[np.uint8]:
    """A photo with added noise, shrunk to a long side of at most `side` pixels: uint8 [H, W, 3]."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    image.thumbnail((side, side))
    pixels = np.asarray(image)
    noise = np.random.default_rng(0).normal(0, GRAIN, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def bare_pass(session: onnxruntime.InferenceSession, pixels: NDArray[np.uint8]) -> float:
    """Seconds that a session takes for the tiles of a picture, uint8 [H, W, 3], not counting the time to cut them."""
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
    """Measure every photo at every size, `rounds` times after one round of warm-up.

    Raises:
        ValueError: if the service has no restorer that is an ONNX file, or restores a photo at reduced size.
        NightliftError: if a photo cannot be enhanced.
    """
    restorer = runtime.find_restorer()
    if restorer is None or restorer.config.backend != "onnxruntime":
        raise ValueError("the repository has no restorer in ONNX; NIGHTLIFT_RESTORER names it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.settings.cpu_threads or available_cores()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the service runs it
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
    # With the gate, well-lit photos would not be enhanced.
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
    """A Markdown table with a row per photo and size, and the medians of the values per megapixel and the ratio."""
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
    """Run `measure` with a new runtime; returns Markdown. By default, photos of all sizes are restored in full."""
    wanted = settings.model_copy(update={"models": (settings.default_model,), "required_models": ()})
    if wanted.max_restored_pixels is None:
        wanted = wanted.model_copy(update={"max_restored_pixels": wanted.max_pixels})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        return to_markdown(await measure(runtime, photos, sides, rounds))


def main() -> int:
    """Run the benchmark; returns the exit code, 2 if there are no photos or no restorer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restoration", description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--sides", default=",".join(map(str, SIDES)), help="long sides in pixels, comma-separated")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each photo and size")
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
