"""`nightlift bench`: the service, JPEG to JPEG in this process, compared with the codec alone and the network alone.

All three take turns on the same picture, so that other load on the machine affects each alike; medians and their
ratios are reported. The codec alone is the lower bound: one thread of simplejpeg decodes the input and encodes our
output at quality 90, 4:2:0. The network alone is the engine on the inputs that the service makes from the picture,
without codec and rendering.
"""

from __future__ import annotations

import asyncio
import platform
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import onnxruntime as ort
import simplejpeg
from numpy.typing import NDArray

from service.enhancement import EnhanceOptions
from service.network import model_for
from service.pictures import decode
from service.rendering import RenderOptions, plan, prepare
from service.runtime import Runtime
from service.settings import Settings, available_cores

QUALITY = 90


@dataclass(frozen=True)
class Measurement:
    """The result for one picture size (in pixels) and one model; times are medians in seconds."""

    model: str
    width: int
    height: int
    detail: str
    codec: float
    network: float
    service: float

    @property
    def ratio(self) -> float:
        """The service's time divided by the codec's."""
        return self.service / self.codec

    @property
    def ratio_to_sum(self) -> float:
        """The service's time divided by the sum of codec and network."""
        return self.service / (self.codec + self.network)


async def measure(
    settings: Settings, models: Sequence[str], sizes: Sequence[tuple[int, int]], rounds: int
) -> list[Measurement]:
    """Measure every model at every (width, height) in pixels, `rounds` times after one round of warm-up.

    Raises:
        ModelNotFound, ModelNotReady: if a model cannot be loaded.
    """
    wanted = settings.model_copy(update={"models": tuple(models), "required_models": tuple(models)})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        return [await _measure_one(runtime, model, size, rounds) for model in models for size in sizes]


async def _measure_one(runtime: Runtime, model: str, size: tuple[int, int], rounds: int) -> Measurement:
    width, height = size
    picture = night_scene(width, height)
    file = simplejpeg.encode_jpeg(picture, quality=QUALITY, colorsubsampling="420")
    loaded = runtime.models.get(model)
    chosen = plan(width, height, 8, loaded.config.traits, RenderOptions())
    inputs = prepare(decode(file), chosen).inputs()[0]
    engine = model_for(loaded, chosen).engine
    answer = simplejpeg.decode_jpeg((await runtime.enhance(file, EnhanceOptions(model=model))).data)

    async def codec() -> None:
        simplejpeg.decode_jpeg(file)
        simplejpeg.encode_jpeg(answer, quality=QUALITY, colorsubsampling="420")

    async def network() -> None:
        await engine.run(inputs, (chosen.output,))

    async def service() -> None:
        await runtime.enhance(file, EnhanceOptions(model=model))

    times = await _in_turns([codec, network, service], rounds)
    return Measurement(model, width, height, chosen.label, *times)


async def _in_turns(steps: Sequence[Callable[[], Awaitable[None]]], rounds: int) -> list[float]:
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(rounds + 1):
        for step, taken in zip(steps, times, strict=True):
            started = time.perf_counter()
            await step()
            if turn:
                taken.append(time.perf_counter() - started)
    return [median(taken) for taken in times]


def parse_size(text: str) -> tuple[int, int]:
    """Parse `WIDTHxHEIGHT` into (width, height) in pixels, each from 10 to 99999.

    Raises:
        ValueError: if the text has another form.
    """
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", text)
    if match is None:
        raise ValueError(f"size {text!r} is not WIDTHxHEIGHT, such as 4000x3000")
    return int(match[1]), int(match[2])


def night_scene(width: int, height: int) -> NDArray[np.uint8]:
    """A dark picture, uint8 [H, W, 3], whose structure and noise make its JPEG about as large as a photo's."""
    random = np.random.default_rng(0)
    scene = np.zeros((height, width, 3), np.float32)
    for step in (512, 128, 32, 8):
        coarse = random.random((height // step + 2, width // step + 2, 3), np.float32)
        rows = np.linspace(0, coarse.shape[0] - 1.001, height).astype(int)
        columns = np.linspace(0, coarse.shape[1] - 1.001, width).astype(int)
        scene += coarse[rows][:, columns] * (step / 512) ** 0.5
    scene *= 60 / scene.max()
    scene += random.normal(0, 1.5, scene.shape).astype(np.float32)
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


def to_markdown(measurements: Sequence[Measurement]) -> str:
    """A Markdown table, and a line about the versions and the machine."""
    lines = [
        "| model | picture | rendered | codec, ms | network, ms | service, ms | x codec | x (codec + network) |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.model} | {one.width}x{one.height} | {one.detail} "
        f"| {1000 * one.codec:.1f} | {1000 * one.network:.1f} | {1000 * one.service:.1f} "
        f"| {one.ratio:.2f} | {one.ratio_to_sum:.2f} |"
        for one in measurements
    ]
    machine = f"{platform.processor() or platform.machine()}, {available_cores()} cores"
    facts = f"Python {platform.python_version()}, ONNX Runtime {ort.__version__}, {machine}"
    return "\n".join([*lines, "", f"JPEG to JPEG in process, one request at a time, medians of turns; {facts}."])


def run(settings: Settings, models: Sequence[str], sizes: Sequence[tuple[int, int]], rounds: int) -> str:
    """Run `measure` on a new event loop; returns Markdown."""
    return to_markdown(asyncio.run(measure(settings, models, sizes, rounds)))
