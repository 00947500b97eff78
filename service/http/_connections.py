"""What a connection may bring: how long a request's head may take and may be, and whether there is room for it.

Refusals that are made here have no application behind them, and look like its own.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import MalformedRequest
from service.http._body_limit import DISCARD_SECONDS
from service.http._turnstile import Refused, Turnstile, path_and_query, told

HEAD_BYTES = 64 * 1024

URL_BYTES = 8 * 1024
"""A query of a whole head would have thousands of parameters, and be looked at for a third of a second."""

TRAILER_BYTES = 8 * 1024
"""What may come with a body and is none of it: sizes and extensions of chunks, and trailers."""

CONNECTIONS = 65_536

REST_SECONDS = 0.025
"""What was refused is not read from until so many seconds after the first of them.

Refusals that are made one after the other take a quarter less time than each alone, between passes of a network that
have taken the caches.
"""


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which waits for the rest of a head for ever and keeps all of it, with bounds on both.

    A connection is closed if the head of its first request has not come after `head_seconds`, or that of a later one
    so long after its first byte; one that is longer than `HEAD_BYTES` is refused. So are `TRAILER_BYTES` in a row
    that are neither head nor body. Trailers are forgotten: uvicorn would add them to the head's fields. Between
    requests its own limit on idle connections holds.

    The parser does not tell how far in a read it is. So what it tells is counted, and reads of which it tells
    nothing; what is left of any other read, some 250 KB at most, is counted once it is told.
    """

    head_seconds = 10.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.url = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._has_told = True  # the parser, anything of the last read
        self._told_bytes = 0
        self._untold_bytes = 0

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
        self._has_told = False
        super().data_received(data)
        if not self._has_told and not self.transport.is_closing():
            self._untold_bytes += len(data)
            if excess := self._excess():
                self.send_400_response(excess)

    def on_message_begin(self) -> None:
        """A request's first byte has come."""
        self._expect_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the URL has come."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailers, has come."""
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._head_timer is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head has come."""
        self._end_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        self._count_anew()
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close; requests that came before it get their answers first."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                self._end_head()
                self.transport.pause_reading()
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # this is its answer
        error = MalformedRequest(self._excess() or "these bytes are no request in HTTP/1.1")
        lines, body = told(error, path_and_query(self.url[:URL_BYTES])[0])
        self._write(error.status, [*lines, b"connection: close"], body)
        self.transport.close()

    def _write(self, status: int, lines: list[bytes], body: bytes) -> None:
        lines = [*lines, *(name + b": " + value for name, value in self.server_state.default_headers)]
        self.transport.write(STATUS_LINE[status] + b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def _expect_head(self) -> None:
        self._end_head()
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _end_head(self) -> None:
        self._count_anew()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()

    def _count_anew(self) -> None:
        self._has_told = True
        self._told_bytes = self._untold_bytes = 0

    def _count(self, size: int) -> None:
        self._has_told = True
        self._told_bytes += size
        self._untold_bytes = 0
        if excess := self._excess():
            raise MalformedRequest(excess)  # which stops the parser, and leads to `send_400_response`

    def _excess(self) -> str | None:
        """Which limit has been passed, if one has."""
        size = self._told_bytes + self._untold_bytes
        if len(self.url) > URL_BYTES:
            return f"the URL of a request may have {URL_BYTES} bytes"
        if self._head_timer is None:
            return f"trailers and chunk extensions may have {TRAILER_BYTES} bytes" if size > TRAILER_BYTES else None
        return f"the head of a request may have {HEAD_BYTES} bytes" if size > HEAD_BYTES else None


class Guarded(BoundedHeads):
    """The protocol with a turnstile, which refuses requests before anything is made of them.

    A client that is still sending when its answer comes would see a reset connection: so its body is taken, and
    thrown away, before the answer leaves; for two seconds, then the connection is closed. What is unusual about a
    request (it waits for `100 Continue`, will not keep its connection, comes before its predecessor was answered) is
    left to the application.
    """

    turnstile: Turnstile
    resting: list[asyncio.Transport]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._refused: Refused | None = None
        self._discarding: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end_discarding()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """A request's head has come."""
        if self._is_usual() and (refused := self.turnstile.refused(self.url, self.headers, self._address)):
            self._end_head()
            self._refused = refused
            self._discarding = self.loop.call_later(DISCARD_SECONDS, self._refuse, True)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        if self._refused is None:
            super().on_body(body)
        else:
            self._count_anew()

    def on_message_complete(self) -> None:
        """All of a request has come."""
        if self._refused is not None:
            self._refuse(False)
            return
        if self.parser.get_method() == b"POST":
            self.turnstile.arrived(self.url)
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close it when what is under way has been answered."""
        if self._refused is None:
            super().shutdown()
        else:
            self._refuse(True)

    def _is_usual(self) -> bool:
        return (
            self.parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _refuse(self, close: bool) -> None:
        refused, self._refused = self._refused, None
        self._end_discarding()
        if refused is None or self.transport.is_closing():
            return
        status, lines, body = self.turnstile.answer(refused)
        if close:
            lines.append(b"connection: close")
        self._write(status, lines, body)
        if close:
            self.transport.close()
        else:
            self._rest()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _rest(self) -> None:
        if not self.resting:
            self.loop.call_later(REST_SECONDS, self._wake)
        self.resting.append(self.transport)
        self.transport.pause_reading()

    def _wake(self) -> None:
        for transport in self.resting:
            if not transport.is_closing():
                transport.resume_reading()
        self.resting.clear()

    def _end_discarding(self) -> None:
        if self._discarding is not None:
            self._discarding.cancel()
            self._discarding = None


def guarded(turnstile: Turnstile, head_seconds: float) -> type[Guarded]:
    """The protocol with this turnstile, and this limit on the time of a head."""
    return type("Guarded", (Guarded,), {"turnstile": turnstile, "resting": [], "head_seconds": head_seconds})


def allow_many_connections() -> None:
    """Raise the limit of open files, where the system lets us: at the usual 1,024, idle clients shut others out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
