"""A model's queue: callers submit and await, the queue alone decides what runs together and when.

All of its state changes on the event loop's thread, so there are no locks; what metrics read from other threads they
copy first. Entries whose caller has gone are dropped before compute; a result is never set on a future that is done.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import DeadlineExceeded, Draining, EngineFailed, NightliftError
from service.inference._batching import BatchPolicy, Bucket, Cut, Wait, Waiting, decide
from service.inference._contract import Engine, Tensors
from service.inference._room import Expectation, Room
from service.inference._statistics import Statistics
from service.telemetry import ModelMetrics, record_batch


@dataclass(frozen=True)
class Outcome:
    """An item's result and what became of it on the way: `queue` and `infer` in seconds, `batch` in pictures."""

    tensors: Tensors
    queue: float
    infer: float
    batch: int


@dataclass(eq=False)
class _Entry:
    waiting: Waiting
    pixels: NDArray[np.uint8]
    outputs: tuple[str, ...]
    future: asyncio.Future[Outcome]


class BatchQueue:
    """Joins pictures of equal shape into batches for one engine.

    Args:
        engine: runs the batches; at most `engine.concurrency` of them at once.
        policy: limits of one batch.
        max_size: entries that may wait; 0 is unbounded.
        metrics: where sizes, waits and rejections are counted.
        patience: seconds after which an entry that still waits is refused; None is for ever.
        max_wait: seconds that the queue may be long, as far as can be told; beyond, who comes is refused at once.
    """

    def __init__(
        self,
        engine: Engine,
        policy: BatchPolicy,
        max_size: int,
        metrics: ModelMetrics,
        patience: float | None = None,
        max_wait: float = math.inf,
    ) -> None:
        self.statistics = Statistics()
        self._engine = engine
        self._policy = policy
        self._patience = patience
        self._metrics = metrics
        self._room = Room(max_size, max_wait)
        self._entries: list[_Entry] = []
        self._expected: Counter[Bucket] = Counter()
        self._running: dict[asyncio.Task[None], int] = {}  # and its pixels
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def batch_size(self) -> int:
        """Most pictures in one pass."""
        return self._policy.max_count

    @property
    def waiting(self) -> list[Waiting]:
        """What waits, oldest first; may be asked for from any thread."""
        return [entry.waiting for entry in list(self._entries)]

    async def submit(
        self,
        pixels: NDArray[np.uint8],
        outputs: tuple[str, ...],
        deadline: float | None = None,
        expectation: Expectation | None = None,
        place: Expectation | None = None,
    ) -> Outcome:
        """Wait for the result of `pixels`.

        Args:
            pixels: UINT8 [n, H, W, 3]; n pictures that belong together (one, unless a client sent a batch).
            outputs: names of the outputs wanted.
            deadline: `time.monotonic()` by which the caller needs the result. It moves the entry forward; to give
                up is the caller's part, by cancelling.
            expectation: what `expecting` gave for this picture; it is fulfilled now.
            place: what `admitted` gave for this picture, for the one that this is a tile of, or for the request that
                it is one of: there is room for it.

        Raises:
            QueueFull: if as many wait as may, and there is no `place`.
            DeadlineExceeded: if it has waited longer than the model's configuration allows.
            Draining: after `close`.
            EngineUnavailable, EngineFailed: what became of the batch.
        """
        if place is None:
            self._room.take_arrival()
            self.check_room()
        bucket = (pixels.shape[1], pixels.shape[2], outputs)
        waiting = Waiting(bucket, pixels.shape[0], time.monotonic(), deadline)
        entry = _Entry(waiting, pixels, outputs, asyncio.get_running_loop().create_future())
        self._entries.append(entry)
        for pending in (expectation, place):
            if pending is not None:
                pending.end()
        self._pump()
        outcome = await self._outcome(entry)
        record_batch(outcome.queue, outcome.infer, outcome.batch)
        return outcome

    def let_in(self) -> None:
        """See by a request's head whether it may send its picture: is there room beside those that have just come?

        Raises:
            QueueFull, Draining: as `check_room`.
        """
        self.check_room(self._room.arrivals())

    def arrived(self) -> None:
        """Have less room for the next, for a short time, since all bytes of a request have come.

        Of those that come together as many are let in then as there is room for, and not all of them. Who is still
        sending does not count: clients that are slow to send would keep others out.
        """
        self._room.arrived()

    def check_room(self, coming: int = 0) -> None:
        """See whether one more may wait beside `coming`, before anything is done for it; nothing is kept for it yet.

        Raises:
            QueueFull: if as many wait as may, or those who wait will take longer than `max_wait`.
            Draining: after `close`.
        """
        if self._closed:
            raise Draining("the model is being unloaded or the service is stopping")
        self._forget_cancelled()
        free = 0 if self._entries else self._engine.concurrency - len(self._running)  # who comes then need not wait
        pixels = sum(entry.waiting.pixels for entry in self._entries)
        self._room.check(len(self._entries), pixels, free, coming)

    @contextmanager
    def admitted(self) -> Iterator[Expectation]:
        """Keep a place for a request whose bytes have come, while it is decoded; raises as `check_room`."""
        self._room.take_arrival()
        self.check_room()
        with self._room.kept() as place:
            yield place

    @contextmanager
    def expecting(self, bucket: Bucket) -> Iterator[Expectation]:
        """Announce that a picture of this bucket is being decoded, so that a batch may wait for it."""
        self._expected[bucket] += 1

        def end() -> None:
            self._expected[bucket] -= 1
            if not self._expected[bucket]:
                del self._expected[bucket]

        expectation = Expectation(end)
        try:
            yield expectation
        finally:
            if expectation.end():
                self._pump()  # it will not come: what waited for it need not wait on

    async def close(self) -> None:
        """Refuse new entries, finish those that were admitted, wait and run."""
        self._closed = True
        while self._entries or self._running or self._room.inside:
            self._pump()
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.01)

    async def _outcome(self, entry: _Entry) -> Outcome:
        if self._patience is None:
            return await entry.future
        timer = asyncio.get_running_loop().call_later(self._patience, self._expire, entry)
        try:
            return await entry.future
        finally:
            timer.cancel()

    def _pump(self) -> None:
        """Hand as many batches to the engine as it has room for; called whenever anything has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget_cancelled()
        while self._entries and len(self._running) < self._engine.concurrency:
            expected = {} if self._closed else self._expected
            match decide([entry.waiting for entry in self._entries], expected, self._policy, time.monotonic()):
                case Cut(places, closed_by):
                    batch = [self._entries[place] for place in places]
                    pixels = sum(entry.waiting.pixels for entry in batch)
                    if self._running and sum(self._running.values()) + pixels > self._policy.max_running_pixels:
                        return  # when a batch has run, there is another look
                    self._entries = [entry for entry in self._entries if entry not in batch]
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
                DeadlineExceeded(f"the request waited for more than {self._patience:g} s, which its model allows")
            )

    def _ran(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._pump()

    async def _run(self, batch: Sequence[_Entry]) -> None:
        started = time.monotonic()
        count = sum(entry.waiting.count for entry in batch)
        pixels = batch[0].pixels if len(batch) == 1 else np.concatenate([entry.pixels for entry in batch])
        try:
            tensors = await self._engine.run(pixels, batch[0].outputs)
        except NightliftError as error:
            self._fail(batch, error, started)
            return
        except Exception as error:
            # The message may hold paths or internals: it goes to the log, not to the caller.
            self._metrics.engine_error(error)
            self._fail(batch, EngineFailed("the model failed on this picture; the failure was logged"), started)
            return
        seconds = time.monotonic() - started
        self._room.pace.ran(started, started + seconds, sum(entry.waiting.pixels for entry in batch), len(batch))
        self.statistics.ran(count, int(seconds * 1e9))
        self._metrics.inferred(seconds)
        first = 0
        for entry in batch:
            last = first + entry.waiting.count
            if not entry.future.done():
                wait = started - entry.waiting.since
                self._metrics.waited(wait)
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
        alive = [entry for entry in self._entries if not entry.future.done()]
        for _ in range(len(self._entries) - len(alive)):
            self._metrics.cancelled("queue")
        self._entries = alive
