"""How long a client waits: the seconds that it states, and only until it disconnects."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from service.errors import ClientGone, InvalidParameter

T = TypeVar("T")


def parse_timeout(header: str | None) -> float:
    """Seconds that the client waits, by its header `X-Request-Timeout`; infinite without one.

    Raises:
        InvalidParameter: if the header is not a positive number.
    """
    if header is None:
        return math.inf
    try:
        seconds = float(header)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidParameter(f"X-Request-Timeout is {header[:32]!r}; it must be a positive number of seconds")
    return seconds


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, and cancel it as soon as the client disconnects. The body must have been read before.

    Raises:
        ClientGone: if the client disconnected.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the client closed the connection before its answer was ready")
        return task.result()
    finally:
        for future in (task, gone):
            future.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
