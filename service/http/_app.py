"""The HTTP application, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.http import _enhance, _oip, _status
from service.http._admission import AdmissionMiddleware, describe_keys
from service.http._answers import AnswerLimit
from service.http._body_limit import BodyLimit
from service.http._description import TAGS, complete
from service.http._forwarded import Forwarded, Prefixed
from service.http._middleware import RequestMiddleware
from service.http._origins import allow_origins
from service.http._pages import install_pages
from service.http._problems import install_problem_handlers
from service.http._request_check import RequestCheck
from service.protocol import DataPlane
from service.runtime import Runtime

ROUTERS = (_enhance.router, _status.router, _oip.router)
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request cannot be parsed, such as a path with control characters"},
    403: {"description": "The page has another origin, or the key lacks the scope"},
    421: {"description": "The host is not served here"},
}
"""Refusals that any request may get before its route sees it."""

DESCRIPTION = "Low-light image enhancement: a dark photo goes in, a bright, clean, colour-true photo comes out."


def create_app(runtime: Runtime) -> ASGIApp:
    """The ASGI application for a runtime that the caller starts and stops."""
    settings = runtime.settings
    app = FastAPI(
        title="Nightlift",
        description=DESCRIPTION,
        version=version("nightlift"),
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
    )
    app.state.runtime = runtime
    app.state.protocol = DataPlane(runtime)
    for router in ROUTERS:
        app.include_router(router, responses=REFUSALS)
    install_pages(app)
    install_problem_handlers(app, runtime.metrics)
    complete(app.openapi(), {str(status) for status in REFUSALS})
    if settings.keys_file:
        describe_keys(app.openapi(), settings.metrics_open)
    counted = AnswerLimit(Prefixed(app), runtime.metrics)
    routes = [*(route for router in ROUTERS for route in router.routes), *app.routes]
    admitted = AdmissionMiddleware(counted, runtime, [route for route in routes if hasattr(route, "path")])
    limited = BodyLimit(RequestCheck(admitted, settings, runtime.metrics), settings, runtime.metrics)
    served = RequestMiddleware(allow_origins(limited, settings.cors_origins), runtime)
    return Forwarded(served, settings.trusted_proxies, settings.root_path)
