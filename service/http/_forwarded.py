"""What trusted proxies report about a forwarded request: the client's address, the scheme and the path prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_LONGEST = 256


class Forwarded:
    """Trust `X-Forwarded-For`, `-Proto` and `-Prefix` of these proxies; a prefix becomes ASGI's `root_path`.

    Args:
        app: receives the request.
        trusted: addresses and networks of proxies.
        root_path: prefix of requests without one from a proxy.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network], root_path: str = "") -> None:
        self._app = app
        self._trusted = trusted
        self._root_path = root_path
        self._believing = ProxyHeadersMiddleware(app, [str(network) for network in trusted])  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _name_by_its_own_family(scope)
        believed = self._is_trusted(scope)
        scope["root_path"] = (believed and _prefix(Headers(scope=scope))) or self._root_path
        await (self._believing if believed else self._app)(scope, receive, send)  # type: ignore[arg-type]

    def _is_trusted(self, scope: Scope) -> bool:
        if not self._trusted or not scope.get("client"):
            return False
        try:
            address = ip_address(scope["client"][0])
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


class Prefixed:
    """Add the prefix to the path, as ASGI requires, for redirects and the API's page, which build URLs from it.

    Everything before the application sees the path without the prefix.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if prefix := scope.get("root_path"):
            scope["path"] = prefix + scope["path"]
            if raw := scope.get("raw_path"):
                scope["raw_path"] = prefix.encode("ascii") + raw
        await self._app(scope, receive, send)


def _name_by_its_own_family(scope: Scope) -> None:
    """Write the address of an IPv4 client on a dual-stack socket, ::ffff:a.b.c.d, as a.b.c.d, as everywhere else."""
    host, *port = scope.get("client") or ("",)
    if host.startswith("::ffff:") and (mapped := IPv6Address(host).ipv4_mapped):
        scope["client"] = (str(mapped), *port)


def _prefix(headers: Headers) -> str:
    """The prefixes that proxies stripped, the outermost first; "" if there are none, or not a path."""
    names = [part.strip().rstrip("/") for value in headers.getlist("x-forwarded-prefix") for part in value.split(",")]
    prefix = "".join(names)
    return prefix if len(prefix) <= _LONGEST and _PREFIX.fullmatch(prefix) else ""
