"""Refuses photos by the request's head alone while the service is full.

A service that gets ten times the requests that it can serve refuses nine for each that it serves, on the cores that
its networks need. A refusal here, before a task, a body and the application, takes a third of the CPU that it takes
in the application; several in a row, with warm caches, take less again. docs/server.md has the figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

from service.admission import caller_of
from service.errors import NightliftError, QueueFull
from service.http._admission import PictureTarget, picture_target
from service.http._problems import problem_bytes
from service.http._timeouts import parse_timeout
from service.runtime import Phase, Runtime
from service.telemetry import recorded

MAX_DISCARDED_BYTES = 1 << 20
"""Bodies up to this size are read and discarded; the application refuses larger ones and closes the connection."""

COALESCE_SECONDS = 0.02
"""Seconds between batches of reads while requests are being refused; probes are handled at once."""

CACHED = 256
"""Number of URLs, and of answers, that are cached."""


@dataclass
class Refusal:
    """A refusal, kept until the request's body has arrived; stands where uvicorn keeps the current request.

    Attributes:
        head: status line and headers, each with its line end.
        body: of the answer.
    """

    head: bytes
    body: bytes
    keep_alive: bool = True
    disconnected: bool = False
    response_complete: bool = False
    response_started: bool = False
    more_body: bool = True
    message_event: asyncio.Event = field(default_factory=asyncio.Event)


class LoadShedder:
    """Decides which requests with pictures are refused because the service is full, and with which answer.

    All other refusals are left to the application, and so is every request whose refusal depends on more than is
    known
    here: with API keys, from pages of other origins, and while the service stops.

    Args:
        runtime: knows whether there is room.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def is_shedding(self) -> bool:
        """Whether requests are being refused now, and may be refused here."""
        runtime = self._runtime
        return (
            runtime.admission.capacity.is_refusing
            and runtime.admission.policy is None
            and runtime.phase is Phase.SERVING
        )

    def refusal(self, url: bytes, headers: list[tuple[bytes, bytes]], peer: str) -> Refusal | None:
        """The answer to a POST that is refused; None if the application is to answer.

        Args:
            url: the request's target.
            headers: lower-case names, and values.
            peer: address of the connected peer.
        """
        if not self.is_shedding():
            return None
        path, target = _read(url)
        if target is None:
            return None
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        size = fields.get("content-length", "")
        if "origin" in fields or "expect" in fields or not size.isdecimal() or int(size) > MAX_DISCARDED_BYTES:
            return None
        started, admission = time.monotonic(), self._runtime.admission
        try:
            seconds = min(parse_timeout(fields.get("x-request-timeout")), admission.longest)
            intake = admission.find(target.model, target.version).intake
            caller = caller_of(peer, fields.get("x-forwarded-for"), self._runtime.settings.trusted_proxies)
            admission.capacity.check(caller, intake, started + seconds)
        except QueueFull as full:
            return self._answer(full, path, target.route, fields, started)
        except NightliftError:
            pass  # the application will report it
        return None

    def _answer(self, error: QueueFull, path: str, route: str, fields: dict[str, str], started: float) -> Refusal:
        """Count and time the refusal like every request."""
        with recorded(self._runtime.metrics, "http", "POST", fields) as record:
            record.started, record.route = started, route
            record.answered(int(error.status))
            self._runtime.metrics.failed(error)
        head, body = _told(error.detail, error.retry_after, path)
        return Refusal(head + f"x-request-id: {record.request_id}\r\n".encode(), body)


class ReadCoalescer:
    """Handles the reads of several connections together while requests are being refused.

    After a pass of a network the interpreter's caches are cold; the first read warms them for those right behind it.
    Nothing more is read from a connection whose read waits here.
    """

    def __init__(self, is_shedding: Callable[[], bool]) -> None:
        self._is_shedding = is_shedding
        self._waiting: list[tuple[asyncio.Transport, Callable[[], object]]] = []

    def postpone(self, transport: asyncio.Transport, handle: Callable[[], object]) -> bool:
        """Whether `handle` will be called later, unless the connection has closed by then."""
        if not self._waiting:
            if not self._is_shedding():
                return False
            asyncio.get_running_loop().call_later(COALESCE_SECONDS, self._hand_over)
        transport.pause_reading()
        self._waiting.append((transport, handle))
        return True

    def _hand_over(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport, handle in waiting:
            if not transport.is_closing():
                transport.resume_reading()
                handle()


@lru_cache(CACHED)
def _read(url: bytes) -> tuple[str, PictureTarget | None]:
    raw, _, query = url.decode("latin-1").partition("?")
    path = unquote(raw)
    return path, picture_target(path, query)


@lru_cache(CACHED)
def _told(detail: str, retry_after: float, path: str) -> tuple[bytes, bytes]:
    """Status line, headers except the last ones, and body of the answer that the application would give."""
    error = QueueFull(detail)
    error.retry_after = retry_after
    return problem_bytes(error, path)
