"""The plane: encoded bytes and options in, encoded bytes and a report out. HTTP, gRPC and the command line call it.

bytes → picture → work items → batch → engine → picture → bytes
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.access import charge_pixels
from service.budget import Budget, Hold
from service.deadline import within
from service.enhancement import Enhanced, EnhanceOptions, Timings
from service.errors import NightliftError, UnsupportedShape
from service.inference import BatchQueue, Expectation, LoadedModel, Models, Outcome
from service.pictures import (
    Header,
    Limits,
    PictureFormat,
    check_writable,
    decode,
    encode,
    inspect,
    negotiate_format,
)
from service.rendering import Prepared, Rendered, RenderPlan, finish, plan, prepare
from service.settings import Settings, available_cores
from service.telemetry import Metrics

T = TypeVar("T")

AT_ONCE = 4
"""Tiles of one picture, or pictures of one request, that are under way together: one request must not fill the queue
for all others. Of pictures there may be a batch, where that is more."""

INLINE_BYTES = 64 * 1024
"""The head of a file up to this length is read where it is: a thread would take longer than the work."""

CLIPPED_STEP = 16
"""Every so many rows and columns are looked at for clipped pixels: 0.5 ms for 12 megapixels."""


@dataclass(frozen=True)
class _Request:
    """What is the same for all pictures of a request."""

    model: LoadedModel
    options: EnhanceOptions
    accept: str | None
    deadline: float | None
    place: Expectation


async def run_network(
    model: LoadedModel,
    prepared: Prepared,
    deadline: float | None = None,
    expectation: Expectation | None = None,
    place: Expectation | None = None,
) -> tuple[list[NDArray[Any]], list[Outcome]]:
    """Run a picture's work items, a few at a time: (what `finish` and `fit_effect` take, what became of each).

    The other arguments, and what is raised, are those of `BatchQueue.submit`.
    """
    output = prepared.plan.output
    outcomes = await _a_few_at_once(
        [partial(model.queue.submit, item[None], (output,), deadline, expectation, place) for item in prepared.items]
    )
    return [outcome.tensors[output][0] for outcome in outcomes], outcomes


class Enhancer:
    """Turns one encoded picture into another. Coroutines are called on one event loop; codecs run in threads."""

    def __init__(self, models: Models, settings: Settings, metrics: Metrics) -> None:
        self.models = models
        self._settings = settings
        self._metrics = metrics
        self._limits = Limits(max_pixels=settings.max_pixels)
        self._budget = Budget(settings.max_pixels_in_flight)
        # One more than cores: a thread that waits for strips of its picture leaves a core idle at their end.
        threads = settings.codec_threads or available_cores() + 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="codec")

    def let_in(self, model: str | None, version: int | None = None) -> None:
        """Refuse by a request's head; of requests that come together no more are let in than there is room for.

        Raises:
            ModelNotFound, ModelNotReady, QueueFull, Draining: as `check_room`.
        """
        self._queue(model, version).let_in()

    def arrived(self, model: str | None, version: int | None = None) -> None:
        """All of a request that was let in has come."""
        with suppress(NightliftError):  # the model was unloaded meanwhile
            self._queue(model, version).arrived()

    def check_room(self, model: str | None, version: int | None = None) -> None:
        """Refuse early, before its bytes have come, what `enhance` would refuse now.

        Raises:
            ModelNotFound, ModelNotReady: if there is no such model to call.
            QueueFull, Draining: if it takes no more.
        """
        self._queue(model, version).check_room()

    async def enhance(
        self,
        data: bytes,
        options: EnhanceOptions,
        *,
        accept: str | None = None,
        deadline: float | None = None,
        timings: Timings | None = None,
    ) -> Enhanced:
        """Enhance one picture.

        Args:
            data: an encoded picture of any accepted format.
            options: what to do with it.
            accept: the value of an HTTP `Accept` header, where there is one.
            deadline: `time.monotonic()` after which the answer is of no use.
            timings: measurements already begun (`read`); they are continued.

        Raises:
            NightliftError: any of its kinds that concern a picture, a model or the time.
        """
        async with within(deadline):
            model = self._model(options)
            with model.queue.admitted() as place:
                request = _Request(model, options, accept, deadline, place)
                return await self._admitted(data, request, timings or Timings())

    async def enhance_all(
        self, pictures: Sequence[bytes], options: EnhanceOptions, *, deadline: float | None = None
    ) -> list[Enhanced]:
        """Enhance the pictures of one request, a few at a time; there is room for all of them or for none.

        Args:
            pictures: encoded pictures of any accepted format.
            options: what to do with each.
            deadline: as for `enhance`.

        Raises:
            NightliftError: that of the first picture that failed; the others are given up.
        """
        async with within(deadline):
            model = self._model(options)
            with model.queue.admitted() as place:
                request = _Request(model, options, None, deadline, place)
                return await _a_few_at_once(
                    [partial(self._admitted, picture, request, Timings()) for picture in pictures],
                    max(AT_ONCE, model.queue.batch_size),
                )

    async def _admitted(self, data: bytes, request: _Request, timings: Timings) -> Enhanced:
        with timings.measure("decode"):
            if len(data) > INLINE_BYTES:
                header = await self._in_thread(partial(inspect, data, self._limits))
            else:
                header = inspect(data, self._limits)
        target = negotiate_format(request.options.format, request.accept, header.format)
        check_writable(target, header.width, header.height)
        charge_pixels(header.pixels)
        async with self._budget.hold(header.pixels) as hold:
            return await self._held(data, header, target, request, timings, hold)

    async def _held(
        self, data: bytes, header: Header, target: PictureFormat, request: _Request, timings: Timings, hold: Hold
    ) -> Enhanced:
        model, options = request.model, request.options
        render_plan = plan(header.width, header.height, header.bits, model.config.traits, options.render)
        self._check_pass(render_plan)
        prepared, outputs = await self._run(data, header, request, render_plan, timings, hold)
        handed_over = time.monotonic()

        def finished() -> tuple[Rendered, bytes, float]:
            with timings.measure("render", since=handed_over):
                rendered = finish(prepared, outputs, options.render)
            with timings.measure("encode"):
                picture, metadata = rendered.picture, options.metadata
                encoded = encode(picture, format=target, quality=options.quality, metadata=metadata)
            return rendered, encoded, _clipped(picture.pixels)

        rendered, encoded, clipped = await self._in_thread(finished, hold)
        self._observe(model, header, rendered, clipped, target, timings, len(data))
        return Enhanced(
            data=encoded,
            format=target,
            model=model.name,
            version=model.version,
            detail=rendered.detail,
            gate=rendered.gate,
            luminance_before=rendered.luminance_before,
            luminance_after=rendered.luminance_after,
            width=header.width,
            height=header.height,
            dropped=header.dropped,
            timings=timings,
        )

    async def _run(
        self, data: bytes, header: Header, request: _Request, render_plan: RenderPlan, timings: Timings, hold: Hold
    ) -> tuple[Prepared, list[NDArray[Any]]]:
        """Decode, and run the network on the work items, which its queue is told to expect meanwhile."""

        def decoded() -> Prepared:
            return prepare(decode(data, self._limits, header), render_plan)

        queue, wanted = request.model.queue, (render_plan.output,)
        height, width = render_plan.item_shapes[0]
        with queue.expecting((height, width, wanted)) as expectation:
            with timings.measure("decode"):
                prepared = await self._in_thread(decoded, hold)
            outputs, outcomes = await run_network(
                request.model, prepared, request.deadline, expectation, request.place
            )
        timings.add("queue", max(outcome.queue for outcome in outcomes))
        timings.add("infer", max(outcome.infer for outcome in outcomes))
        return prepared, outputs

    def _model(self, options: EnhanceOptions) -> LoadedModel:
        return self.models.get(options.model or self._settings.default_model, options.version)

    def _queue(self, model: str | None, version: int | None) -> BatchQueue:
        return self.models.get(model or self._settings.default_model, version).queue

    async def close(self) -> None:
        """Wait for the codec threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_thread(self, work: Callable[[], T], hold: Hold | None = None) -> T:
        """Work that no cancelling can stop once it has begun: until it ends, `hold` is not given back."""
        future = self._threads.submit(copy_context().run, work)
        if hold is not None:
            hold.until(future)
        return await asyncio.wrap_future(future)

    def _check_pass(self, render_plan: RenderPlan) -> None:
        limit = self._settings.max_whole_pixels
        if max(render_plan.item_pixels) > limit:
            raise UnsupportedShape(
                f"one pass of the network takes at most {limit} pixels, and this picture has more; "
                "ask for detail=auto or detail=guided",
                max_whole_pixels=limit,
            )

    def _observe(
        self,
        model: LoadedModel,
        header: Header,
        rendered: Rendered,
        clipped: float,
        target: PictureFormat,
        timings: Timings,
        size: int,
    ) -> None:
        metrics = self._metrics
        metrics.input_bytes.observe(size)
        metrics.input_megapixels.observe(header.megapixels)
        metrics.input_luminance.observe(rendered.luminance_before)
        metrics.output_luminance.observe(rendered.luminance_after)
        metrics.output_clipped.observe(clipped)
        metrics.pictures.labels(model.name, target, rendered.detail).inc()
        for stage in ("read", "decode", "render", "encode"):
            if stage in timings.seconds:
                metrics.model(model.name).stage(stage, timings.seconds[stage])


def _clipped(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    """Share of the pixels [H, W, 3] that have a channel at its maximum, in a sample."""
    sample = pixels[::CLIPPED_STEP, ::CLIPPED_STEP]
    return float((sample == np.iinfo(pixels.dtype).max).any(axis=-1).mean())


async def _a_few_at_once(work: Sequence[Callable[[], Awaitable[T]]], at_once: int = AT_ONCE) -> list[T]:
    """The results in order; the first failure gives up the rest."""
    if len(work) == 1:
        return [await work[0]()]
    turn = asyncio.Semaphore(at_once)

    async def take_turn(start: Callable[[], Awaitable[T]]) -> T:
        async with turn:
            return await start()

    tasks = [asyncio.create_task(take_turn(start)) for start in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
