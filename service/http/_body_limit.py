"""Limits on the size and speed of request bodies, and on the bytes of all bodies together."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge, BodyTooSlow, Unavailable
from service.http._problems import problem_response
from service.pictures import is_raw, may_be_raw
from service.settings import Settings
from service.telemetry import Metrics

DISCARD_SECONDS = 2.0

LENGTH_DIGITS = 19
"""Most digits of a Content-Length, zeros before the number included. The service's HTTP parser takes any number of
zeros, `int` does not; other servers than its own do not refuse them before."""

FOR_RAW = "/enhance"
"""Path whose bodies may hold camera raw, which has a larger limit."""

HEAD = 16 * 1024
"""Camera raw must begin within this many bytes of the body; in a form it follows the first options."""


def check_picture(picture: bytes, settings: Settings) -> None:
    """Raise BodyTooLarge for a large file that began like camera raw, as every TIFF does, but is not camera raw."""
    if len(picture) > settings.max_body_bytes and not is_raw(picture):
        raise _too_large(settings.max_body_bytes, settings.max_raw_body_bytes)


def _too_large(limit: int, limit_of_raw: int) -> BodyTooLarge:
    raw = f"; camera raw may have {limit_of_raw}" if limit_of_raw > limit else ""
    return BodyTooLarge(f"the body has more than the {limit} bytes allowed{raw}", limit_bytes=limit)


class BodyLimit:
    """Refuse bodies that are too large, too slow or too many before they are parsed; and let early answers be read.

    A body may have `max_body_bytes`, or `max_raw_body_bytes` where camera raw is accepted and the body begins like
    it. All bodies together may have `max_body_bytes_in_flight`, and every body must arrive within `request_timeout`
    of its headers.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.limit = settings.max_body_bytes
        self.limit_of_raw = max(settings.max_body_bytes, settings.max_raw_body_bytes)
        self.limit_together = settings.max_body_bytes_in_flight
        self.seconds = settings.request_timeout
        self.metrics = metrics
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self, scope, receive, send)
        try:
            body.check_declared()
            await self.app(scope, body.receive, body.send)
        except (BodyTooLarge, BodyTooSlow, Unavailable) as error:
            if body.answered:
                raise
            self.metrics.failed(error)
            await problem_response(error, scope["path"])(scope, receive, body.send)
        finally:
            self.held -= body.held


class _Body:
    """One incoming body, and the answer to it.

    A client that is still sending when its answer comes sees a reset connection unless its bytes are read. So the
    rest of the body is read and discarded, up to the limit or for two seconds, before the answer is sent. A client
    that waits for `100 Continue` has sent nothing, and is answered at once.
    """

    def __init__(self, limits: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.held = 0
        self.answered = False
        self._limits = limits
        self._limit_of_raw = limits.limit_of_raw if scope["path"] == FOR_RAW else limits.limit
        declared = headers.get("content-length", "").lstrip("0")[:LENGTH_DIGITS]
        self._declared = int(declared) if declared.isdecimal() else 0
        self._head = b""
        self._begins_like_raw: bool | None = None
        self._awaits_continue = headers.get("expect", "").lower() == "100-continue"
        self._receive = receive
        self._send = send
        self._until = asyncio.get_running_loop().time() + limits.seconds
        self._received = 0
        self._complete = False
        self._late = False

    def check_declared(self) -> None:
        """Raise BodyTooLarge if the declared length exceeds the limit."""
        if self._declared > self._limit_of_raw:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part, for the application; raises BodyTooLarge, BodyTooSlow and Unavailable."""
        limits = self._limits
        try:
            async with asyncio.timeout_at(None if self._complete else self._until):
                message = await self._receive()
        except TimeoutError:
            self._complete = self._late = True  # do not wait for the rest
            raise BodyTooSlow(f"the body had not arrived {limits.seconds:g} s after its headers") from None
        size = self._note(message)
        if message["type"] != "http.request":
            return message
        self._check_size(message.get("body", b""))
        if limits.held + size > limits.limit_together:
            raise Unavailable("too many bytes are being sent to the service at this moment")
        self.held += size
        limits.held += size
        return message

    def _check_size(self, piece: bytes) -> None:
        """Raise BodyTooLarge as soon as the body exceeds the limit for its content."""
        if len(self._head) < HEAD:
            self._head += piece[: HEAD - len(self._head)]
            self._begins_like_raw = None
        if self._received > self._limit_of_raw:
            raise self._too_large()
        if self._received <= self._limits.limit and (self._declared <= self._limits.limit or len(self._head) < HEAD):
            return
        if self._begins_like_raw is None:  # looked at once: this takes a long time for a head of empty lines
            # A form's parts begin after an empty line; a body that is not a form begins before the first one.
            self._begins_like_raw = any(map(may_be_raw, self._head.split(b"\r\n\r\n")))
        if not self._begins_like_raw:
            raise self._too_large()

    async def send(self, message: Message) -> None:
        """Send a part of the answer, once the rest of the body has been discarded."""
        if message["type"] == "http.response.start" and not self.answered:
            self.answered = True
            if not self._complete and (self._received or not self._awaits_continue):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DISCARD_SECONDS):
                        await self._discard()
            if not self._complete or self._late:
                MutableHeaders(scope=message)["Connection"] = "close"
        await self._send(message)

    async def _discard(self) -> None:
        while not self._complete and self._received <= self._limit_of_raw:
            self._note(await self._receive())

    def _note(self, message: Message) -> int:
        """Count the body's bytes in the message, and return their number."""
        size = len(message.get("body", b"")) if message["type"] == "http.request" else 0
        self._received += size
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return size

    def _too_large(self) -> BodyTooLarge:
        return _too_large(self._limits.limit, self._limit_of_raw)
