"""A model's queue: callers submit and await; the queue decides what runs together and when.

Its state changes only on the event loop's thread, so there are no locks; metrics on other threads read copies.
Entries whose caller has gone are dropped before they run; a result is never set on a future that is done.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from service.admission import FairOrder, Intake
from service.errors import DeadlineExceeded, Draining, EngineFailed, NightliftError
from service.inference._batching import BatchPolicy, Bucket, Cut, Wait, Waiting, decide
from service.inference._contract import Engine, Tensors
from service.inference._statistics import Statistics
from service.telemetry import ModelMetrics, record_batch

ArrivalHint = Callable[[], None]
"""Announces a picture that is on its way to a queue; cancelled when the picture is submitted."""


@dataclass(frozen=True)
class Outcome:
    """An item's result and statistics: `queue` and `infer` in seconds, `batch` in pictures."""

    tensors: Tensors
    queue: float
    infer: float
    batch: int


@dataclass(eq=False)
class _Entry:
    start: float  # its tag in the fair order
    caller: str
    waiting: Waiting
    inputs: Tensors
    future: asyncio.Future[Outcome]


class BatchQueue:
    """Joins items with equal input shapes into batches for one engine, and serves callers fairly by pixels.

    Args:
        engine: runs the batches; at most `engine.concurrency` of them at once.
        policy: limits of one batch.
        metrics: where sizes and waits are counted.
        intake: the accepted requests of this model; the queue closes when all of them have been answered.
        queue_timeout: seconds after which an entry that still waits is refused; None: never.
        observe: called with pixels and seconds of every pass.
    """

    def __init__(
        self,
        engine: Engine,
        policy: BatchPolicy,
        metrics: ModelMetrics,
        intake: Intake,
        queue_timeout: float | None = None,
        observe: Callable[[int, float], None] = lambda pixels, seconds: None,
    ) -> None:
        self.statistics = Statistics()
        self.intake = intake
        self.batch_size = policy.max_count
        self._engine = engine
        self._policy = policy
        self._queue_timeout = queue_timeout
        self._observe = observe
        self._metrics = metrics
        self._order = FairOrder()
        self._entries: list[_Entry] = []  # in the order of service
        self._expected: Counter[Bucket] = Counter()
        self._running: dict[asyncio.Task[None], int] = {}  # -> its pixels
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> list[Waiting]:
        """Waiting items, in the order of service; may be called from any thread."""
        return [entry.waiting for entry in list(self._entries)]

    async def submit(
        self,
        inputs: Tensors,
        outputs: tuple[str, ...],
        deadline: float | None = None,
        expectation: ArrivalHint | None = None,
        caller: str = "",
    ) -> Outcome:
        """Wait for the result of `inputs`. Whether there is room was decided when the request was accepted.

        Args:
            inputs: all inputs that the model's configuration declares; the first axis of each is n, the number of
                items that belong together (one, unless a client sent a batch).
            outputs: names of the requested outputs.
            deadline: `time.monotonic()` by which the caller needs the result. It ends a wait for further items; the
                caller itself must cancel when it is over.
            expectation: the hint from `expecting` for this picture, which ends now.
            caller: whose share it counts for.

        Raises:
            DeadlineExceeded: if it has waited longer than the model's configuration allows.
            Draining: after `close`, once all requests accepted before have been answered.
            EngineUnavailable, EngineFailed: if the batch failed.
            ValueError: if the inputs' first axes differ.
        """
        count = len(next(iter(inputs.values())))
        if any(len(array) != count for array in inputs.values()):
            raise ValueError(f"first axes differ: { {name: len(array) for name, array in inputs.items()} }")
        if self.intake.closed and not self.intake.working:
            raise Draining("the model is being unloaded or the service is stopping")
        waiting = Waiting(Bucket.of(inputs, outputs), count, time.monotonic(), deadline)
        start = self._order.enter(caller, waiting.pixels)
        entry = _Entry(start, caller, waiting, inputs, asyncio.get_running_loop().create_future())
        bisect.insort(self._entries, entry, key=lambda one: one.start)
        if expectation is not None:
            expectation()
        self._pump()
        outcome = await self._outcome(entry)
        record_batch(outcome.queue, outcome.infer, outcome.batch)
        return outcome

    @contextmanager
    def expecting(self, bucket: Bucket) -> Iterator[ArrivalHint]:
        """Announce that a picture of this bucket is being decoded, so that a batch may wait for it."""
        coming = [bucket]
        self._expected[bucket] += 1

        def end() -> None:
            for ended in coming:
                self._expected[ended] -= 1
                if not self._expected[ended]:
                    del self._expected[ended]
            coming.clear()

        try:
            yield end
        finally:
            if coming:
                end()
                self._pump()  # the picture will not come: stop waiting for it

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the queue open for a request of another model, until all of its items here are done."""
        if self.intake.closed:
            raise Draining("the model is being unloaded or the service is stopping")
        self.intake.working += 1
        try:
            yield
        finally:
            self.intake.working -= 1

    async def close(self) -> None:
        """Refuse new entries, and finish those of accepted requests, waiting or running."""
        self.intake.closed = True
        while self._entries or self._running or self.intake.working:
            self._pump()
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.01)

    async def _outcome(self, entry: _Entry) -> Outcome:
        if self._queue_timeout is None:
            return await entry.future
        timer = asyncio.get_running_loop().call_later(self._queue_timeout, self._expire, entry)
        try:
            return await entry.future
        finally:
            timer.cancel()

    def _pump(self) -> None:
        """Send as many batches to the engine as it has room for; called after every change."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget_cancelled()
        while self._entries and len(self._running) < self._engine.concurrency:
            expected = {} if self.intake.closed else self._expected
            match decide([entry.waiting for entry in self._entries], expected, self._policy, time.monotonic()):
                case Cut(indices, closed_by):
                    batch = [self._entries[index] for index in indices]
                    pixels = sum(entry.waiting.pixels for entry in batch)
                    if self._running and sum(self._running.values()) + pixels > self._policy.max_running_pixels:
                        return  # called again when a batch has run
                    self._entries = [entry for entry in self._entries if entry not in batch]
                    self._order.served(batch[0].start)
                    self._metrics.batch(
                        sum(entry.waiting.count for entry in batch),
                        pixels,
                        closed_by,
                    )
                    task = asyncio.create_task(self._run(batch))
                    self._running[task] = pixels
                    task.add_done_callback(self._ran)
                case Wait(until):
                    delay = max(0.0, until - time.monotonic())
                    self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
                    return

    def _expire(self, entry: _Entry) -> None:
        if entry in self._entries and not entry.future.done():
            self._entries.remove(entry)
            entry.future.set_exception(
                DeadlineExceeded(
                    f"the request waited for more than the {self._queue_timeout:g} s that its model allows"
                )
            )

    def _ran(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._pump()

    async def _run(self, batch: Sequence[_Entry]) -> None:
        started = time.monotonic()
        count = sum(entry.waiting.count for entry in batch)
        try:
            tensors = await self._engine.run(_joined(batch), batch[0].waiting.bucket.outputs)
            _check_rows(tensors, count)
        except NightliftError as error:
            self._fail(batch, error, started)
            return
        except Exception as error:
            # The message may hold paths or internals: it goes to the log, not to the caller.
            self._metrics.engine_error(error)
            self._fail(batch, EngineFailed("the model failed on this input; the error was logged"), started)
            return
        seconds = time.monotonic() - started
        self._observe(sum(entry.waiting.pixels for entry in batch), seconds)
        self.statistics.ran(count, int(seconds * 1e9))
        self._metrics.stage("infer", seconds)
        first = 0
        for entry in batch:
            last = first + entry.waiting.count
            if not entry.future.done():
                wait = started - entry.waiting.since
                self._metrics.stage("queue", wait)
                self.statistics.successes += 1
                self.statistics.queue_ns += int(wait * 1e9)
                self.statistics.infer_ns += int(seconds * 1e9)
                self.statistics.success_ns += int((wait + seconds) * 1e9)
                rows = {name: tensor[first:last] for name, tensor in tensors.items()}
                entry.future.set_result(Outcome(rows, wait, seconds, count))
            else:
                self._metrics.cancelled("compute")
            first = last

    def _fail(self, batch: Sequence[_Entry], error: NightliftError, started: float) -> None:
        self.statistics.failures += len(batch)
        self.statistics.failure_ns += int((time.monotonic() - started) * 1e9) * len(batch)
        for entry in batch:
            if not entry.future.done():
                entry.future.set_exception(error)

    def _forget_cancelled(self) -> None:
        for entry in self._entries:
            if entry.future.done():
                self._metrics.cancelled("queue")
                self._order.left(entry.caller, entry.waiting.pixels)
        self._entries = [entry for entry in self._entries if not entry.future.done()]


def _joined(batch: Sequence[_Entry]) -> Tensors:
    """The inputs of all entries, concatenated; those of a single entry are not copied."""
    if len(batch) == 1:
        return batch[0].inputs
    return {name: np.concatenate([entry.inputs[name] for entry in batch]) for name in batch[0].inputs}


def _check_rows(outputs: Tensors, count: int) -> None:
    """Check that every output has a row for every item."""
    for name, array in outputs.items():
        if array.shape[:1] != (count,):
            raise ValueError(f"output {name!r} has shape {list(array.shape)} for a batch of {count}")
