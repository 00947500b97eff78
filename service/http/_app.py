"""The HTTP application, put together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.access import Gate
from service.http import _enhance, _protocol, _status
from service.http._admission import Admission, describe_keys
from service.http._body_limit import BodyLimit
from service.http._connections import Guarded, guarded
from service.http._forwarded import Forwarded, Prefixed
from service.http._origins import allow_origins
from service.http._pages import install_pages
from service.http._problems import install_problem_handlers
from service.http._request_context import RequestContext
from service.http._security import SecurityHeaders
from service.http._turnstile import Turnstile
from service.protocol import ProtocolPlane
from service.runtime import Runtime

ROUTERS = (_enhance.router, _status.router, _protocol.router)
ROUTES = [route for router in ROUTERS for route in router.routes]
DESCRIPTION = "Low-light image enhancement: a dark photo goes in, a bright, clean, colour-true photo comes out."


def create_app(runtime: Runtime, gate: Gate | None = None) -> ASGIApp:
    """The ASGI application over a runtime whose life somebody else manages; without a gate everybody may call."""
    settings = runtime.settings
    app = FastAPI(
        title="Nightlift",
        description=DESCRIPTION,
        version=version("nightlift"),
        docs_url=None,
        redoc_url=None,
    )
    app.state.runtime = runtime
    app.state.protocol = ProtocolPlane(runtime)
    for router in ROUTERS:
        app.include_router(router)
    install_pages(app)
    install_problem_handlers(app, runtime.metrics)
    if gate and settings.keys_file:
        describe_keys(app.openapi(), settings.metrics_open)
    prefixed = Prefixed(app)
    admitted = Admission(prefixed, gate, runtime.metrics, settings.metrics_open, ROUTES) if gate else prefixed
    limited = BodyLimit(
        admitted,
        settings.max_body_bytes,
        settings.max_body_bytes_in_flight,
        settings.request_timeout,
        runtime.metrics,
    )
    served = SecurityHeaders(allow_origins(RequestContext(limited, runtime), settings.cors_origins))
    return Forwarded(served, settings.trusted_proxies, settings.root_path)


def create_protocol(runtime: Runtime, gate: Gate | None = None) -> type[Guarded]:
    """The protocol that serves `create_app` of the same runtime and gate, and refuses what there is no room for."""
    return guarded(Turnstile(runtime, gate, ROUTES), runtime.settings.head_timeout)
