"""Fair shares of a resource: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), by expected work.

Every waiting item has a start tag on a virtual clock; the smallest is served next. A caller's next tag follows the
work that it has already requested, or equals the clock if none of its work waits. So waiting callers get equal shares
of the work, not of the number of requests; a lone caller gets everything, and nothing idles while anything waits.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

MAX_IDLE_CALLERS = 1024
"""Number of callers above which those with nothing waiting are forgotten."""


class FairOrder:
    """Assigns start tags; its user serves the smallest first. Costs may be in any unit, but all in the same."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._finish: dict[str, float] = {}

    def enter(self, caller: str, cost: float) -> float:
        """The start tag of an item with this cost."""
        start = max(self._clock, self._finish.get(caller, 0.0))
        self._finish[caller] = start + cost
        return start

    def served(self, start: float) -> None:
        """Note that the item with this tag is now served."""
        self._clock = max(self._clock, start)
        if len(self._finish) > MAX_IDLE_CALLERS:
            self._finish = {caller: finish for caller, finish in self._finish.items() if finish > self._clock}

    def left(self, caller: str, cost: float) -> None:
        """Note that an item of this caller was abandoned before it was served."""
        if caller in self._finish:
            self._finish[caller] -= cost


class FairExecutor:
    """A thread pool that callers share fairly."""

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._order = FairOrder()
        self._arrivals = itertools.count()
        self._waiting: list[tuple[float, int, str, float, Future[Any], list[Callable[[], Any]]]] = []

    def submit(self, caller: str, cost: float, work: Callable[[], T]) -> Future[T]:
        """Run `work` when it is this caller's turn."""
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
