"""The refusal of pictures for which there is no room, by a request's head alone.

A service that gets ten times what it can do refuses nine requests for each that it serves, on the cores that its
networks need. So the protocol asks here before it makes anything of a request: no task, no body, no application.
What is the same for many refusals is kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from starlette.routing import BaseRoute, Route

from service import access
from service.access import Gate
from service.errors import MalformedRequest, NightliftError, QueueFull
from service.http._problems import problem_response
from service.http._security import HEADERS
from service.protocol import parse_version
from service.runtime import Phase, Runtime
from service.telemetry import recorded

PICTURE_PATHS = re.compile(r"/enhance|/v2/models/\{model\}(/versions/\{version\})?/infer")
"""Templates of the routes whose requests wait in a model's queue."""

URLS = 256
"""URLs of requests, and answers to them, that are remembered."""


@dataclass(frozen=True)
class Wanted:
    """What a request with a picture asks for, by its URL; `route` is the template that counts it."""

    path: str
    route: str
    model: str | None
    version: int | None


@dataclass(frozen=True)
class Refused:
    """A request that is not let in, and why; `since` is when its head had come, by `time.monotonic()`."""

    wanted: Wanted
    error: NightliftError
    headers: dict[str, str]
    since: float


class Turnstile:
    """Says which requests with pictures are not let in, and what they are told.

    Whatever else is wrong with a request is found and told by the application; so is a refusal that takes more to
    tell than is known here: to pages of other origins, and while the service stops.

    Args:
        runtime: knows whether there is room.
        gate: is asked first, as it is by the application; None lets everybody in.
        routes: those of the application.
    """

    def __init__(self, runtime: Runtime, gate: Gate | None, routes: Iterable[BaseRoute]) -> None:
        self._runtime = runtime
        self._gate = gate
        self._routes = [route for route in routes if isinstance(route, Route) and PICTURE_PATHS.fullmatch(route.path)]
        settings = runtime.settings
        self._origins = settings.cors_origins
        self._knows_addresses = not settings.trusted_proxies or settings.keys_file is not None
        self._wanted = lru_cache(URLS)(self._read)

    def refused(self, url: bytes, headers: list[tuple[bytes, bytes]], address: Callable[[], str]) -> Refused | None:
        """Why a POST is not let in now, by its head; None lets the application see to it."""
        wanted = self._wanted(url)
        if wanted is None:
            return None
        try:
            self._runtime.enhancer.let_in(wanted.model, wanted.version)
        except QueueFull as full:
            since = time.monotonic()
            named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            if self._runtime.phase is not Phase.SERVING or (self._origins and "origin" in named):
                return None
            if self._gate is None:
                return Refused(wanted, full, named, since)
            if not self._knows_addresses:
                return None
            try:
                self._gate.admit(access.Scope.ENHANCE, named.get("authorization"), address)
            except NightliftError as error:
                return Refused(wanted, error, named, since)
            return Refused(wanted, full, named, since)
        except NightliftError:
            return None  # no such model or version: the application says so
        return None

    def arrived(self, url: bytes) -> None:
        """All of a request that was let in has come."""
        if (wanted := self._wanted(url)) is not None:
            self._runtime.enhancer.arrived(wanted.model, wanted.version)

    def answer(self, refused: Refused) -> tuple[int, list[bytes], bytes]:
        """Status, lines of headers, and body that tell of it; it is counted and timed as every request."""
        error, wanted = refused.error, refused.wanted
        with recorded(self._runtime.metrics, "http", "POST", refused.headers) as record:
            record.started, record.route = refused.since, wanted.route
            record.answered(int(error.status))
            self._runtime.metrics.failed(error)
        if isinstance(error, QueueFull):
            lines, body = _told_full(error.detail, error.retry_after, wanted.path)
        else:
            lines, body = told(error, wanted.path)
        return int(error.status), [*lines, f"x-request-id: {record.request_id}".encode()], body

    def _read(self, url: bytes) -> Wanted | None:
        path, query = path_and_query(url)
        for route in self._routes:
            if match := route.path_regex.match(path):
                chosen = match.groupdict() or dict(parse_qsl(query))
                try:
                    version = parse_version(chosen.get("version", ""))
                except MalformedRequest:
                    return None  # the application says so
                return Wanted(path, route.path, chosen.get("model"), version)
        return None


def path_and_query(url: bytes) -> tuple[str, str]:
    """The path of a request's URL, as the application gets it, and the query as it was sent."""
    path, _, query = url.decode("latin-1").partition("?")
    return unquote(path), query


def told(error: NightliftError, path: str) -> tuple[list[bytes], bytes]:
    """Lines of headers, and the body, of the application's answer to `path` that tells of an error."""
    response = problem_response(error, path)
    headers = [*response.raw_headers, *((name.lower().encode(), value.encode()) for name, value in HEADERS.items())]
    return [name + b": " + value for name, value in headers], bytes(response.body)


@lru_cache(URLS)
def _told_full(detail: str, retry_after: float | None, path: str) -> tuple[list[bytes], bytes]:
    error = QueueFull(detail)
    if retry_after is not None:
        error.retry_after = retry_after
    return told(error, path)
