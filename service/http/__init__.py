"""The HTTP transport: thin routes over the pipeline, problem documents, probes, and the page."""

from service.http._app import create_app
from service.http._load_shedding import LoadShedder
from service.http._uvicorn_protocol import allow_many_connections, bounded_protocol

__all__ = ["LoadShedder", "allow_many_connections", "bounded_protocol", "create_app"]
