"""What happens to every request: an id, a clock, a limit on its body."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import BodyTooLarge, BodyTooSlow, Unavailable
from service.http._problems import problem_response
from service.runtime import Phase, Runtime
from service.telemetry import Metrics, recorded

DISCARD_SECONDS = 2.0


class RequestContext:
    """Give every request an id (the client's, if it is harmless), and count and time it by its route's template.

    While the service drains, answers ask clients to connect anew, which leads them to another instance.
    """

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self.runtime = runtime
        self.metrics = runtime.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answered = False
        with recorded(self.metrics, "http", scope["method"], Headers(scope=scope)) as record:
            scope.setdefault("state", {}).update(request_id=record.request_id, started=record.started)

            async def send_with_id(message: Message) -> None:
                nonlocal answered
                if message["type"] == "http.response.start":
                    answered = True
                    record.answered(message["status"])
                    headers = MutableHeaders(scope=message)
                    headers["X-Request-ID"] = record.request_id
                    if self.runtime.phase is not Phase.SERVING:
                        headers["Connection"] = "close"
                await send(message)

            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                # The error was logged and answered where it was turned into a problem document.
                if not answered:
                    raise
            finally:
                record.route = getattr(scope.get("route"), "path", "unmatched")


class BodyLimit:
    """Refuse bodies that are too large, too slow or too many, before they are parsed; and let early answers be read.

    One body may have `limit` bytes, declared or not, all that are held at one time `limit_together`, and every body
    must have come `seconds` after its headers.

    A client that is still sending when its answer comes sees a reset connection unless somebody takes its bytes: so
    what is left of the body is read and thrown away, up to the limit or for two seconds, before the answer leaves. A
    client that waits for `100 Continue` has sent nothing, and is answered at once.
    """

    def __init__(self, app: ASGIApp, limit: int, limit_together: int, seconds: float, metrics: Metrics) -> None:
        self.app = app
        self.limit = limit
        self.limit_together = limit_together
        self.seconds = seconds
        self.metrics = metrics
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        awaits_continue = headers.get("expect", "").lower() == "100-continue"
        received, complete, answered = 0, False, False
        held, late = 0, False
        until = asyncio.get_running_loop().time() + self.seconds

        async def limited() -> Message:
            nonlocal received, complete, held, late
            try:
                async with asyncio.timeout_at(None if complete else until):
                    message = await receive()
            except TimeoutError:
                complete = late = True  # nothing more of it is waited for
                raise BodyTooSlow(f"the body had not come {self.seconds:g} s after its headers") from None
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                received += size
                complete = not message.get("more_body", False)
                if received > self.limit:
                    raise self._too_large()
                if self._held + size > self.limit_together:
                    raise Unavailable("too many bytes are being sent to the service at this moment")
                held += size
                self._held += size
            else:
                complete = True
            return message

        async def discard() -> None:
            nonlocal received, complete
            while not complete and received <= self.limit:
                message = await receive()
                received += len(message.get("body", b""))
                complete = message["type"] != "http.request" or not message.get("more_body", False)

        async def send_after_body(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                if not complete and (received or not awaits_continue):
                    try:
                        async with asyncio.timeout(DISCARD_SECONDS):
                            await discard()
                    except TimeoutError:
                        pass
                if not complete or late:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            if declared.isdecimal() and int(declared) > self.limit:
                raise self._too_large()
            await self.app(scope, limited, send_after_body)
        except (BodyTooLarge, BodyTooSlow, Unavailable) as error:
            if answered:
                raise
            self.metrics.failed(error)
            await problem_response(error, scope["path"])(scope, receive, send_after_body)
        finally:
            self._held -= held

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body has more than the {self.limit} bytes allowed", limit_bytes=self.limit)
