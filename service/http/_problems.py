"""Errors as RFC 9457 problem documents, and below `/v2` as the Open Inference Protocol wants them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from service.errors import InvalidParameter, NightliftError
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

MEDIA_TYPE = "application/problem+json"


def problem_response(error: NightliftError, instance: str) -> Response:
    """The answer that tells a client of `error`; `instance` is the path it asked for."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="nightlift"'
    if _is_protocol(instance):
        return JSONResponse({"error": error.detail}, int(error.status), headers)
    document = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": int(error.status),
        "detail": error.detail,
        "instance": instance.encode("utf-8", "backslashreplace").decode(),  # a path may hold half of a character
        **error.extensions,
    }
    return JSONResponse(document, int(error.status), headers, MEDIA_TYPE)


def install_problem_handlers(app: FastAPI, metrics: Metrics) -> None:
    """Answer every error of the application with a problem document, and count it."""

    @app.exception_handler(NightliftError)
    async def ours(request: Request, error: NightliftError) -> Response:
        metrics.failed(error)
        return problem_response(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await ours(request, InvalidParameter(_explain(error.errors())))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        if _is_protocol(request.url.path):
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        document = {"type": "about:blank", "title": error.detail, "status": error.status_code}
        return JSONResponse(document, error.status_code, error.headers, MEDIA_TYPE)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        failure = NightliftError("the failure was logged; the request may be repeated")
        metrics.failed(failure)
        return problem_response(failure, request.url.path)


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


def _explain(errors: Iterable[dict]) -> str:
    parts = []
    for error in errors:
        where = ".".join(str(step) for step in error["loc"][1:]) or error["loc"][0]
        given = error.get("input")
        shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
        parts.append(f"{where}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}")
    return "; ".join(parts)
