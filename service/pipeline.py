"""The pipeline of every transport: encoded bytes and options in, encoded bytes and a report out.

bytes → picture → work items → batch → engine → picture → bytes
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.admission import Budget, FairExecutor, Lease, Ticket
from service.concurrency import MAX_CONCURRENT, gather_limited
from service.enhancement import Enhanced, EnhanceOptions, Timings
from service.errors import NightliftError, OutOfMemory, UnsupportedShape, is_out_of_memory
from service.inference import Bucket, LoadedModel
from service.network import check_takes_pictures, model_for, run_network
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
from service.rendering import (
    Answer,
    Prepared,
    Rendered,
    RenderPlan,
    RestorationPlan,
    begin_answer,
    plan,
    prepare,
    restoration_of,
)
from service.restoring import NOT_RESTORED, Restored, choose, look, most_pixels, restore, restorer_for
from service.settings import Settings, available_cores
from service.telemetry import Metrics

T = TypeVar("T")

logger = logging.getLogger("nightlift")

INLINE_BYTES = 64 * 1024
"""Headers of files up to this length are read on the event loop: a thread would take longer than the work."""

INLINE_SIGNATURES = (b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF")
"""First bytes of the formats for which this holds: JPEG, GIF, BMP and WebP. In the others even a short file can take
long: camera raw starts a process, PNG inflates texts, HEIC and AVIF have structures that may overlap."""

CLIPPED_STEP = 16
"""Step in rows and columns of the sample for clipped pixels; larger for a large photo: `CLIPPED_SAMPLES`."""

CLIPPED_SAMPLES = 15_000


@dataclass(frozen=True)
class _Request:
    """The values shared by all pictures of a request."""

    ticket: Ticket[LoadedModel]
    options: EnhanceOptions
    accept: str | None
    deadline: float


@dataclass(frozen=True)
class _Job:
    """One picture of a request: its header, its reserved resources, and the measured times of its stages.

    `restorer` removes its noise, if any is visible; None: the noise stays.
    """

    request: _Request
    data: bytes
    header: Header
    target: PictureFormat
    plan: RenderPlan
    lease: Lease
    costs: dict[str, float]
    timings: Timings
    restorer: LoadedModel | None


class Pipeline:
    """Turns one encoded picture into another. Coroutines are called on one event loop; codecs run in threads."""

    def __init__(
        self, settings: Settings, metrics: Metrics, find_restorer: Callable[[], LoadedModel | None] = lambda: None
    ) -> None:
        """`find_restorer` returns the model that removes noise, None if there is none, or raises why not."""
        self._settings = settings
        self._find_restorer = find_restorer
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
            options: how to enhance it; the model is the ticket's.
            ticket: has a model reserved.
            accept: the value of an HTTP `Accept` header, where there is one.
            timings: earlier measurements (`read`), to which these are added.

        Raises:
            NightliftError: one of its subclasses about a picture, a model or the time.
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
            NightliftError: the error of the first picture that failed; the others are cancelled.
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
            if len(data) <= INLINE_BYTES and data.startswith(INLINE_SIGNATURES):
                header = inspect(data, self._limits)
            else:
                header = await self._in_thread(partial(inspect, data, self._limits), ticket.caller)
        restorer = restorer_for(request.options.denoise, self._find_restorer)
        target = negotiate_format(request.options.format, request.accept, header.format)
        check_writable(target, *fitted_size(header.width, header.height, request.options.max_side))
        ticket.charge_pixels(header.pixels)
        render_plan = plan(header.width, header.height, header.bits, model.config.traits, request.options.render)
        full_size = render_plan.proxy is None
        pixels = plain_pixels(header, target, restored=restorer is not None, full_size=full_size)
        self._check_pass(render_plan)
        if full_size:
            self._check_room(header.pixels, pixels)
        ticket.expect("network", model_for(model, render_plan).queue.intake.model, sum(render_plan.item_pixels))
        costs = {
            "decode": ticket.expect("decode", header.format, header.pixels),
            "finish": ticket.expect("finish", target, header.pixels),
        }
        async with self._budget.hold(pixels, ticket.caller) as lease:
            return await self._held(_Job(request, data, header, target, render_plan, lease, costs, timings, restorer))

    async def _held(self, job: _Job) -> Enhanced:
        model, options = job.request.ticket.model, job.request.options
        header, target, timings = job.header, job.target, job.timings
        answers = [Answer(*await self._run(job))]
        restored = await self._restored(job, answers[0])
        layers, restored = [restored.pixels], replace(restored, pixels=None)
        handed_over = time.monotonic()

        def finished() -> tuple[Rendered, bytes, float, tuple[int, int]]:
            with timings.measure("render", since=handed_over):
                # Drop the source while the answer is encoded.
                rendering = begin_answer(answers.pop(), options.render, layers.pop())
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
            if rows is not None:  # the encoder had them computed strip by strip
                timings.add("render", rows.seconds)
                timings.add("encode", -rows.seconds)
            return rendering.rendered(), encoded, _clipped(picture.pixels), (picture.width, picture.height)

        rendered, encoded, clipped, (width, height) = await self._stage("finish", target, job, finished)
        self._observe(job, rendered, restored, clipped)
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
            denoise=options.denoise,
            denoise_scale=restored.scale,
            restored=restored.share,
            dropped=header.dropped,
            timings=timings,
        )

    async def _run(self, job: _Job) -> tuple[Prepared, list[NDArray[Any]]]:
        """Decode, and run the network on the work items; meanwhile its queue is told to expect them."""

        def decoded() -> Prepared:
            return prepare(decode(job.data, self._limits, job.header), job.plan)

        ticket, timings = job.request.ticket, job.timings
        queue = model_for(ticket.model, job.plan).queue
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

    async def _restored(self, job: _Job, answer: Answer) -> Restored:
        """The answer without its noise; with `denoise=auto`, errors leave the noise in."""
        restored = NOT_RESTORED
        if job.restorer is None:
            return restored
        with job.timings.measure("restore"):
            try:
                restored = await self._restore(job, job.restorer, answer)
            except NightliftError as error:
                if job.request.options.denoise != "auto":
                    raise
                logger.warning("a picture keeps its noise: model %s: %s", job.restorer.name, error)
        if restored.pixels is None:
            job.lease.keep(plain_pixels(job.header, job.target, full_size=job.plan.proxy is None))
        return restored

    async def _restore(self, job: _Job, restorer: LoadedModel, answer: Answer) -> Restored:
        ticket, options = job.request.ticket, job.request.options
        label = restorer.intake.model

        async def in_thread(work: Callable[[], T], cost: float | None = None) -> T:
            return await self._in_thread(work, ticket.caller, cost, job.lease)

        def has_time(chosen: RestorationPlan) -> bool:
            return options.denoise != "auto" or ticket.has_time_for("network", label, chosen.item_pixels)

        def done(pixels: int) -> None:
            ticket.done("network", label, pixels)
            self._metrics.restored_tiles.labels(restorer.name).inc()

        wish = await in_thread(partial(look, answer, options.render, options.denoise))
        most = most_pixels(restorer, self._settings.max_restored_pixels)
        chosen = choose(wish.plans, most, has_time)
        if chosen is None:
            return NOT_RESTORED
        ticket.expect("network", label, chosen.item_pixels)
        whole = job.costs["finish"]
        restoration = await in_thread(partial(restoration_of, answer, chosen, wish.noise, wish.strength), whole)
        # It may have been reloaded meanwhile.
        latest = restorer_for(options.denoise, self._find_restorer) or restorer
        return await restore(
            latest, restoration, in_thread, deadline=job.request.deadline, caller=ticket.caller, done=done
        )

    async def _stage(self, stage: str, kind: str, job: _Job, work: Callable[[], T]) -> T:
        """Run a stage in a thread, and record its cost."""
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
        self, work: Callable[[], T], caller: str, cost: float | None = None, lease: Lease | None = None
    ) -> T:
        """Run work that cannot be cancelled once it has begun: `lease` is held until it ends; see `FairExecutor`."""
        future = self._threads.submit(caller, cost, partial(copy_context().run, work))
        if lease is not None:
            lease.until(future)
        try:
            return await asyncio.wrap_future(future)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory("there is not enough memory for this picture now") from error
            raise

    def _check_pass(self, render_plan: RenderPlan) -> None:
        limit = self._settings.max_whole_pixels
        if max(render_plan.item_pixels) > limit:
            raise UnsupportedShape(
                f"one pass of the network takes at most {limit} pixels, and this picture has more; "
                "ask for detail=auto or detail=guided",
                max_whole_pixels=limit,
            )

    def _check_room(self, pixels: int, counted: int) -> None:
        """Refuse a picture of so many pixels, cut into tiles, that takes more memory than all pictures may.

        Args:
            pixels: of the picture.
            counted: pixels of 8 bits, JPEG to JPEG, as which it counts.
        """
        most = max(self._settings.max_whole_pixels, pixels * self._settings.max_pixels_in_flight // counted)
        if pixels > most:
            raise UnsupportedShape(
                f"with detail=tiles, a picture of this depth, answered in this format, may have {most} pixels, "
                f"and this one has {pixels}; ask for detail=auto or detail=guided",
                max_pixels=most,
            )

    def _observe(self, job: _Job, rendered: Rendered, restored: Restored, clipped: float) -> None:
        metrics, name = self._metrics, job.request.ticket.model.name
        metrics.input_bytes.observe(len(job.data))
        metrics.input_megapixels.observe(job.header.megapixels)
        metrics.input_luminance.observe(rendered.luminance_before)
        metrics.output_luminance.observe(rendered.luminance_after)
        metrics.output_clipped.observe(clipped)
        metrics.pictures.labels(name, job.target, rendered.detail).inc()
        if job.restorer is not None:
            metrics.restored.observe(restored.share)
        for stage in ("read", "decode", "restore", "render", "encode"):
            if stage in job.timings.seconds:
                metrics.model(name).stage(stage, job.timings.seconds[stage])


def _clipped(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> float:
    """Share of the pixels [H, W, 3] that have a channel at its maximum, in a sample."""
    step = max(CLIPPED_STEP, math.isqrt(pixels.shape[0] * pixels.shape[1] // CLIPPED_SAMPLES))
    sample = pixels[::step, ::step]
    return float((sample == np.iinfo(pixels.dtype).max).any(axis=-1).mean())
