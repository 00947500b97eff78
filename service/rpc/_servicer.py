"""The protocol's service over gRPC, a thin layer over the data plane.

Triton's further methods (shared memory, streams, trace and log settings) get UNIMPLEMENTED from
`AdmissionInterceptor`.
"""

from __future__ import annotations

import asyncio

from grpc.aio import ServicerContext
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.admission import Ticket
from service.inference import LoadedModel
from service.protocol import DataPlane, parse_version
from service.protocol.grpc_codec import read_request, write_response


class InferenceServicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one data plane; errors leave as they are raised and are mapped by `AdmissionInterceptor`.

    Args:
        plane: what answers.
    """

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def ServerLive(self, request: pb.ServerLiveRequest, context: ServicerContext) -> pb.ServerLiveResponse:
        """True as long as the event loop runs and no model's device is lost for good."""
        return pb.ServerLiveResponse(live=self._plane.runtime.live)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: ServicerContext) -> pb.ServerReadyResponse:
        """Whether requests should be sent here."""
        return pb.ServerReadyResponse(ready=self._plane.runtime.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: ServicerContext) -> pb.ModelReadyResponse:
        """Whether a model can be called."""
        return pb.ModelReadyResponse(ready=self._plane.model_ready(request.name, parse_version(request.version)))

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return self._plane.server_metadata()

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: ServicerContext
    ) -> pb.ModelMetadataResponse:
        """A model's versions, inputs and outputs."""
        return self._plane.model_metadata(request.name, parse_version(request.version))

    async def ModelConfig(self, request: pb.ModelConfigRequest, context: ServicerContext) -> pb.ModelConfigResponse:
        """A model's config.pbtxt."""
        return pb.ModelConfigResponse(config=self._plane.model_config(request.name, parse_version(request.version)))

    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: ServicerContext
    ) -> pb.ModelStatisticsResponse:
        """Counters and times of one model, or of all."""
        return self._plane.statistics(request.name, parse_version(request.version))

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Ticket[LoadedModel]) -> bytes:
        """Run a model; the call's own deadline applies, and if its client leaves, its queued work is dropped.

        The answer is already serialized.
        """
        read = read_request(request)
        del request  # which would be held until the answer, beside copies of its contents
        context.reserve(read.model, read.version)
        response = await self._plane.infer(read, context)
        return await asyncio.to_thread(write_response, response)

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: ServicerContext
    ) -> pb.RepositoryIndexResponse:
        """Every model of the repository with its state."""
        return await self._plane.repository_index(request.ready)

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        """Load or reload a model."""
        await self._plane.load(request.model_name, request.parameters)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        """Take a model out of service."""
        await self._plane.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()
