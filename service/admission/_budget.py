"""Bounds on decoded pixels and incoming bytes, so that memory is bounded by size and not by number of requests."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from service.admission._fair import FairOrder


class Lease:
    """A part of a budget, held until its block and all work passed to `until` have ended."""

    def __init__(self, amount: int, give_back: Callable[[int], None]) -> None:
        self._amount = amount
        self._give_back = give_back
        self._users = 1

    def keep(self, amount: int) -> None:
        """Release everything beyond `amount`, which turned out to be enough."""
        spare = max(0, self._amount - amount)
        self._amount -= spare
        self._give_back(spare)

    def until(self, work: Future[Any]) -> None:
        """Hold the lease until this thread's work is done, which continues if the block is cancelled."""
        loop = asyncio.get_running_loop()
        self._users += 1
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self.leave))

    def leave(self) -> None:
        """Note that the block, or a piece of work, has ended."""
        self._users -= 1
        if not self._users:
            self._give_back(self._amount)


class Budget:
    """A semaphore that is taken in pixels, or in bytes, and shared fairly by callers.

    Args:
        limit: how much may be held at once. A single larger request is allowed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._order = FairOrder()
        self._arrivals = itertools.count()
        self._waiting: list[tuple[float, int, str, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def hold(self, amount: int, caller: str = "") -> AsyncIterator[Lease]:
        """Wait until it is this caller's turn and `amount` fits beside what others hold; released at the end.

        A small amount does not overtake a large one whose turn it is, or the large one might wait for ever.
        """
        amount = min(amount, self._limit)
        start = self._order.enter(caller, amount)
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (start, next(self._arrivals), caller, amount, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(amount)
            else:
                turn.cancel()
                self._serve()
            raise
        lease = Lease(amount, self._give_back)
        try:
            yield lease
        finally:
            lease.leave()

    def _give_back(self, amount: int) -> None:
        self._held -= amount
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            start, _, caller, amount, turn = self._waiting[0]
            if turn.cancelled():
                self._order.left(caller, amount)
            elif self._held + amount > self._limit:
                return
            else:
                self._order.served(start)
                self._held += amount
                turn.set_result(None)
            heapq.heappop(self._waiting)
