"""The HTTP application, put together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from service.http import _enhance, _protocol, _status
from service.http._middleware import BodyLimit, RequestContext
from service.http._pages import install_pages
from service.http._problems import install_problem_handlers
from service.http._security import SecurityHeaders
from service.protocol import ProtocolPlane
from service.runtime import Runtime

DESCRIPTION = "Low-light image enhancement: a dark photo goes in, a bright, clean, colour-true photo comes out."


def create_app(runtime: Runtime) -> ASGIApp:
    """The ASGI application over a runtime whose life somebody else manages."""
    app = FastAPI(
        title="Nightlift",
        description=DESCRIPTION,
        version=version("nightlift"),
        docs_url=None,
        redoc_url=None,
    )
    app.state.runtime = runtime
    app.state.protocol = ProtocolPlane(runtime)
    app.include_router(_enhance.router)
    app.include_router(_status.router)
    app.include_router(_protocol.router)
    install_pages(app)
    install_problem_handlers(app, runtime.metrics)
    limited = BodyLimit(app, runtime.settings.max_body_bytes, runtime.metrics)
    return SecurityHeaders(RequestContext(limited, runtime))
