"""The HTTP transport: thin routes over the pipeline, problem documents, probes, and the page."""

from service.http._app import create_app
from service.http._uvicorn_protocol import allow_many_connections, bounded_protocol

__all__ = ["allow_many_connections", "bounded_protocol", "create_app"]
