"""Pages of other origins: which may call the service from a browser, and what they may send and see."""

from __future__ import annotations

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp

from service.errors import Forbidden
from service.protocol.rest_codec import HEADER_LENGTH

SENT = ("Authorization", "X-Request-ID", "X-Request-Timeout", HEADER_LENGTH, "traceparent")
SEEN = (
    "Nightlift-Model",
    "Nightlift-Detail",
    "Nightlift-Dropped",
    "Nightlift-Gate",
    "Nightlift-Luminance-Before",
    "Nightlift-Luminance-After",
    "Server-Timing",
    "X-Request-ID",
    "Retry-After",
    "WWW-Authenticate",
    HEADER_LENGTH,
)


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """The application, which pages of these origins may call; they send keys themselves, browsers add nothing."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=SENT,
        expose_headers=SEEN,
    )


def refuse_foreign_pages(request: Request, origins: Collection[str]) -> None:
    """Keep pages of other origins from changing anything.

    A browser sends their simple requests without asking first; they could not read the answer, but it would be done.

    Raises:
        Forbidden: if a browser says that it is for such a page.
    """
    headers = request.headers
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("origin") not in origins:
        raise Forbidden("a page of another origin may not do this; NIGHTLIFT_CORS_ORIGINS lists those that may")
