"""A pause in which everything that can run on the event loop does."""

from __future__ import annotations

import asyncio

TURNS = 8
"""Turns of the event loop: more than any chain of callbacks in what is tested takes."""


async def settle() -> None:
    """Let tasks run until they wait for something else than each other."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
