"""The pipeline: encoded bytes and options in, encoded bytes and a report out, whoever calls.

bytes → picture → work items → batch → engine → picture → bytes
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.admission import Budget, FairExecutor, Lease, Ticket
from service.enhancement import Enhanced, EnhanceOptions, Timings
from service.errors import Draining, InvalidParameter, OutOfMemory, UnsupportedShape, is_out_of_memory
from service.inference import ArrivalHint, BatchQueue, Bucket, LoadedModel, Outcome, Tensors
from service.pictures import (
    Header,
    Limits,
    PictureFormat,
    check_writable,
    decode,
    encode,
    fit,
    fitted_size,
    inspect,
    negotiate_format,
    plain_pixels,
)
from service.rendering import Prepared, Rendered, RenderPlan, begin, plan, prepare
from service.settings import Settings, available_cores
from service.telemetry import Metrics

T = TypeVar("T")

MAX_CONCURRENT = 4
"""Tiles of one picture, or pictures of one request, that are under way together: one request must not fill the queue
for all others. Of pictures there may be a batch, where that is more."""

INLINE_BYTES = 64 * 1024
"""The head of a file up to this length is read where it is: a thread would take longer than the work."""

CLIPPED_STEP = 16
"""Every so many rows and columns are looked at for clipped pixels, and less of a large photo: `CLIPPED_SAMPLES`."""

CLIPPED_SAMPLES = 15_000


@dataclass(frozen=True)
class _Request:
    """What is the same for all pictures of a request."""

    ticket: Ticket[LoadedModel]
    options: EnhanceOptions
    accept: str | None
    deadline: float


@dataclass(frozen=True)
class _Job:
    """One picture of a request: what it is, what is held for it, and the seconds that stages in threads may take."""

    request: _Request
    data: bytes
    header: Header
    target: PictureFormat
    plan: RenderPlan
    lease: Lease
    costs: dict[str, float]
    timings: Timings


def check_takes_pictures(model: LoadedModel) -> None:
    """See that pictures can be enhanced with a model.

    Raises:
        InvalidParameter: if it is called by its own tensors alone.
    """
    if not model.config.takes_pictures:
        names = ", ".join(tensor.name for tensor in model.config.inputs)
        raise InvalidParameter(
            f"model {model.name!r} takes no pictures, only the tensors {names} by the Open Inference Protocol; GET "
            "/models says which models take pictures",
            model=model.name,
        )


async def run_network(
    model: LoadedModel,
    prepared: Prepared,
    deadline: float | None = None,
    expectation: ArrivalHint | None = None,
    caller: str = "",
) -> tuple[list[NDArray[Any]], list[Outcome]]:
    """Run a picture's work items, a few at a time: (what `finish` and `fit_effect` take, what became of each).

    The other arguments, and what is raised, are those of `BatchQueue.submit`.
    """
    output = prepared.plan.output

    async def submit(inputs: Tensors) -> Outcome:
        queue = _queue(model, prepared.plan)
        try:
            return await queue.submit(inputs, (output,), deadline, expectation, caller)
        except Draining:
            # A model of maps does not know of this request: a reload may have closed its queue a moment ago.
            if (renewed := _queue(model, prepared.plan)) is queue:
                raise
            return await renewed.submit(inputs, (output,), deadline, expectation, caller)

    outcomes = await gather_limited([partial(submit, inputs) for inputs in prepared.inputs()])
    return [outcome.tensors[output][0] for outcome in outcomes], outcomes


def _queue(model: LoadedModel, render_plan: RenderPlan) -> BatchQueue:
    """Where the work items of a picture go."""
    return model.queue if render_plan.exposure is None else model.of_maps.queue


class Pipeline:
    """Turns one encoded picture into another. Coroutines are called on one event loop; codecs run in threads."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._limits = Limits(max_pixels=settings.max_pixels)
        self._budget = Budget(settings.max_pixels_in_flight)
        # One more than cores: a thread that waits for strips of its picture leaves a core idle at their end.
        self._threads = FairExecutor(settings.codec_threads or available_cores() + 1, "codec")

    async def enhance(
        self,
        data: bytes,
        options: EnhanceOptions,
        ticket: Ticket[LoadedModel],
        *,
        accept: str | None = None,
        timings: Timings | None = None,
    ) -> Enhanced:
        """Enhance one picture.

        Args:
            data: an encoded picture of any accepted format.
            options: what to do with it; the model is the ticket's.
            ticket: has a model reserved.
            accept: the value of an HTTP `Accept` header, where there is one.
            timings: measurements already begun (`read`); they are continued.

        Raises:
            NightliftError: any of its kinds that concern a picture, a model or the time.
        """
        check_takes_pictures(ticket.model)
        async with ticket.working(ticket.deadline):
            return await self._one(data, _Request(ticket, options, accept, ticket.deadline), timings or Timings())

    async def enhance_all(
        self, pictures: Sequence[bytes], options: EnhanceOptions, ticket: Ticket[LoadedModel], deadline: float
    ) -> list[Enhanced]:
        """Enhance the pictures of one request, a few at a time.

        Args:
            pictures: encoded pictures of any accepted format.
            options: what to do with each.
            ticket: has a model reserved.
            deadline: `time.monotonic()` after which the answer is of no use.

        Raises:
            NightliftError: that of the first picture that failed; the others are given up.
        """
        request = _Request(ticket, options, None, deadline)
        async with ticket.working(deadline):
            return await gather_limited(
                [partial(self._one, picture, request, Timings()) for picture in pictures],
                max(MAX_CONCURRENT, ticket.model.queue.batch_size),
            )

    async def _one(self, data: bytes, request: _Request, timings: Timings) -> Enhanced:
        ticket, model = request.ticket, request.ticket.model
        with timings.measure("decode"):
            if len(data) > INLINE_BYTES:
                header = await self._in_thread(partial(inspect, data, self._limits), ticket.caller)
            else:
                header = inspect(data, self._limits)
        target = negotiate_format(request.options.format, request.accept, header.format)
        check_writable(target, *fitted_size(header.width, header.height, request.options.max_side))
        ticket.charge_pixels(header.pixels)
        render_plan = plan(header.width, header.height, header.bits, model.config.traits, request.options.render)
        self._check_pass(render_plan)
        ticket.expect("network", _queue(model, render_plan).intake.model, sum(render_plan.item_pixels))
        costs = {
            "decode": ticket.expect("decode", header.format, header.pixels),
            "finish": ticket.expect("finish", target, header.pixels),
        }
        async with self._budget.hold(plain_pixels(header, target), ticket.caller) as lease:
            return await self._held(_Job(request, data, header, target, render_plan, lease, costs, timings))

    async def _held(self, job: _Job) -> Enhanced:
        model, options = job.request.ticket.model, job.request.options
        header, target, timings = job.header, job.target, job.timings
        work = [await self._run(job)]
        handed_over = time.monotonic()

        def finished() -> tuple[Rendered, bytes, float, tuple[int, int]]:
            with timings.measure("render", since=handed_over):
                # Nobody else holds the source while the answer is encoded.
                rendering = begin(*work.pop(), options.render)
            picture, rows = rendering.picture, rendering.rows
            if fitted_size(picture.width, picture.height, options.max_side) != (picture.width, picture.height):
                with timings.measure("render"):
                    if rows is not None:
                        rows.make_all()
                    picture, rows = fit(picture, options.max_side), None
            with timings.measure("encode"):
                encoded = encode(
                    picture, format=target, quality=options.quality, metadata=options.metadata, rows=rows
                )
            if rows is not None:  # which the encoder had made, strip by strip
                timings.add("render", rows.seconds)
                timings.add("encode", -rows.seconds)
            return rendering.rendered(), encoded, _clipped(picture.pixels), (picture.width, picture.height)

        rendered, encoded, clipped, (width, height) = await self._stage("finish", target, job, finished)
        self._observe(job, rendered, clipped)
        return Enhanced(
            data=encoded,
            format=target,
            model=model.name,
            version=model.version,
            detail=rendered.detail,
            gate=rendered.gate,
            luminance_before=rendered.luminance_before,
            luminance_after=rendered.luminance_after,
            width=width,
            height=height,
            source_width=header.width,
            source_height=header.height,
            dropped=header.dropped,
            timings=timings,
        )

    async def _run(self, job: _Job) -> tuple[Prepared, list[NDArray[Any]]]:
        """Decode, and run the network on the work items, which its queue is told to expect meanwhile."""

        def decoded() -> Prepared:
            return prepare(decode(job.data, self._limits, job.header), job.plan)

        ticket, timings = job.request.ticket, job.timings
        queue = _queue(ticket.model, job.plan)
        with queue.expecting(Bucket.of_kinds(job.plan.item_tensors, job.plan.output)) as expectation:
            with timings.measure("decode"):
                prepared = await self._stage("decode", job.header.format, job, decoded)
            outputs, outcomes = await run_network(
                ticket.model, prepared, job.request.deadline, expectation, ticket.caller
            )
        ticket.done("network", queue.intake.model, sum(job.plan.item_pixels))
        timings.add("queue", max(outcome.queue for outcome in outcomes))
        timings.add("infer", max(outcome.infer for outcome in outcomes))
        return prepared, outputs

    async def _stage(self, stage: str, kind: str, job: _Job, work: Callable[[], T]) -> T:
        """Run a stage in a thread, and learn what it costs."""
        ticket = job.request.ticket

        def timed() -> tuple[T, float]:
            started = time.monotonic()
            return work(), time.monotonic() - started

        result, seconds = await self._in_thread(timed, ticket.caller, job.costs[stage], job.lease)
        ticket.done(stage, kind, job.header.pixels)
        ticket.capacity.costs.observe(stage, kind, job.header.pixels, seconds)
        return result

    async def close(self) -> None:
        """Wait for the codec threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_thread(
        self, work: Callable[[], T], caller: str, cost: float = 0.0, lease: Lease | None = None
    ) -> T:
        """Work that no cancelling can stop once it has begun: until it ends, `lease` is not given back."""
        future = self._threads.submit(caller, cost, partial(copy_context().run, work))
        if lease is not None:
            lease.until(future)
        try:
            return await asyncio.wrap_future(future)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory("there is not enough memory for this picture at this moment") from error
            raise

    def _check_pass(self, render_plan: RenderPlan) -> None:
        limit = self._settings.max_whole_pixels
        if max(render_plan.item_pixels) > limit:
            raise UnsupportedShape(
                f"one pass of the network takes at most {limit} pixels, and this picture has more; "
                "ask for detail=auto or detail=guided",
                max_whole_pixels=limit,
            )

    def _observe(self, job: _Job, rendered: Rendered, clipped: float) -> None:
        metrics, name = self._metrics, job.request.ticket.model.name
        metrics.input_bytes.observe(len(job.data))
        metrics.input_megapixels.observe(job.header.megapixels)
        metrics.input_luminance.observe(rendered.luminance_before)
        metrics.output_luminance.observe(rendered.luminance_after)
        metrics.output_clipped.observe(clipped)
        metrics.pictures.labels(name, job.target, rendered.detail).inc()
        for stage in ("read", "decode", "render", "encode"):
            if stage in job.timings.seconds:
                metrics.model(name).stage(stage, job.timings.seconds[stage])


def _clipped(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    """Share of the pixels [H, W, 3] that have a channel at its maximum, in a sample."""
    step = max(CLIPPED_STEP, math.isqrt(pixels.shape[0] * pixels.shape[1] // CLIPPED_SAMPLES))
    sample = pixels[::step, ::step]
    return float((sample == np.iinfo(pixels.dtype).max).any(axis=-1).mean())


async def gather_limited(work: Sequence[Callable[[], Awaitable[T]]], at_once: int = MAX_CONCURRENT) -> list[T]:
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
