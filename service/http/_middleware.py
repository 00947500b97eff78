"""Applied to every request: an id, timing, a log line, metrics, and security headers for browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.runtime import Phase, Runtime
from service.telemetry import recorded

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # Swagger's style sheet has icons in data URLs
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Everything must come from this service; inline scripts and styles are blocked."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RequestMiddleware:
    """Give every request an id (the client's, if it is harmless), and count and time it by its route's template.

    Every answer gets `HEADERS`, unless it has its own. While the service drains, answers ask clients to open a new
    connection, which leads them to another instance.
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
                    for name, value in HEADERS.items():
                        headers.setdefault(name, value)
                    if location := headers.get("location"):
                        # Starlette builds it from the field Host, which the client controls.
                        headers["Location"] = urlsplit(location)._replace(scheme="", netloc="").geturl()
                    if self.runtime.phase is not Phase.SERVING:
                        headers["Connection"] = "close"
                await send(message)

            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                # The error was logged and answered when it became a problem document.
                if not answered:
                    raise
            finally:
                record.route = getattr(scope.get("route"), "path", "unmatched")
