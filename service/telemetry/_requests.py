"""One record of each request, on either transport: its ids for logs, its span, and its metrics at the end."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from service.telemetry._metrics import Metrics
from service.telemetry._tracing import server_span

logger = logging.getLogger("nightlift")

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass
class RequestRecord:
    """The facts about a request while it runs.

    Attributes:
        request_id: the client's `x-request-id` if it is harmless, else a new one.
        trace_id: 32 hex digits of the trace that it belongs to, or empty.
        started: `time.monotonic()` when its headers had arrived.
        route: the route's template, never the path itself.
        code: HTTP's status, or the name of gRPC's; until it is answered, the code for a disconnected client.
        status: HTTP's status, or what it would be over HTTP.
        key: the name of the API key that it came with, or empty.
    """

    request_id: str
    trace_id: str
    code: str
    status: int = 499
    route: str = "unmatched"
    started: float = field(default_factory=time.monotonic)
    key: str = ""

    def answered(self, status: int, code: str = "") -> None:
        """Note how it was answered; `code` is gRPC's, where it came that way."""
        self.status, self.code = status, code or str(status)


_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)


def current_request() -> RequestRecord | None:
    """The request that the calling task works for."""
    return _current.get()


@contextmanager
def recorded(
    metrics: Metrics, transport: Literal["http", "grpc"], method: str, headers: Mapping[str, str]
) -> Iterator[RequestRecord]:
    """Record a request around its handling, which fills in `route` and `code`; `headers` have lower-case names."""
    given = headers.get("x-request-id", "")
    request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    with server_span(method, headers) as span, metrics.in_progress.labels(transport).track_inprogress():
        record = RequestRecord(request_id, span.trace_id, "499" if transport == "http" else "CANCELLED")
        token = _current.set(record)
        try:
            yield record
        finally:
            seconds = time.monotonic() - record.started
            metrics.answered(record.route, method, record.code, record.status, seconds, record.trace_id)
            logger.log(_severity(record.status), "%s %s %s in %.3f s", method, record.route, record.code, seconds)
            _current.reset(token)
            span.end_as(
                f"{method} {record.route}", {"nightlift.request_id": request_id, "nightlift.code": record.code}
            )


def _severity(status: int) -> int:
    """Log level by status: answers, and refusals under load, which may be thousands a second, are debug; other
    refusals are info; errors of the service are warnings."""
    if status in (429, 503):
        return logging.DEBUG
    if status >= 500:
        return logging.WARNING
    return logging.INFO if status >= 400 else logging.DEBUG
