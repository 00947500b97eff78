"""The data plane shared by REST and gRPC: the protocol's operations on one runtime."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Coroutine
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from service.admission import Ticket
from service.errors import (
    Forbidden,
    InvalidParameter,
    NightliftError,
    UnservableModel,
    without_folders,
)
from service.inference import LoadedModel
from service.protocol import _metadata
from service.protocol._inputs import check_names
from service.protocol._messages import InferenceRequest, InferenceResponse
from service.protocol._pictures import run_pictures
from service.protocol._raw import run_raw
from service.protocol._tensors import BYTES
from service.repository import Batching, ConfigError
from service.runtime import Phase, Runtime


class DataPlane:
    """Everything that the Open Inference Protocol offers, called on the runtime's event loop.

    Every method that names a model raises ModelNotFound if there is none of that name and version, and ModelNotReady
    if it is not loaded.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._models = runtime.models
        self._settings = runtime.settings
        self._changes: set[asyncio.Task[None]] = set()

    def model_ready(self, name: str, version: int | None = None) -> bool:
        """Whether a model can be called and its engine is up; False also for one that does not exist."""
        try:
            model = self._models.get(name, version)
        except NightliftError:
            return False
        return model.ready and self.runtime.phase is Phase.SERVING

    def server_metadata(self) -> service_pb2.ServerMetadataResponse:
        """Name, version and extensions."""
        return _metadata.server_metadata(self._settings.model_control)

    def model_metadata(self, name: str, version: int | None = None) -> service_pb2.ModelMetadataResponse:
        """A model's versions, inputs and outputs."""
        model = self._models.get(name, version)
        return _metadata.model_metadata(model, [other.version for other in self._versions(name)])

    def model_config(self, name: str, version: int | None = None) -> model_config_pb2.ModelConfig:
        """A model's config.pbtxt."""
        return _metadata.model_config(self._models.get(name, version).config)

    def statistics(self, name: str = "", version: int | None = None) -> service_pb2.ModelStatisticsResponse:
        """The counters of one version of a model, of all its versions, or, without a name, of every model."""
        if version is not None:
            models = [self._models.get(name, version)]
        elif name:
            models = self._versions(self._models.get(name).name)
        else:
            models = self._models.loaded()
        return service_pb2.ModelStatisticsResponse(
            model_stats=[_metadata.model_statistics(model) for model in models]
        )

    async def repository_index(self, only_ready: bool = False) -> service_pb2.RepositoryIndexResponse:
        """Every model of the repository with its state."""
        return _metadata.repository_index(await asyncio.to_thread(self._models.index), only_ready)

    async def load(self, name: str, parameters: Collection[str] = ()) -> None:
        """Load or reload a model, and wait until it is ready.

        Raises:
            Forbidden: unless the setting `model_control` is on.
            InvalidParameter: if a configuration or files are sent along: only the repository decides what is served.
            UnservableModel: if it cannot be loaded; what was loaded before keeps serving.
        """
        self._check_control()
        if parameters:
            raise InvalidParameter(f"load takes no parameters here, but got {', '.join(sorted(parameters))}")
        try:
            await self._to_the_end(self._models.load(name))
        except ConfigError as error:
            raise UnservableModel(without_folders(str(error))) from None

    async def unload(self, name: str) -> None:
        """Take a model out of service; its requests under way are finished first.

        Raises:
            Forbidden: unless the setting `model_control` is on.
        """
        self._check_control()
        await self._to_the_end(self._models.unload(name))

    async def infer(self, request: InferenceRequest, ticket: Ticket[LoadedModel]) -> InferenceResponse:
        """Run the ticket's model: on the tensors that it declares, or on encoded pictures, if its input `image` is
        BYTES.

        Args:
            request: what to run.
            ticket: has the request's model reserved.

        Raises:
            NightliftError: any of its kinds that concern a request, a model, a picture or the time.
        """
        config = ticket.model.config
        check_names(request.inputs, config)
        end = min(ticket.deadline, time.monotonic() + _seconds(request.timeout, config.batching))
        tensor = request.inputs[0]
        if tensor.datatype == BYTES and config.takes_pictures:
            return await run_pictures(self.runtime.pipeline, ticket, tensor, request, end)
        return await run_raw(ticket, request, self._settings.max_whole_pixels, end)

    def _versions(self, name: str) -> list[LoadedModel]:
        return [model for model in self._models.loaded() if model.name == name]

    def _check_control(self) -> None:
        if not self._settings.model_control:
            raise Forbidden("loading and unloading models needs the setting NIGHTLIFT_MODEL_CONTROL")

    async def _to_the_end(self, change: Coroutine[Any, Any, None]) -> None:
        """Await a change of the models, which continues if the caller leaves, so that none is left half done."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changed)
        await asyncio.shield(task)

    def _changed(self, task: asyncio.Task[None]) -> None:
        self._changes.discard(task)
        if not task.cancelled():
            task.exception()  # noted in the index already, if nobody waits for it any more


def _seconds(timeout: float | None, batching: Batching) -> float:
    """How long a request may take by what it says itself, and by what its model says."""
    asked = timeout if batching.allow_timeout_override else None
    return min(asked or math.inf, batching.default_timeout or math.inf)
