"""`nightlift video`: frames through the network, their effects averaged over time so that nothing flickers."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nightlift._ffmpeg import Clip, Metadata, probe, reading, writing
from nightlift._files import replacing
from nightlift._planes import PlaneOptions, open_runtime
from service.inference import LoadedModel, Outcome
from service.pictures import Picture, PictureFormat
from service.pipeline import run_network
from service.rendering import (
    Detail,
    Effect,
    Prepared,
    RenderOptions,
    apply_effect,
    fit_effect,
    follow,
    plan,
    prepare,
)

LOOK_AHEAD = 4
"""Frames that the network may work on ahead of the one that is being written, so that they share batches."""


@dataclass(frozen=True)
class VideoOrder:
    """Everything that one call of `nightlift video` asks for.

    Attributes:
        source, target: video files.
        plane: which model; the work is always done in this process.
        options: strength, protection, gate and gamma; the detail is guided.
        steadiness: seconds over which effects are averaged; 0 takes every frame for itself.
        crf: quality of the H.264 stream, 0 (lossless) to 51.
        metadata: what is kept of the source's tags.
        overwrite: whether a target that is there is replaced.
    """

    source: Path
    target: Path
    plane: PlaneOptions
    options: RenderOptions
    steadiness: float = 0.5
    crf: int = 18
    metadata: Metadata = "without_location"
    overwrite: bool = False


def run(order: VideoOrder) -> None:
    """Enhance a video; the target is there when it is complete.

    Raises:
        FileNotFoundError: there is no such video, or no ffmpeg.
        FileExistsError: the target is the source, or is there and may not be replaced.
        ValueError: it cannot be decoded or written, or the model cannot be served.
        NightliftError: a frame cannot be enhanced.
    """
    clip = probe(order.source)
    if order.target.exists() and order.target.samefile(order.source):
        raise FileExistsError(f"{order.target} is the input; choose another name for the result")
    if order.target.exists() and not order.overwrite:
        raise FileExistsError(f"{order.target} is there already; --overwrite replaces it")
    asyncio.run(_run(order, clip))


def share_of_new(steadiness: float, rate: float) -> float:
    """Share of a new frame in an exponential average with a time constant of `steadiness` seconds, 0 < share <= 1."""
    return 1.0 if steadiness <= 0 else 1 - math.exp(-1 / (steadiness * rate))


async def _run(order: VideoOrder, clip: Clip) -> None:
    columns = (TextColumn("enhancing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_runtime(order.plane) as runtime:
        model = runtime.models.get(runtime.settings.default_model)
        with (
            reading(order.source, clip) as frames,
            replacing(order.target) as part,
            writing(part, clip, order.source, order.crf, order.metadata) as sink,
            Progress(*columns, console=Console(stderr=True)) as progress,
        ):
            task = progress.add_task("", total=clip.frames or None)
            async for pixels in _steady(frames, model, order, float(clip.rate)):
                await asyncio.to_thread(sink.write, pixels.tobytes())
                progress.advance(task)


@dataclass(frozen=True)
class _Pending:
    """A frame whose network pass is under way."""

    prepared: Prepared
    answer: asyncio.Task[tuple[list[NDArray[Any]], list[Outcome]]]


async def _steady(
    frames: Iterator[NDArray[np.uint8]], model: LoadedModel, order: VideoOrder, rate: float
) -> AsyncIterator[NDArray[Any]]:
    """The enhanced frames in order, uint8 [H, W, 3]."""
    share = share_of_new(order.steadiness, rate)
    effect: Effect | None = None
    async for pending in _ahead(frames, model, order.options):
        outputs, _ = await pending.answer
        effect, pixels = await asyncio.to_thread(_render, pending, outputs, effect, share, order.options)
        yield pixels


def _render(
    pending: _Pending, outputs: list[NDArray[Any]], before: Effect | None, share: float, options: RenderOptions
) -> tuple[Effect, NDArray[Any]]:
    """The effect that is applied to a frame, and the frame under it."""
    effect = follow(before, fit_effect(pending.prepared, outputs, options), share)
    return effect, apply_effect(pending.prepared.picture, effect, options)


async def _ahead(
    frames: Iterator[NDArray[np.uint8]], model: LoadedModel, options: RenderOptions
) -> AsyncIterator[_Pending]:
    """Decode frames and hand them to the network, a few ahead of who asks."""
    pending: deque[_Pending] = deque()

    def prepared_next() -> Prepared | None:
        pixels = next(frames, None)
        if pixels is None:
            return None
        frame = Picture(pixels=pixels, format=PictureFormat.PNG)
        frame_plan = plan(frame.width, frame.height, frame.bits, model.config.traits, options)
        return prepare(frame, frame_plan)

    try:
        while (prepared := await asyncio.to_thread(prepared_next)) is not None:
            pending.append(_Pending(prepared, asyncio.create_task(run_network(model, prepared))))
            if len(pending) > LOOK_AHEAD:
                yield pending.popleft()
        while pending:
            yield pending.popleft()
    finally:
        for left in pending:
            left.answer.cancel()


def guided(strength: float, protect: float, gate: bool, gamma: float) -> RenderOptions:
    """The options of a video's frames."""
    return RenderOptions(Detail.GUIDED, strength, protect, gate, gamma)
