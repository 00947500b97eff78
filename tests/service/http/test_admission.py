"""Which path needs what: every route of the application, one by one, so that a new one is thought about."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from service.admission import Scope
from service.http._admission import scope_needed
from service.http._app import ROUTERS
from service.http._pages import install_pages

MODEL = "/v2/models/{model}"
VERSION = "/v2/models/{model}/versions/{version}"
NEEDS = {
    **dict.fromkeys(("/", "/docs", "/openapi.json", "/static/x.js", "/docs-assets/x.js", "/problems/{slug}"), None),
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
    "path",
    ["", "/nothing", "//", "/livez/", "/LIVEZ", "/static", "/staticx", "/v2/health", "/v2/health/live/x", "/docs/x"],
)
def test_what_is_not_listed_is_not_open(path: str) -> None:
    assert scope_needed(path, metrics_open=True) is Scope.ENHANCE


def test_metrics_can_be_closed() -> None:
    assert scope_needed("/metrics", metrics_open=False) is Scope.METRICS


def paths() -> set[str]:
    """The paths of the application's routes; a folder by a file in it."""
    app = FastAPI(docs_url=None, redoc_url=None)
    install_pages(app)
    found = {f"{route.path}/x.js" if isinstance(route, Mount) else route.path for route in app.routes}
    return found | {route.path for router in ROUTERS for route in router.routes}
