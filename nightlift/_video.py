"""`nightlift video`: frames through the network, their effects averaged over time so that nothing flickers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nightlift._backends import BackendOptions, open_runtime
from nightlift._ffmpeg import PLAYLIST, STDOUT, Frames, Metadata, reading, sound_pipe, writing
from nightlift._files import replacing
from nightlift._signals import until_signal
from nightlift._video_source import Clip, Source, probe
from service.inference import LoadedModel
from service.network import check_takes_pictures, run_network
from service.pictures import Picture, PictureFormat
from service.rendering import (
    Effect,
    FrameAnswer,
    Prepared,
    RenderOptions,
    begin_answer,
    fit_effect,
    plan,
    prepare,
    restoration_of,
    shows_another,
    smooth_over_time,
)
from service.restoring import Denoise, choose, look, most_pixels, restore, restorer_for

LOOK_AHEAD = 4
"""Frames by which each stage may be ahead of the next."""

EVERY = 4
"""The network runs on one of this many frames, as long as they look alike; effects are averaged anyway."""

T = TypeVar("T")


@dataclass(frozen=True)
class VideoRequest:
    """Everything that one call of `nightlift video` asks for.

    Attributes:
        source: a file, `-` for stdin, or a URL that ffmpeg opens, such as rtsp://camera/stream.
        target: a file, a playlist (.m3u8), or `-` for stdout.
        backend: which model; the work is always done in this process.
        options: strength, protection, gate, gamma, exposure and shadows; the detail is guided.
        temporal_smoothing: seconds over which effects are averaged; 0 treats every frame by itself.
        crf: quality of the H.264 stream, 0 (lossless) to 51.
        metadata: what is kept of the source's tags.
        overwrite: whether an existing target is replaced.
        denoise: noise reduction for every frame: `auto`, where noise would be visible, or 0 to 1.
    """

    source: str
    target: str
    backend: BackendOptions
    options: RenderOptions
    temporal_smoothing: float = 0.5
    crf: int = 18
    metadata: Metadata = "without_location"
    overwrite: bool = False
    denoise: Denoise = 0.0


def run(order: VideoRequest) -> None:
    """Enhance a video; the target appears when it is complete.

    Raises:
        FileNotFoundError: there is no such file, or no ffmpeg.
        FileExistsError: the target is the source, or exists and may not be replaced.
        ValueError: it cannot be decoded or written, or the model cannot be served.
        NightliftError: a frame cannot be enhanced.
    """
    source = Source(order.source)
    clip = probe(source)
    target = Path(order.target)
    if order.target != STDOUT and target.exists():
        if source.is_file and target.samefile(order.source):
            raise FileExistsError(f"{target} is the input; choose another name for the result")
        if not order.overwrite:
            raise FileExistsError(f"{target} already exists; --overwrite replaces it")
    asyncio.run(_run(order, source, clip))


def share_of_new(temporal_smoothing: float, rate: float) -> float:
    """Share of a new frame in an exponential average over `temporal_smoothing` seconds: 0 < share <= 1."""
    return 1.0 if temporal_smoothing <= 0 else 1 - math.exp(-1 / (temporal_smoothing * rate))


async def _run(order: VideoRequest, source: Source, clip: Clip) -> None:
    columns = (TextColumn("enhancing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_runtime(order.backend) as runtime, AsyncExitStack() as stack:
        model = runtime.models.get(runtime.settings.default_model)
        check_takes_pictures(model)
        restorer = restorer_for(order.denoise, runtime.find_restorer)
        most = runtime.settings.max_restored_pixels
        restoring = None if restorer is None else _Restoring(restorer, most, order)
        heard, hearing = stack.enter_context(sound_pipe(source, clip))
        frames = stack.enter_context(reading(source, clip, hearing))
        if not source.is_file:
            await stack.enter_async_context(_ended_by_signal(frames))
        part = stack.enter_context(_place(order.target))
        sink = stack.enter_context(writing(part, clip, source, order.crf, order.metadata, heard))
        progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        task = progress.add_task("", total=clip.frames or None)
        seen = await stack.enter_async_context(aclosing(ahead(_seen(iter(frames), model, order), LOOK_AHEAD)))
        steady = _steady(seen, order, float(clip.rate), restoring)
        async for pixels in await stack.enter_async_context(aclosing(ahead(steady, LOOK_AHEAD))):
            await asyncio.to_thread(sink.write, pixels.data)
            progress.advance(task)


@asynccontextmanager
async def _ended_by_signal(frames: Frames) -> AsyncIterator[None]:
    """Stop reading at Ctrl-C; frames read until then are finished and written."""
    async with until_signal(lambda: None) as stopped:

        async def watch() -> None:
            await stopped.wait()
            frames.stop()

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()


@contextmanager
def _place(target: str) -> Iterator[str]:
    """Where to write: files appear when they are complete; stdout and playlists grow."""
    if target == STDOUT or target.endswith(PLAYLIST):
        if target != STDOUT:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
        yield target
        return
    with replacing(Path(target)) as part:
        yield str(part)


@dataclass(frozen=True)
class _End:
    """Marks the end of the items; holds the error that caused it, if any."""

    error: Exception | None


async def ahead(source: AsyncGenerator[T], most: int) -> AsyncGenerator[T]:
    """The items of `source`, which runs in its own task, up to `most` items ahead of the consumer."""
    waiting: asyncio.Queue[T | _End] = asyncio.Queue(most)

    async def fill() -> None:
        error = None
        async with aclosing(source):
            try:
                async for item in source:
                    await waiting.put(item)
            except Exception as raised:
                error = raised
        await waiting.put(_End(error))

    filling = asyncio.create_task(fill())
    try:
        while not isinstance(item := await waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


@dataclass(frozen=True)
class _Seen:
    """A frame, and the network's result for it or for a frame shortly before."""

    prepared: Prepared
    effect: asyncio.Task[Effect]


