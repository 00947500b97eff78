"""Which path needs what: every route of the application, one by one, so that a new one is thought about."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from service.admission import Scope
from service.http._admission import matched_route, scope_needed
from service.http._app import ROUTERS
from service.http._pages import install_pages

MODEL = "/v2/models/{model}"
VERSION = "/v2/models/{model}/versions/{version}"
NEEDS = {
    **dict.fromkeys(("/", "/docs", "/openapi.json", "/static", "/docs-assets", "/problems/{slug}"), None),
    **dict.fromkeys(("/models.html", "/service-worker.js"), None),
    **dict.fromkeys(("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics"), None),
    **dict.fromkeys(("/enhance", "/models", "/v2", "/v2/models/stats", "/v2/repository/index"), Scope.ENHANCE),
    **{
        f"{start}{end}": Scope.ENHANCE
        for start in (MODEL, VERSION)
        for end in ("", "/ready", "/config", "/stats", "/infer")
    },
    **dict.fromkeys(
        ("/v2/repository/models/{model}/load", "/v2/repository/models/{model}/unload"),
        Scope.ADMIN,
    ),
}


def test_every_route_is_listed() -> None:
    assert paths() == set(NEEDS)


@pytest.mark.parametrize("path", sorted(NEEDS))
def test_every_route_needs_what_is_listed(path: str) -> None:
    assert scope_needed(path, metrics_open=True) == NEEDS[path]


@pytest.mark.parametrize(
    ("path", "need"),
    [
        *((path, None) for path in ("/", "/livez", "/static/app.js", "/docs-assets/x.js", "/problems/forbidden")),
        *((path, Scope.ENHANCE) for path in ("", "/nothing", "//", "/livez/", "/LIVEZ", "/static", "/staticx")),
        *((path, Scope.ENHANCE) for path in ("/v2/health", "/v2/health/live/x", "/docs/x", "/problems/x/y")),
        *((path, Scope.METRICS) for path in ("/metrics", "/metrics\n")),  # which Starlette takes for the same
        ("/v2/repository/models/x/load", Scope.ADMIN),
        ("/v2/repository/models/x/load/x", Scope.ENHANCE),
    ],
)
def test_what_a_request_needs_is_said_by_its_route(path: str, need: Scope | None) -> None:
    for method in ("GET", "POST"):
        route = matched_route(routes(), method, path)
        assert scope_needed(getattr(route, "path", ""), metrics_open=False) is need


def routes() -> list[BaseRoute]:
    """The application's routes."""
    app = FastAPI(docs_url=None, redoc_url=None)
    install_pages(app)
    return [*app.routes, *(route for router in ROUTERS for route in router.routes)]


def paths() -> set[str]:
    """Their paths."""
    return {route.path for route in routes()}  # type: ignore[attr-defined]
