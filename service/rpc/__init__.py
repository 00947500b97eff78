"""The gRPC transport: the Open Inference Protocol, the standard health service, and reflection."""

from service.rpc._server import RpcServer

__all__ = ["RpcServer"]
