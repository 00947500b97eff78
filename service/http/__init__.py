"""The HTTP transport: thin routes over the plane, problem documents, probes, and the page."""

from service.http._app import create_app, create_protocol
from service.http._connections import allow_many_connections

__all__ = ["allow_many_connections", "create_app", "create_protocol"]
