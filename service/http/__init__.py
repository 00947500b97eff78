"""The HTTP transport: thin routes over the plane, problem documents, probes, and the page."""

from service.http._app import create_app

__all__ = ["create_app"]
