"""Keys and limits over HTTP: which path needs what, and the refusal before a byte of the body is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service import access
from service.access import Gate
from service.errors import NightliftError
from service.http._problems import problem_response
from service.telemetry import Metrics

OPEN_PATHS = frozenset(
    {"/", "/docs", "/livez", "/openapi.json", "/readyz", "/v2/health/live", "/v2/health/ready"},
)
OPEN_FOLDERS = ("/static/", "/docs-assets/", "/problems/")
ADMIN_FOLDER = "/v2/repository/models/"
METRICS = "/metrics"

KEY = "An API key, sent as `Authorization: Bearer KEY`; what it may be used for depends on its scopes."


def scope_needed(path: str, metrics_open: bool) -> access.Scope | None:
    """The scope that a key for this path must have; None where no key is needed. Unknown paths are not open."""
    if path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
        return None
    if path == METRICS:
        return None if metrics_open else access.Scope.METRICS
    if path.startswith(ADMIN_FOLDER):
        return access.Scope.ADMIN
    return access.Scope.ENHANCE


def describe_keys(document: dict[str, Any], metrics_open: bool) -> None:
    """Say in an OpenAPI document what needs a key, so that `/docs` asks for one and generated clients take one."""
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": KEY}}
    for path, operations in document["paths"].items():
        if scope_needed(path, metrics_open) is not None:
            for operation in operations.values():
                operation["security"] = [{"key": []}]


class Admission:
    """Ask the gate about every request that is not open to everybody.

    Args:
        app: the application, in which every path means what `scope_needed` takes it for.
        gate: see there.
        metrics: counts refusals.
        metrics_open: see the setting.
        routes: by whose templates refused requests are counted, as others are.
    """

    def __init__(
        self, app: ASGIApp, gate: Gate, metrics: Metrics, metrics_open: bool, routes: Iterable[BaseRoute]
    ) -> None:
        self.app = app
        self.gate = gate
        self.metrics = metrics
        self.metrics_open = metrics_open
        self.routes = [route for route in routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or (need := scope_needed(scope["path"], self.metrics_open)) is None:
            await self.app(scope, receive, send)
            return
        try:
            charge = self.gate.admit(need, Headers(scope=scope).get("authorization"), lambda: _address(scope))
        except NightliftError as error:
            self.metrics.failed(error)
            scope["route"] = next((route for route in self.routes if _is_for(route, scope)), None)
            await problem_response(error, scope["path"])(scope, receive, send)
            return
        with access.charging(charge):
            await self.app(scope, receive, send)


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _is_for(route: Route, scope: Scope) -> bool:
    return scope["method"] in (route.methods or ()) and route.path_regex.match(scope["path"]) is not None
