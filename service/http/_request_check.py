"""Checks of every request: a path without control characters, a host that is served here, and no foreign page."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Forbidden, MalformedRequest, MisdirectedRequest, NightliftError
from service.http._origins import is_foreign
from service.http._problems import problem_response
from service.settings import Settings
from service.telemetry import Metrics

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing and cost little."""

PRIVATE_NAMES = (
    "localhost",
    "*.localhost",
    "*.local",
    "*.internal",
    "*.home.arpa",
    "*.svc",
    "*.svc.cluster.local",
)
"""Names that nobody can register, so that no foreign page can have one."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PORT = re.compile(r":[0-9]*$")


class RequestCheck:
    """Refuses requests that no route should see."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._origins = settings.cors_origins
        self._hosts: Collection[str] = settings.allowed_hosts or (
            ("*",) if settings.keys_file or settings.tls_certificate else ()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except NightliftError as error:
                self._metrics.failed(error)
                await problem_response(error, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if _CONTROLS.search(scope["path"]):
            raise MalformedRequest("the path has control characters")
        host = headers.get("host", "")
        if host and not is_allowed(host, self._hosts):
            raise MisdirectedRequest(
                f"this service does not serve the host {host[:64]!r}; NIGHTLIFT_ALLOWED_HOSTS lists the allowed names"
            )
        if scope["method"] not in READING and is_foreign(headers, self._origins):
            raise Forbidden("a page of another origin may not do this; NIGHTLIFT_CORS_ORIGINS lists those that may")


def is_allowed(host: str, patterns: Collection[str]) -> bool:
    """Whether a request for this host, perhaps with a port, may be served, by the setting `allowed_hosts`."""
    name = _PORT.sub("", host.lower()).rstrip(".")
    if "." not in name and not name.startswith("["):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return any(fnmatchcase(name, pattern) for pattern in (*PRIVATE_NAMES, *patterns))
    return True
