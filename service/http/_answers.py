"""Tracks answers over HTTP from when they are written until the client has read them.

An answer stays in this process until the client reads it: the system buffers only a few hundred KiB for a client that
does not read.
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
"""Key in ASGI's `extensions`; its entry `answers` is the connection's `UnreadAnswers`."""

SLOWEST = 1024
"""Bytes per second that a client must read; slower reading does not count as progress."""

SMALLEST = 64 * 1024
"""Answers of fewer bytes are not counted: the connection pauses writing at this size."""


UNSENT_BYTES = 256 * 1024
"""Bytes of an answer that the system may buffer; by default it buffers some uncounted MiB for each client."""

_UNSENT = getattr(socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None)


class UnreadAnswers:
    """The unread answers of one connection; call `close` when it ends."""

    def __init__(self, limiter: AnswerLimiter, transport: asyncio.Transport) -> None:
        self._limiter = limiter
        self._transport = transport
        self._coming = 0
        self._written = 0
        self._left = 0
        self._progress = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        connection = transport.get_extra_info("socket")
        if connection is not None and _UNSENT is not None:
            with suppress(OSError, ValueError):  # no TCP, a system without it, or a client that has left
                connection.setsockopt(socket.IPPROTO_TCP, _UNSENT, UNSENT_BYTES)

    @property
    def size(self) -> int:
        """See `Unread`."""
        return self._written + self._coming

    def reserve(self, size: int) -> None:
        """Announce an answer of `size` bytes that is about to be written.

        Raises:
            Unavailable: if too many bytes already wait to be read.
        """
        if self._closed:  # nothing will be written, and nobody would give the bytes back
            return
        self._limiter.take(size)
        self._coming += size

    def written(self, is_paused: bool) -> None:
        """Note that it was written; unless writing is paused, the system has taken all of it."""
        self._written, self._coming = self._written + self._coming, 0
        self.watch()
        if not is_paused:
            self.taken()

    def taken(self) -> None:
        """Note that the client has read so much that nothing written is left in this process."""
        self._limiter.give_back(self._written)
        self._written = 0

    def watch(self) -> None:
        """From now on, check that the client keeps reading while there is something to read."""
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
        """Close the connection and discard unread bytes."""
        self._limiter.dropped()
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            with suppress(OSError, ValueError):  # otherwise the system would keep its buffer for minutes
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
        self.close()

    def close(self) -> None:
        """The connection has ended."""
        self._closed = True
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
        """Bytes in this process."""
        try:
            return self._transport.get_write_buffer_size()
        except RuntimeError:  # what uvloop raises for a connection that has just been reset
            return 0

    def _outstanding(self) -> int:
        """Bytes that the client has not acknowledged: those in this process and, where known, in the system."""
        here = self._buffered()
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return here
        try:
            return here + struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        except (OSError, ValueError):  # it has just been closed
            return here


class AnswerLimit:
    """Counts answers as they are written, and sends 503 instead of an answer for which there is no room.

    Answers written in several parts are not counted: they are written no faster than they are read.
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
