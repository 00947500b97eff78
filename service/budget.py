"""Bounds on pixels decoded, and on bytes on their way in, so that memory is bounded by work and not by a count."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any


class Hold:
    """A part of a budget, held until its block ends and all work that it was told of."""

    def __init__(self, amount: int, give_back: Callable[[int], None]) -> None:
        self._amount = amount
        self._give_back = give_back
        self._users = 1

    def keep(self, amount: int) -> None:
        """Give back now what is held beyond `amount`, which turned out to be enough."""
        spare = max(0, self._amount - amount)
        self._amount -= spare
        self._give_back(spare)

    def until(self, work: Future[Any]) -> None:
        """Hold on until a thread has done this work, which goes on when the block is cancelled."""
        loop = asyncio.get_running_loop()
        self._users += 1
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self.leave))

    def leave(self) -> None:
        """The block, or some work, has ended."""
        self._users -= 1
        if not self._users:
            self._give_back(self._amount)


class Budget:
    """A semaphore that is taken in pixels, or in bytes, in order of arrival.

    Args:
        limit: how much may be held at once. Who needs more than that is let through alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, amount: int) -> AsyncIterator[Hold]:
        """Wait until `amount` fits beside what others hold, and give it back at the end."""
        amount = min(amount, self._limit)
        if self._waiting or self._held + amount > self._limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((amount, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(amount)
                raise
        else:
            self._held += amount
        hold = Hold(amount, self._give_back)
        try:
            yield hold
        finally:
            hold.leave()

    def _give_back(self, amount: int) -> None:
        self._held -= amount
        while self._waiting:
            wanted, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
                continue
            if self._held + wanted > self._limit:
                return
            self._waiting.popleft()
            self._held += wanted
            turn.set_result(None)
