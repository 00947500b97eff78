"""The refusal of pictures for which there is no room, before the application routes and checks what comes with them.

A service that gets ten times what it can do refuses ten requests for each that it serves; they must cost next to
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.enhancer import Enhancer
from service.errors import NightliftError, QueueFull

PICTURE_PATHS = re.compile(r"/enhance|/v2/models/\{model\}(/versions/\{version\})?/infer")
"""Templates of the routes whose requests wait in a model's queue."""


class Turnstile:
    """Let requests with pictures pass while there is room in their model's queue.

    Whatever else is wrong with a request is found and told by the application.

    Args:
        app: the application; what is around it turns `QueueFull` into an answer.
        enhancer: knows whether there is room.
        routes: by whose templates refused requests are counted, as others are.
    """

    def __init__(self, app: ASGIApp, enhancer: Enhancer, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self.enhancer = enhancer
        self.routes = [route for route in routes if isinstance(route, Route) and PICTURE_PATHS.fullmatch(route.path)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI.

        Raises:
            QueueFull: if there is no room.
        """
        if scope["type"] == "http" and scope["method"] == "POST":
            for route in self.routes:
                if match := route.path_regex.match(scope["path"]):
                    try:
                        self._check_room(
                            match.groupdict() or dict(parse_qsl(scope["query_string"].decode("latin-1")))
                        )
                    except QueueFull:
                        scope["route"] = route
                        raise
                    break
        await self.app(scope, receive, send)

    def _check_room(self, chosen: dict[str, str]) -> None:
        version = chosen.get("version")
        try:
            self.enhancer.check_room(chosen.get("model"), None if version is None else int(version))
        except QueueFull:
            raise
        except (NightliftError, ValueError):
            pass  # no such model or version: the application says so