async def _seen(
    frames: Iterator[NDArray[np.uint8]], model: LoadedModel, order: VideoRequest
) -> AsyncGenerator[_Seen]:
    """Decode frames; the network runs on one in every few, and on each that looks different."""

    def prepared_next() -> Prepared | None:
        pixels = next(frames, None)
        if pixels is None:
            return None
        frame = Picture(pixels=pixels, format=PictureFormat.PNG)
        frame_plan = plan(frame.width, frame.height, frame.bits, model.config.traits, order.options)
        return prepare(frame, frame_plan)

    async def effect_of(prepared: Prepared) -> Effect:
        outputs, _ = await run_network(model, prepared)
        return await asyncio.to_thread(fit_effect, prepared, outputs, order.options)

    every = EVERY if order.temporal_smoothing > 0 else 1
    last: _Seen | None = None
    since = 0
    try:
        while (prepared := await asyncio.to_thread(prepared_next)) is not None:
            since += 1
            if last is None or since >= every or shows_another(last.prepared, prepared):
                last, since = _Seen(prepared, asyncio.create_task(effect_of(prepared))), 0
            yield _Seen(prepared, last.effect)
    except BaseException:  # nobody needs the network's current result any more
        if last is not None:
            last.effect.cancel()
        raise


async def _steady(
    seen: AsyncIterator[_Seen], order: VideoRequest, rate: float, restoring: _Restoring | None
) -> AsyncGenerator[NDArray[Any]]:
    """The enhanced frames in order, uint8 [H, W, 3]."""
    share = share_of_new(order.temporal_smoothing, rate)
    effect: Effect | None = None
    async for one in seen:
        effect = await asyncio.to_thread(_smoothed, one.prepared, await one.effect, effect, share, order.options)
        answer = FrameAnswer(one.prepared, (), effect)
        layer = None if restoring is None else await restoring.layer(answer)
        yield await asyncio.to_thread(_rendered, answer, order.options, layer)


@dataclass(frozen=True)
class _Restoring:
    """Removes noise from frames.

    Attributes:
        restorer: the model for that.
        most: the setting `max_restored_pixels`.
        order: what is asked for.
    """

    restorer: LoadedModel
    most: int | None
    order: VideoRequest

    async def layer(self, answer: FrameAnswer) -> NDArray[Any] | None:
        """A frame's answer without its noise; None if it has no visible noise."""
        wish = await asyncio.to_thread(look, answer, self.order.options, self.order.denoise)
        chosen = choose(wish.plans, most_pixels(self.restorer, self.most), lambda _: True)
        if chosen is None:
            return None
        restoration = await asyncio.to_thread(restoration_of, answer, chosen, wish.noise, wish.strength)
        return (await restore(self.restorer, restoration, asyncio.to_thread)).pixels


def _smoothed(
    prepared: Prepared, latest: Effect, before: Effect | None, share: float, options: RenderOptions
) -> Effect:
    """The effect that is applied to a frame."""
    return smooth_over_time(before, latest.on(prepared, options), share)


def _rendered(answer: FrameAnswer, options: RenderOptions, layer: NDArray[Any] | None) -> NDArray[Any]:
    """A frame with its effect applied."""
    rendering = begin_answer(answer, options, layer)
    return rendering.picture.pixels if rendering.rows is None else rendering.rows.make_all()
