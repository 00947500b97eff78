"""Answers over HTTP from when they are written until the client has read them.

A connection's answer lies in this process until the client has taken it: the system takes a few hundred KiB ahead of
a client that does not read, and no more.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import AnswerLimiter
from service.errors import Unavailable
from service.http._problems import problem_response
from service.telemetry import Metrics

EXTENSION = "nightlift"
"""In ASGI's `extensions`; its `answers` is the connection's `UnreadAnswers`."""

SLOWEST = 1024
"""Bytes a second that a client must read; fewer are no progress."""

SMALLEST = 64 * 1024
"""Answers of fewer bytes are not counted: a connection's writing pauses at as many."""


UNSENT_BYTES = 256 * 1024
"""Bytes of an answer that the system takes ahead of what the network takes: left to itself it takes some MiB for each
client, which nothing here would count."""

_UNSENT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


class UnreadAnswers:
    """Those of one connection; `close` when it ends."""

    def __init__(self, limiter: AnswerLimiter, transport: asyncio.Transport) -> None:
        self._limiter = limiter
        self._transport = transport
        self._coming = 0
        self._written = 0
        self._left = 0
        self._progress = 0.0
        self._timer: asyncio.TimerHandle | None = None
        connection = transport.get_extra_info("socket")
        if connection is not None and _UNSENT is not None:
            with suppress(OSError, ValueError):  # no TCP, a system without it, or a client that has left
                connection.setsockopt(socket.IPPROTO_TCP, _UNSENT, UNSENT_BYTES)

    @property
    def size(self) -> int:
        """See `Unread`."""
        return self._written + self._coming

    def reserve(self, size: int) -> None:
        """An answer of so many bytes is about to be written.

        Raises:
            Unavailable: if too many bytes wait to be read already.
        """
        self._limiter.take(size)
        self._coming += size

    def written(self, is_paused: bool) -> None:
        """It was written, and the system has taken it unless writing is paused."""
        self._written, self._coming = self._written + self._coming, 0
        self.watch()
        if not is_paused:
            self.taken()

    def taken(self) -> None:
        """The client has read so much that what was written is no longer here."""
        self._limiter.give_back(self._written)
        self._written = 0

    def watch(self) -> None:
        """See from now on that the client goes on reading, if there is something to read."""
        if self._timer is None and self._buffered():
            self._limiter.waiting.add(self)
            self._left, self._progress = self._outstanding(), time.monotonic()
            self._look_later()

    def last_progress(self, now: float) -> float:
        """See `Unread`."""
        left = self._outstanding()
        if left > self._left or self._left - left >= SLOWEST * max(1.0, now - self._progress):
            self._left, self._progress = left, now  # another answer was written behind it, or some was read
        return self._progress

    def drop(self) -> None:
        """Hang up: what was not read is thrown away."""
        self._limiter.dropped()
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError, ValueError):  # else the system would keep for minutes what it has taken of it
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        self.close()

    def close(self) -> None:
        """The connection has ended."""
        self._limiter.give_back(self._written + self._coming)
        self._written = self._coming = 0
        self._limiter.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limiter.seconds / 4, self._look)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        if not self._buffered():
            self._limiter.waiting.discard(self)
        elif now - self.last_progress(now) >= self._limiter.seconds:
            self.drop()
        else:
            self._look_later()

    def _buffered(self) -> int:
        """Bytes that are here."""
        try:
            return self._transport.get_write_buffer_size()
        except RuntimeError:  # uvloop's word for a connection that was reset a moment ago
            return 0

    def _outstanding(self) -> int:
        """Bytes that the client has not acknowledged: those that are here, and, where it says so, the system's."""
        here = self._buffered()
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return here
        try:
            return here + struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        except (OSError, ValueError):  # it has just been closed
            return here


class AnswerLimit:
    """Counts answers as they are written, and says 503 instead of one for which there is no room.

    What a route writes in several parts is not counted: it is written no quicker than it is read.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        unread = (scope.get("extensions") or {}).get(EXTENSION, {}).get("answers")
        if unread is None:
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        is_refused = False

        async def counted(message: Message) -> None:
            nonlocal start, is_refused
            if is_refused:
                return
            if message["type"] == "http.response.start":
                start = message  # kept until it is known whether there is room for what follows
                return
            if start is not None:
                head, start = start, None
                size = len(message.get("body", b""))
                if size >= SMALLEST and not message.get("more_body", False):
                    try:
                        unread.reserve(size)
                    except Unavailable as error:
                        is_refused = True
                        self._metrics.failed(error)
                        await problem_response(error, scope["path"])(scope, receive, send)
                        return
                await send(head)
            await send(message)

        await self._app(scope, receive, counted)
