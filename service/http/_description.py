"""Parts of `/openapi.json` beyond the routes: groups, the schema of problems, headers of answers and refusals."""

from __future__ import annotations

from typing import Any

PROBLEM_TYPE = "application/problem+json"

ENHANCE, MODELS, OPERATION, PROTOCOL = "Enhance", "Models", "Operation", "Open Inference Protocol"
TAGS = [
    {"name": ENHANCE, "description": "A photo in, a bright photo out."},
    {"name": MODELS, "description": "The available models, and the limits on photos."},
    {"name": OPERATION, "description": "Probes and metrics."},
    {
        "name": PROTOCOL,
        "description": "The REST counterpart of the gRPC service on its own port. Errors have the protocol's form.",
    },
]
"""Groups of routes, in the order of the documentation."""

PROBLEM = {
    "title": "Problem",
    "description": "What was wrong, and what is allowed (RFC 9457). Some types have further members.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "The problem type; `GET` this URL to read what it means."},
        "title": {"type": "string", "description": "The same sentence for every problem of this type."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What was wrong with this request, and what is allowed."},
        "instance": {"type": "string", "description": "The requested path."},
    },
    "required": ["type", "title", "status", "detail", "instance"],
    "example": {
        "type": "/problems/invalid-parameter",
        "title": "A parameter is not valid",
        "status": 422,
        "detail": "strength: input should be less than or equal to 1 (given: '7')",
        "instance": "/enhance",
    },
}


def problem_content() -> dict[str, Any]:
    """The content of a refusal, for an OpenAPI document that `complete` has processed."""
    return {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def text_header(description: str) -> dict[str, Any]:
    """A header of an answer, in an OpenAPI document."""
    return {"description": description, "schema": {"type": "string"}}


RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to try again", "schema": {"type": "integer"}}}
AUTHENTICATE = {"WWW-Authenticate": text_header("How to send a key")}
HEADERS = {"401": AUTHENTICATE, "429": RETRY_AFTER, "503": RETRY_AFTER}
"""Status -> headers of refusals."""


def complete(document: dict[str, Any], refusals: set[str]) -> None:
    """Add the schema of problems to an OpenAPI document, and to the refusals of all routes except the protocol's.

    Args:
        document: changed in place.
        refusals: statuses of refusals that may come before any route sees the request.
    """
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, operations in document["paths"].items():
        if path == "/v2" or path.startswith("/v2/"):
            continue
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status in refusals:
                    response.setdefault("content", problem_content())
                if PROBLEM_TYPE in response.get("content", {}):
                    response.setdefault("headers", {}).update(HEADERS.get(status, {}))
