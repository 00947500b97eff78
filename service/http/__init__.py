"""The HTTP transport: thin routes over the plane, problem documents, probes, and the page."""

from service.http._app import create_app
from service.http._connections import allow_many_connections, bounded_heads

__all__ = ["allow_many_connections", "bounded_heads", "create_app"]
