"""Connections that are held open for nothing: how long a request's head may take, and how long it may be."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
CONNECTIONS = 65_536


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which waits for the rest of a head for ever and keeps all of it, with bounds on both.

    A connection is closed if the head of its first request has not come after `head_seconds`, or that of a later one
    so long after its first byte; one that has `HEAD_BYTES` and no end is refused. Between requests uvicorn's own
    limit on idle connections holds.
    """

    head_seconds = 10.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self._head_timer is not None and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response(f"The head of a request may have {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """A request's first byte has come."""
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head has come."""
        self._end_head()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._end_head()
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()


def bounded_heads(seconds: float) -> type[BoundedHeads]:
    """The protocol with this limit on the time of a head."""
    return type("BoundedHeads", (BoundedHeads,), {"head_seconds": seconds})


def allow_many_connections() -> None:
    """Raise the limit of open files, where the system lets us: at the usual 1,024, idle clients shut others out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
