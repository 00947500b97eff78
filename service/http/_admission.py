"""Admission over HTTP: which scope each path needs, and refusals before a byte of the body is requested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from service.admission import Call, Scope, Ticket
from service.errors import MalformedRequest, NightliftError
from service.http._problems import problem_response
from service.http._timeouts import parse_timeout
from service.inference import LoadedModel
from service.protocol import parse_version
from service.runtime import Runtime

OPEN_ROUTES = frozenset(
    {
        "/",
        "/docs",
        "/docs-assets",
        "/livez",
        "/models.html",
        "/openapi.json",
        "/problems/{slug}",
        "/readyz",
        "/service-worker.js",
        "/static",
        "/v2/health/live",
        "/v2/health/ready",
    }
)
ADMIN_FOLDER = "/v2/repository/models/"
METRICS = "/metrics"
PICTURES = re.compile(r"/enhance|/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer")

KEY = "An API key, sent as `Authorization: Bearer KEY`; its scopes decide what it may be used for."


def scope_needed(template: str, metrics_open: bool) -> Scope | None:
    """The scope that a key for this route must have; None if no key is needed. Unknown paths need a key.

    Args:
        template: the route's path, with its parameters in braces, or the folder of a mount; "" for no route.
        metrics_open: the setting.
    """
    if template in OPEN_ROUTES:
        return None
    if template == METRICS:
        return None if metrics_open else Scope.METRICS
    if template.startswith(ADMIN_FOLDER):
        return Scope.ADMIN
    return Scope.ENHANCE


def matched_route(routes: Iterable[BaseRoute], method: str, path: str) -> BaseRoute | None:
    """The route that will serve this request, as Starlette's router finds it; else one of another method, if any.

    The path is without a prefix that a proxy has stripped.
    """
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    other = None
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route
        if match is Match.PARTIAL and other is None:
            other = route
    return other


def describe_keys(document: dict[str, Any], metrics_open: bool) -> None:
    """State in an OpenAPI document which routes need a key, so that `/docs` and generated clients ask for one."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": KEY}}
    for path, operations in document["paths"].items():
        if scope_needed(path, metrics_open) is not None:
            for operation in operations.values():
                operation["security"] = [{"key": []}]


class AdmissionMiddleware:
    """Gets a ticket for every request that is not open to everybody, and stores it in the request's state.

    For a request with pictures, the model that its URL names is reserved.

    Args:
        app: the application.
        runtime: has the admission.
        routes: those of the application; the matching one decides the scope.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self.runtime = runtime
        # A cache of recent paths: searching all routes takes a fifth of the time of a refusal.
        self._route = lru_cache(256)(partial(matched_route, list(routes)))

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = self._route(scope["method"], scope["path"])
        need = scope_needed(getattr(route, "path", ""), self.runtime.settings.metrics_open)
        if need is None:
            await self.app(scope, receive, send)
            return
        with ExitStack() as stack:
            try:
                target = None
                if scope["method"] == "POST":
                    target = picture_target(scope["path"], scope["query_string"].decode("latin-1"))
                ticket = stack.enter_context(self._admit(scope, need, has_pictures=target is not None))
                if target is not None:
                    ticket.reserve(target.model, target.version)
            except NightliftError as error:
                self.runtime.metrics.failed(error)
                scope["route"] = route
                await problem_response(error, scope["path"])(scope, receive, send)
                return
            scope["state"]["ticket"] = ticket
            await self.app(scope, receive, send)

    def _admit(self, scope: ASGIScope, need: Scope, has_pictures: bool) -> Ticket[LoadedModel]:
        headers = Headers(scope=scope)
        return self.runtime.admission.admit(
            Call(
                need=need,
                authorization=headers.get("authorization"),
                address=scope["client"][0] if scope.get("client") else "",
                seconds=parse_timeout(headers.get("x-request-timeout") if has_pictures else None),
                started=scope["state"]["started"],
            )
        )


@dataclass(frozen=True)
class PictureTarget:
    """The model and version that a request with pictures names in its URL, and the template that the URL matches."""

    route: str
    model: str | None
    version: int | None


def picture_target(path: str, query: str) -> PictureTarget | None:
    """The target of a POST; None if it has no pictures, or the application refuses the URL."""
    match = PICTURES.fullmatch(path)
    if match is None:
        return None
    named = {name: value for name, value in match.groupdict().items() if value is not None}
    route = path
    for name in reversed(named):  # from the end of the path, so that earlier positions stay valid
        route = route[: match.start(name)] + f"{{{name}}}" + route[match.end(name) :]
    chosen = named or dict(parse_qsl(query))
    try:
        return PictureTarget(route, chosen.get("model"), parse_version(chosen.get("version", "")))
    except MalformedRequest:
        return None
