"""Cross-origin access: which pages may call the service from a browser, and what they may send and see."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from service.protocol.rest_codec import HEADER_LENGTH

ALLOWED_HEADERS = ("Authorization", "X-Request-ID", "X-Request-Timeout", HEADER_LENGTH, "traceparent")
EXPOSED_HEADERS = (
    "Nightlift-Model",
    "Nightlift-Restored",
    "Nightlift-Denoise",
    "Nightlift-Detail",
    "Nightlift-Dropped",
    "Nightlift-Gate",
    "Nightlift-Luminance-Before",
    "Nightlift-Luminance-After",
    "Nightlift-Source-Size",
    "Server-Timing",
    "X-Request-ID",
    "Retry-After",
    "WWW-Authenticate",
    HEADER_LENGTH,
)


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """The application with CORS for these origins; pages send keys themselves, browsers send no credentials."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
    )


def is_foreign(headers: Headers, origins: Collection[str]) -> bool:
    """Whether a browser sends this request for a page of another origin than the service's own and those listed.

    A browser sends simple requests, such as those of forms, for any page without asking first; the page cannot read
    the answer, but the work would be done. Over TLS and locally, `Sec-Fetch-Site` tells whose page it is; elsewhere
    `Origin` is compared with the requested host.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none") or origin in origins:
        return False
    if origin is None:
        return site is not None
    scheme, _, authority = origin.partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return authority.lower().removesuffix(port) != headers.get("host", "").lower().removesuffix(port)
