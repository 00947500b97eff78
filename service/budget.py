"""A bound on the pixels that are decoded at one time, so that memory is bounded by work and not by a count."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PixelBudget:
    """A semaphore that is taken in pixels, in order of arrival.

    Args:
        limit: pixels that may be held at once. One picture larger than that is let through alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Wait until `pixels` fit beside what others hold, and give them back at the end."""
        pixels = min(pixels, self._limit)
        if self._waiting or self._held + pixels > self._limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((pixels, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_back(pixels)
                raise
        else:
            self._held += pixels
        try:
            yield
        finally:
            self._give_back(pixels)

    def _give_back(self, pixels: int) -> None:
        self._held -= pixels
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
