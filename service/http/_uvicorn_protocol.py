"""uvicorn's protocol with limits on heads, trailers and pipelining, and without protocol upgrades.

Refusals made here bypass the application, but look like its own. This relies on undocumented attributes of uvicorn
and httptools: docs/server.md says which versions it was tested with, and why.
"""

from __future__ import annotations

import asyncio
import re
import resource
from functools import partial
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.admission import AnswerLimiter
from service.errors import MalformedRequest
from service.http._answers import EXTENSION, UnreadAnswers
from service.http._body_limit import DISCARD_SECONDS, LENGTH_DIGITS
from service.http._load_shedding import LoadShedder, ReadCoalescer, Refusal
from service.http._problems import problem_bytes

HEAD_BYTES = 64 * 1024

URL_BYTES = 8 * 1024
"""Most bytes of a URL: a query as long as a head would have thousands of parameters and take a third of a second."""

TRAILER_BYTES = 8 * 1024
"""Most bytes beside a body's content: sizes and extensions of chunks, and trailers."""

CONNECTIONS = 65_536

HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

MAX_PIPELINED = 8
"""Requests that one connection may send ahead of their answers. uvicorn runs one at a time, but would parse all that
a read of 250 KB brings: ten thousand."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which would wait for a head for ever and keep all of it, with limits on both.

    A connection is closed if the head of its first request has not arrived after `header_timeout`, or that of a later
    request `header_timeout` after its first byte. A head longer than `HEAD_BYTES` is refused, and so are
    `TRAILER_BYTES` in a row that are neither head nor body, and more than `MAX_PIPELINED` requests at once. Trailers
    are discarded: uvicorn would add them to the head's fields. Between requests uvicorn's own limit on idle
    connections applies.

    The parser does not report its position in a read. So the bytes of its events are counted, and reads that cause no
    event; the rest of any other read, some 250 KB at most, is counted once the parser reports it.
    """

    header_timeout = 10.0
    answers = AnswerLimiter(limit=512 << 20, seconds=30.0)
    shedder: LoadShedder | None = None
    coalescer = ReadCoalescer(lambda: False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.url = b""
        self._refusal = ""
        self._unread: UnreadAnswers | None = None
        self._answering: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._has_told = True  # whether the parser reported anything of the last read
        self._told_bytes = 0
        self._untold_bytes = 0
        self._discard_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._unread = UnreadAnswers(self.answers, transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._end_head()
        if self._unread is not None:
            self._unread.close()
        # uvicorn informs the request that came last; the one being answered would write to a closed connection.
        for cycle in (self._answering, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client does not read as quickly as it is written to."""
        super().pause_writing()
        if self._unread is not None:
            self._unread.watch()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._unread is not None:
            self._unread.taken()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer was written, and may still have to be read."""
        if self._unread is not None:
            self._unread.written(self.flow.write_paused)
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.transport.is_closing():
            return  # bytes after a request that closes its connection are ignored
        self._unset_keepalive_if_required()
        if not (data.startswith(b"POST ") and self.coalescer.postpone(self.transport, partial(self._handle, data))):
            self._handle(data)

    def _handle(self, data: bytes) -> None:
        self._has_told = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        if not self._has_told and not self.transport.is_closing():
            self._untold_bytes += len(data)
            if excess := self._excess():
                self.send_400_response(excess)

    def _feed(self, data: bytes) -> None:
        """Parse; if a head asks for a protocol upgrade, ignore that, as HTTP allows, and serve the request.

        Otherwise the parser would stop there, and take the body for a request.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            version = self.parser.get_http_version().encode()
            lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self.parser = httptools.HttpRequestParser(self)
            self._feed(b"\r\n".join(lines) + b"\r\n\r\n" + data[upgrade.args[0] :])

    def on_message_begin(self) -> None:
        """A request's first byte has arrived."""
        self._expect_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the URL has arrived."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of the trailers, has arrived."""
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._head_timer is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request's head has come."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise MalformedRequest("CONNECT is for proxies")
            return  # the same head comes again without it
        if len(self.pipeline) >= MAX_PIPELINED:
            raise MalformedRequest(f"{MAX_PIPELINED} requests may be sent ahead of their answers")
        if refusal := _ambiguity(self.parser.get_http_version(), self.url, self.headers):
            self._refusal = refusal
            raise MalformedRequest(refusal)
        self._end_head()
        if self._is_shed():
            return
        super().on_headers_complete()
        self.scope["extensions"] = {EXTENSION: {"answers": self._unread}}  # ASGI's place for what a server adds

    def on_message_complete(self) -> None:
        """A request has fully arrived."""
        if isinstance(self.cycle, Refusal):
            self._refuse(has_arrived=True)
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived."""
        self._reset_counts()
        if not isinstance(self.cycle, Refusal):
            super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse an unreadable request, and close; earlier requests get their answers first."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                self._end_head()
                self.transport.pause_reading()
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # this is its answer
        error = MalformedRequest(self._refusal or self._excess() or "these bytes are not an HTTP request")
        path = unquote(self.url[:URL_BYTES].decode("latin-1").partition("?")[0])
        head, body = problem_bytes(error, path)
        self._write(head, body, keep_alive=False)
        if self._unread is not None:
            self._unread.watch()
        self.transport.close()

    def _is_shed(self) -> bool:
        """Whether this request is refused here, once its body has arrived or `DISCARD_SECONDS` have passed."""
        if self.shedder is None or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        refusal = self.shedder.refusal(self.url, self.headers, self.client[0] if self.client else "")
        if refusal is None:
            return False
        refusal.keep_alive = self.parser.should_keep_alive()
        self.cycle = refusal  # type: ignore[assignment]
        self._discard_timer = self.loop.call_later(DISCARD_SECONDS, self._refuse, False)
        return True

    def _refuse(self, has_arrived: bool) -> None:
        """Write the answer to a request that was refused by its head; without all of its body, end the connection."""
        refusal, timer = self.cycle, self._discard_timer
        if (
            not isinstance(refusal, Refusal)
            or timer is None
            or refusal.response_complete
            or self.transport.is_closing()
        ):
            return
        timer.cancel()
        refusal.response_complete = True
        keep_alive = refusal.keep_alive and has_arrived
        self._write(refusal.head, refusal.body, keep_alive)
        if keep_alive:
            self.on_response_complete()
        else:
            self.transport.close()

    def _write(self, head: bytes, body: bytes, keep_alive: bool) -> None:
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers)
        close = b"" if keep_alive else b"connection: close\r\n"
        self.transport.write(b"".join((head, lines, close, b"\r\n", body)))

    def _expect_head(self) -> None:
        self._end_head()
        self._head_timer = self.loop.call_later(self.header_timeout, self._give_up)

    def _end_head(self) -> None:
        self._reset_counts()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()

    def _reset_counts(self) -> None:
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


def bounded_protocol(header_timeout: float, answers: AnswerLimiter, shedder: LoadShedder) -> type[BoundedProtocol]:
    """The protocol with these limits, and with load shedding."""
    coalescer = ReadCoalescer(shedder.is_shedding)
    attributes = {"header_timeout": header_timeout, "answers": answers, "shedder": shedder, "coalescer": coalescer}
    return type("BoundedProtocol", (BoundedProtocol,), attributes)


def _ambiguity(version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> str:
    """What a proxy could understand differently in a head, in words; empty if nothing."""
    if version not in ("1.0", "1.1"):
        return "the service speaks HTTP/1.1"
    hosts = [value.strip() for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "a request must have the field Host exactly once"
    if hosts and not HOST.fullmatch(hosts[0]):
        return "the field Host must be a name or an address, and perhaps a port"
    if not url.startswith(b"/") and url != b"*":
        target = httptools.parse_url(url)
        name = (target.host or b"").lower()
        if not hosts or name != hosts[0].lower().rpartition(b":")[0 if target.port else 2].strip(b"[]"):
            return "the request's target names another host than the field Host"
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "Transfer-Encoding may be chunked and nothing else, and not in HTTP/1.0"
    if any(name == b"content-length" and len(value) > LENGTH_DIGITS for name, value in headers):
        return f"Content-Length may have {LENGTH_DIGITS} digits, zeros before the number included"
    return ""


def allow_many_connections() -> None:
    """Raise the limit of open files, if allowed: at the usual 1,024, idle clients would shut others out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
