"""The standard health service: the current health of the service, and of every model under its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.errors import ModelNotFound, NightliftError
from service.protocol import DataPlane
from service.runtime import Phase

Status = health_pb2.HealthCheckResponse

WATCH_SECONDS = 0.25

WATCHERS = 1000
"""Most streams of `Watch` at one time: they need no key, and each checks the status every `WATCH_SECONDS`."""


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Health of the service by the name "" or that of a gRPC service, and of a model by the model's name.

    The service is SERVING while it is ready: its required models are loaded and it is not about to stop.
    """

    def __init__(self, plane: DataPlane, services: Collection[str]) -> None:
        self._plane = plane
        self._overall = {"", *services}
        self._watchers = 0

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The current status; NOT_FOUND for an unknown name."""
        status = self._status(request.service)
        if status == Status.SERVICE_UNKNOWN:
            raise ModelNotFound(f"there is no service or model {request.service!r}")
        return Status(status=status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now, and whenever it has changed; ends when the service stops, so as not to delay that.

        RESOURCE_EXHAUSTED beyond `WATCHERS`.
        """
        if self._watchers >= WATCHERS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS} calls watch already, and no more may; use Check"
            )
        self._watchers += 1
        try:
            last = None
            while last is None or self._plane.runtime.phase is not Phase.STOPPING:
                status = self._status(request.service)
                if status != last:
                    last = status
                    yield Status(status=status)
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._watchers -= 1

    def _status(self, name: str) -> int:
        if name in self._overall:
            return Status.SERVING if self._plane.runtime.ready else Status.NOT_SERVING
        if self._plane.model_ready(name):
            return Status.SERVING
        try:
            self._plane.model_metadata(name)
        except NightliftError as error:
            if error.grpc_code == "NOT_FOUND":
                return Status.SERVICE_UNKNOWN
        return Status.NOT_SERVING
