"""Nightlift's public interface: `Client` and `AsyncClient` for a service, and `enhance`, which needs no service.

    from nightlift import Client, enhance

    enhance("photo.jpg").save("bright.jpg")  # in this process
    with Client("localhost:8000") as client:  # by a service
        client.enhance("photo.jpg").save("bright.jpg")

The command line is `nightlift.cli`. Imports here are deferred until use; the clients need httpx only.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlift._answers import Enhanced, ServiceError
    from nightlift._in_process import enhance
    from nightlift.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "Enhanced", "ServiceError", "enhance"]

_HOMES = {
    "AsyncClient": "nightlift.client",
    "Client": "nightlift.client",
    "Enhanced": "nightlift._answers",
    "ServiceError": "nightlift._answers",
    "enhance": "nightlift._in_process",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
