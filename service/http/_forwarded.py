"""What trusted proxies say of the request that they pass on: who sent it, by which scheme, and below which path."""

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
    """Believe `X-Forwarded-For`, `-Proto` and `-Prefix` of these proxies; a prefix becomes ASGI's `root_path`.

    Args:
        app: gets the request.
        trusted: addresses and networks of proxies.
        root_path: the prefix of requests for which no proxy names one.
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
    """Put the prefix before the path, as ASGI wants it, for what makes URLs of it: redirects, and the API's page.

    Everything before the application looks at the path as the service has it, without the prefix.
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
    """A client of IPv4 on a socket of both families is called ::ffff:a.b.c.d, but a.b.c.d everywhere else."""
    host, *port = scope.get("client") or ("",)
    if host.startswith("::ffff:") and (mapped := IPv6Address(host).ipv4_mapped):
        scope["client"] = (str(mapped), *port)


def _prefix(headers: Headers) -> str:
    """The prefixes that proxies took off, the outermost first; "" where there is none, or none that is a path."""
    names = [part.strip().rstrip("/") for value in headers.getlist("x-forwarded-prefix") for part in value.split(",")]
    prefix = "".join(names)
    return prefix if len(prefix) <= _LONGEST and _PREFIX.fullmatch(prefix) else ""
