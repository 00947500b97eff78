"""Runs a few pieces of one request's work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_CONCURRENT = 4
"""Tiles of one picture, or pictures of one request, processed at the same time: one request must not fill the queue.
Pictures, and tiles to denoise, may be as many as a batch, if that is more."""


async def gather_limited(work: Sequence[Callable[[], Awaitable[T]]], at_once: int = MAX_CONCURRENT) -> list[T]:
    """The results in order; the first failure cancels the rest."""
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
