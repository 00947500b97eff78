"""Fair shares of a resource: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), by expected work.

Every waiting item has a start tag on a virtual clock; the smallest is served next. A caller's next tag follows the
work that it has already requested, or equals the clock if none of its work waits. So waiting callers get equal shares
of the work, not of the number of requests; a lone caller gets everything, and nothing idles while anything waits.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

MAX_IDLE_CALLERS = 1024
"""Number of callers above which those with nothing waiting are forgotten."""

MAX_CALLERS = 4096
"""Callers that are remembered then, those whose work reaches farthest ahead of the clock. The number may double until
the next time, so that each new caller costs little."""

UNKNOWN_SECONDS = 0.01
"""What work of unknown cost counts as while it waits. Not 0: the clock would stand still while any such work waits,
and work whose start lies ahead of the clock would never get its turn."""


class FairOrder:
    """Assigns start tags; its user serves the smallest first. Costs may be in any unit, but all in the same."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._finish: dict[str, float] = {}
        self._most = MAX_IDLE_CALLERS

    def enter(self, caller: str, cost: float) -> float:
        """The start tag of an item with this cost."""
        if len(self._finish) > self._most:
            self._forget()
        start = max(self._clock, self._finish.get(caller, 0.0))
        self._finish[caller] = start + cost
        return start

    def served(self, start: float) -> None:
        """Note that the item with this tag is now served."""
        self._clock = max(self._clock, start)

    def charge(self, caller: str, cost: float) -> None:
        """Note that an item of this caller cost so much more than expected; less, if negative."""
        self._finish[caller] = self._finish.get(caller, self._clock) + cost

    def left(self, caller: str, cost: float) -> None:
        """Note that an item of this caller was abandoned before it was served."""
        if caller in self._finish:
            self._finish[caller] -= cost

    def _forget(self) -> None:
        owed = [(finish, caller) for caller, finish in self._finish.items() if finish > self._clock]
        self._finish = {caller: finish for finish, caller in heapq.nlargest(MAX_CALLERS, owed)}
        self._most = max(MAX_IDLE_CALLERS, 2 * len(self._finish))


class FairExecutor:
    """A thread pool that callers share fairly."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._order = FairOrder()
        self._arrivals = itertools.count()
        self._waiting: list[tuple[float, int, str, float, Future[Any], list[Callable[[], Any]]]] = []

    def submit(self, caller: str, cost: float | None, work: Callable[[], T]) -> Future[T]:
        """Run `work` when it is this caller's turn.

        Args:
            caller: whose share it counts for.
            cost: seconds that it is expected to take; None if nobody knows: it then counts by what it took.
            work: what to run.
        """
        if cost is None:
            cost, work = UNKNOWN_SECONDS, partial(self._charged, caller, work)
        future: Future[T] = Future()
        held = [work]
        # Cancelled work is forgotten at once: it may hold a whole file, and its turn may come late.
        future.add_done_callback(lambda done: held.clear() if done.cancelled() else None)
        with self._lock:
            start = self._order.enter(caller, cost)
            heapq.heappush(self._waiting, (start, next(self._arrivals), caller, cost, future, held))
        self._pool.submit(self._run_next)  # each takes one piece of work, whichever is next by then
        return future

    def shutdown(self) -> None:
        """Wait for all that was submitted."""
        self._pool.shutdown()

    def _run_next(self) -> None:
        with self._lock:
            start, _, caller, cost, future, held = heapq.heappop(self._waiting)
            if not future.set_running_or_notify_cancel():
                self._order.left(caller, cost)
                return
            self._order.served(start)
        try:
            future.set_result(held.pop()())
        except BaseException as error:
            future.set_exception(error)

    def _charged(self, caller: str, work: Callable[[], T]) -> T:
        """Run work that counted as `UNKNOWN_SECONDS`, and correct that."""
        started = time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._order.charge(caller, time.monotonic() - started - UNKNOWN_SECONDS)
