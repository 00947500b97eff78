"""Cancels work at its deadline, a time of `time.monotonic()`, which is the event loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineExceeded


@asynccontextmanager
async def fail_at(deadline: float | None) -> AsyncIterator[None]:
    """Cancel the block at `deadline`; None is never.

    Raises:
        DeadlineExceeded: if it was not done by then.
    """
    timer = asyncio.timeout_at(deadline)
    try:
        async with timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise DeadlineExceeded("the time allowed for this request ran out before its result was ready") from None
