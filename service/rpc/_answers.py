"""Answers over gRPC, which holds their bytes until the client has read them and tells only that it has."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from service.admission import AnswerLimiter

SLOWEST = 128 * 1024
"""Bytes a second at which a client is taken to read. gRPC does not say how far it is: beyond that and the limiter's
seconds its call is ended."""


class UnreadAnswer:
    """The answer of one call, from when it is made until its client has read it, or is hung up on.

    Args:
        limiter: counts it; raises Unavailable if there is no room.
        size: its bytes.
        context: of the call that the running task answers.
    """

    def __init__(self, limiter: AnswerLimiter, size: int, context: grpc.aio.ServicerContext) -> None:
        limiter.take(size)
        self._limiter = limiter
        self.size = size
        self._call = asyncio.current_task()
        self._read_by = time.monotonic() + size / SLOWEST
        self._timer = asyncio.get_running_loop().call_later(limiter.seconds + size / SLOWEST, self.drop)
        limiter.waiting.add(self)
        context.add_done_callback(self._end)

    def last_progress(self, now: float) -> float:
        """See `Unread`."""
        return min(now, self._read_by)

    def drop(self) -> None:
        """End the call, which frees what gRPC holds of it."""
        self._limiter.dropped("grpc")
        if self._call is not None:
            self._call.cancel()
        self._end()

    def _end(self, _: Any = None) -> None:
        self._timer.cancel()
        self._limiter.waiting.discard(self)
        self._limiter.give_back(self.size)
        self.size = 0
