"""Errors as RFC 9457 problem documents, and below `/v2` as the Open Inference Protocol wants them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.errors import InvalidParameter, NightliftError
from service.http._description import PROBLEM_TYPE
from service.http._middleware import HEADERS
from service.http._pages import not_found_page
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

MAX_EXPLAINED = 8
"""Most parameters of one request whose errors are listed; a query may hold hundreds."""

MAX_SHOWN = 64
"""Most characters of a parameter's value that are quoted in an error."""


def problem_response(error: NightliftError, instance: str) -> Response:
    """The answer that reports `error` to the client; `instance` is the requested path."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="nightlift"'
    if _is_protocol(instance):
        return JSONResponse({"error": error.detail}, int(error.status), headers)
    document = _document(f"/problems/{error.slug}", error.title, int(error.status), error.detail, instance)
    return JSONResponse({**document, **error.extensions}, int(error.status), headers, PROBLEM_TYPE)


def problem_bytes(error: NightliftError, instance: str) -> tuple[bytes, bytes]:
    """The same answer as bytes, without the application: status line and headers with their line ends; body."""
    response = problem_response(error, instance)
    own = ((name.lower().encode(), value.encode()) for name, value in HEADERS.items())
    lines = (name + b": " + value + b"\r\n" for name, value in (*response.raw_headers, *own))
    return STATUS_LINE[int(error.status)] + b"".join(lines), bytes(response.body)


def install_problem_handlers(app: FastAPI, metrics: Metrics) -> None:
    """Answer every error of the application with a problem document, and count it."""

    @app.exception_handler(NightliftError)
    async def ours(request: Request, error: NightliftError) -> Response:
        metrics.failed(error)
        return problem_response(error, _path(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await ours(request, InvalidParameter(explain(error.errors())))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        path = _path(request)
        detail = _explain_routing(error)
        if _is_protocol(path):
            return JSONResponse({"error": detail}, error.status_code, error.headers)
        if error.status_code == HTTPStatus.NOT_FOUND and _wants_page(request):
            return not_found_page(path)
        document = _document("about:blank", HTTPStatus(error.status_code).phrase, error.status_code, detail, path)
        return JSONResponse(document, error.status_code, error.headers, PROBLEM_TYPE)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        failure = NightliftError("the error was logged; the request may be repeated")
        metrics.failed(failure)
        return problem_response(failure, _path(request))


def _wants_page(request: Request) -> bool:
    """Whether this is a browser's navigation: only these ask for `text/html`."""
    accept = request.headers.get("accept", "")
    return request.method in ("GET", "HEAD") and "text/html" in accept and "problem+json" not in accept


def _path(request: Request) -> str:
    """The path without the prefix that a proxy stripped; below a mount, `root_path` is longer than the prefix."""
    scope = request.scope
    return str(scope["path"]).removeprefix(scope.get("app_root_path", scope.get("root_path", "")))


def _document(kind: str, title: str, status: int, detail: str, instance: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance.encode("utf-8", "backslashreplace").decode(),  # a path may hold half of a character
    }


def _is_protocol(path: str) -> bool:
    """Whether a path belongs to the Open Inference Protocol, whose clients expect errors in its own form."""
    return path == "/v2" or path.startswith("/v2/")


def problem_types() -> dict[str, type[NightliftError]]:
    """Every problem type by its slug, for `GET /problems/{slug}`."""
    return {error.slug: error for error in _descendants(NightliftError)}


def _descendants(root: type[NightliftError]) -> Iterable[type[NightliftError]]:
    yield root
    for child in root.__subclasses__():
        yield from _descendants(child)


def _explain_routing(error: HTTPException) -> str:
    allowed = (error.headers or {}).get("Allow")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and allowed:
        return f"this path takes {' and '.join(sorted(allowed.split(', ')))} only"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "there is nothing at this path; /docs lists the API"
    return error.detail


def explain(errors: Sequence[Any]) -> str:
    parts = []
    for error in errors[:MAX_EXPLAINED]:
        where = ".".join(str(step) for step in error["loc"][1:]) or error["loc"][0]
        given = error.get("input")
        shown = f" (given: {given!r:.{MAX_SHOWN}})" if isinstance(given, str | int | float) else ""
        parts.append(f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}")
    if len(errors) > MAX_EXPLAINED:
        parts.append(f"and {len(errors) - MAX_EXPLAINED} more")
    return "; ".join(parts)
