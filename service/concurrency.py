"""Several pieces of one request's work at a time, and no more than a few."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_CONCURRENT = 4
"""Tiles of one picture, or pictures of one request, that are under way together: one request must not fill the queue
for all others. Of pictures, and of tiles to restore, there may be a batch, where that is more."""


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
