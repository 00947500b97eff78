"""Every way in which a request can fail, each with its HTTP status, gRPC code and problem type, once.

Transports map an error by its attributes.
"""

from __future__ import annotations

import errno
import re
from http import HTTPStatus
from typing import Any, ClassVar

_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/'\",:;()\[\]<>]+/)+")


def without_folders(text: str) -> str:
    """A library's message, with absolute paths cut down to file names."""
    return _FOLDERS.sub("", text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, the system or OpenCV (which has its own error code) report that there is no memory left."""
    out = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return out or isinstance(error, MemoryError) or getattr(error, "code", None) == _OPENCV_OUT_OF_MEMORY


_OPENCV_OUT_OF_MEMORY = -4


MAX_DETAIL = 1000
"""Most characters of an error's detail, which may quote what a client sent; gRPC sends it as a header."""


class NightliftError(Exception):
    """Base of all errors meant for the caller.

    Attributes:
        status: HTTP status code.
        grpc_code: name of the gRPC status code.
        slug: last part of the problem type URI, and the label of `nightlift_errors_total`.
        title: the same sentence for every error of the class (RFC 9457 `title`).
        detail: what was wrong with this request, and what is allowed, in at most `MAX_DETAIL` characters; free of
            paths and of stack traces.
        extensions: further members of the problem document, JSON-serialisable.
        retry_after: seconds after which the same request may succeed, or None.
    """

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    grpc_code: ClassVar[str] = "INTERNAL"
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error in the service"
    retry_after: float | None = None

    def __init__(self, detail: str, **extensions: Any) -> None:
        if len(detail) > MAX_DETAIL:
            detail = f"{detail[: MAX_DETAIL - 3]}..."
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class UnreadablePicture(NightliftError):
    """The bytes cannot be decoded: empty, truncated, or not a picture at all."""

    status = HTTPStatus.BAD_REQUEST
    grpc_code = "INVALID_ARGUMENT"
    slug = "unreadable-picture"
    title = "The picture cannot be read"


class MalformedRequest(NightliftError):
    """The request cannot be parsed: a broken multipart body, tensor or protocol message."""

    status = HTTPStatus.BAD_REQUEST
    grpc_code = "INVALID_ARGUMENT"
    slug = "malformed-request"
    title = "The request cannot be parsed"


class Unauthenticated(NightliftError):
    """An API key is required and none, or an unknown one, was given."""

    status = HTTPStatus.UNAUTHORIZED
    grpc_code = "UNAUTHENTICATED"
    slug = "unauthenticated"
    title = "An API key is required"


class Forbidden(NightliftError):
    """The caller's key does not allow this, or a setting forbids it to everybody."""

    status = HTTPStatus.FORBIDDEN
    grpc_code = "PERMISSION_DENIED"
    slug = "forbidden"
    title = "This is not allowed"


class MisdirectedRequest(NightliftError):
    """The request names a host that this service does not serve."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    grpc_code = "PERMISSION_DENIED"
    slug = "misdirected-request"
    title = "The request was meant for another host"


class ModelNotFound(NightliftError):
    """There is no model, or no version of it, with this name."""

    status = HTTPStatus.NOT_FOUND
    grpc_code = "NOT_FOUND"
    slug = "model-not-found"
    title = "Model not found"


class NotAcceptable(NightliftError):
    """`Accept` excludes every format that we could answer in."""

    status = HTTPStatus.NOT_ACCEPTABLE
    grpc_code = "INVALID_ARGUMENT"
    slug = "not-acceptable"
    title = "No acceptable output format"


class BodyTooSlow(NightliftError):
    """The request's body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    grpc_code = "DEADLINE_EXCEEDED"
    slug = "body-too-slow"
    title = "The request body arrived too slowly"


class BodyTooLarge(NightliftError):
    """The request has more bytes than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    grpc_code = "RESOURCE_EXHAUSTED"
    slug = "body-too-large"
    title = "The request body is too large"


class UnsupportedFormat(NightliftError):
    """The bytes are of a known format that the service does not accept."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    grpc_code = "INVALID_ARGUMENT"
    slug = "unsupported-format"
    title = "This kind of file is not supported"


class InvalidParameter(NightliftError):
    """An option has a value that is not allowed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    grpc_code = "INVALID_ARGUMENT"
    slug = "invalid-parameter"
    title = "A parameter is not valid"


class UnsupportedShape(NightliftError):
    """The picture has too many pixels or frames, is too narrow, or too long for its width."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    grpc_code = "INVALID_ARGUMENT"
    slug = "unsupported-shape"
    title = "The picture's size or shape is not supported"


class UnservableModel(NightliftError):
    """A model that was asked to be loaded has a configuration or a file with which it cannot be served."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    grpc_code = "FAILED_PRECONDITION"
    slug = "unservable-model"
    title = "The model cannot be served"


class RateLimited(NightliftError):
    """The caller exceeds the rate limit of its key or address."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    grpc_code = "RESOURCE_EXHAUSTED"
    slug = "rate-limited"
    title = "Too many requests"

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ClientGone(NightliftError):
    """The client left before its answer was ready."""

    status = 499
    grpc_code = "CANCELLED"
    slug = "client-gone"
    title = "The client closed the request"


class EngineFailed(NightliftError):
    """The engine failed while it ran this request's batch; the request may be repeated."""

    slug = "engine-failed"
    title = "The model could not be run"


class Unavailable(NightliftError):
    """The service cannot accept this request now; it may succeed later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_code = "UNAVAILABLE"
    slug = "unavailable"
    title = "The service is not available now"
    retry_after = 1.0


class OutOfMemory(Unavailable):
    """There was not enough memory for this request; smaller ones may succeed."""

    grpc_code = "RESOURCE_EXHAUSTED"
    slug = "out-of-memory"
    title = "There is not enough memory"


class QueueFull(Unavailable):
    """The model's queue is full."""

    grpc_code = "RESOURCE_EXHAUSTED"
    slug = "queue-full"
    title = "The queue is full"


class ModelNotReady(Unavailable):
    """The model is known, but still loading, or unloaded, or its last load failed."""

    slug = "model-not-ready"
    title = "The model is not ready"
    retry_after = 2.0


class EngineUnavailable(Unavailable):
    """The model's engine (its device, its worker process or its Triton server) is down and being restarted."""

    slug = "engine-unavailable"
    title = "The model's engine is not available now"
    retry_after = 2.0


class Draining(Unavailable):
    """The service is about to stop and accepts no new requests."""

    slug = "draining"
    title = "The service is shutting down"
    retry_after = 5.0


class DeadlineExceeded(NightliftError):
    """The request's time ran out before its result was ready."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    grpc_code = "DEADLINE_EXCEEDED"
    slug = "deadline-exceeded"
    title = "The deadline has passed"
