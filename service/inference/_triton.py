"""Models run by a Triton server that serves the same model repository.

Each model polls the server for its readiness; a single late answer does not count. A server that goes away is polled
until it is back; meanwhile batches are refused with EngineUnavailable, and nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from service.errors import EngineUnavailable
from service.inference._contract import EngineInfo, Tensors
from service.inference._faults import Fault
from service.repository import ConfigError, ModelVersion, TensorSpec
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

POLL_SECONDS = 0.5  # between polls of a model's readiness
POLL_TIMEOUT = 2.0
IN_FLIGHT = 2  # batches for each of the server's instances: one runs while the next is transferred

# gRPC's default backoff grows to two minutes, but a recovered server must be found at once.
CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

LATE = str(grpc.StatusCode.DEADLINE_EXCEEDED)
DOWN = {str(grpc.StatusCode.UNAVAILABLE), LATE}
NOT_SERVED = {str(code) for code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.RESOURCE_EXHAUSTED)}


class TritonServer:
    """The one connection to a server, shared by all models and reused for as long as the service runs.

    Args:
        url: `host:port` of its gRPC service.
        metrics: where its failures are counted.
    """

    def __init__(self, url: str, metrics: Metrics) -> None:
        self.url = url
        self.metrics = metrics
        metrics.watch_device("remote", [Fault.UNREACHABLE])
        self.client: Any = InferenceServerClient(url, channel_args=CHANNEL)

    async def close(self) -> None:
        """Close the connection."""
        await self.client.close()


class TritonEngine:
    """One version of a model on the server; made by `connect`."""

    def __init__(self, server: TritonServer, model: ModelVersion, time_limit: float) -> None:
        config = model.config
        self.info = EngineInfo("triton", server.url, "remote", config.precision, "server")
        self.concurrency = IN_FLIGHT * sum(group.count for group in config.instances)
        self.ready = False
        self.lost = False
        self._silent = False
        self._server = server
        self._model = model
        self._time_limit = time_limit
        self._doubt = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, server: TritonServer, model: ModelVersion, time_limit: float) -> TritonEngine:
        """Start polling for the model; a server that is not up yet is not an error.

        Args:
            server: the connection.
            model: the model, whose own configuration describes its tensors.
            time_limit: seconds after which a batch fails.

        Raises:
            ConfigError: if the server's model has other tensors than the configuration here.
        """
        engine = cls(server, model, time_limit)
        await engine._ask()
        if not engine.ready:
            logger.warning("model %s: Triton at %s does not serve it yet", model.name, server.url)
        engine._following = asyncio.create_task(engine._follow())
        return engine

    async def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """See `Engine.run`."""
        if not self.ready:
            raise EngineUnavailable(f"the Triton server does not serve {self._model.name!r} now")
        try:
            result = await self._server.client.infer(
                self._model.name,
                [_sent(spec, inputs[spec.name]) for spec in self._model.config.inputs],
                model_version=str(self._model.version),
                outputs=[InferRequestedOutput(name) for name in outputs],
                client_timeout=self._time_limit,
            )
        except InferenceServerException as error:
            raise self._translated(error) from error
        return {name: result.as_numpy(name) for name in outputs}

    async def close(self) -> None:
        """Stop polling; the server keeps its model."""
        self.ready = False
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    def _translated(self, error: InferenceServerException) -> Exception:
        """The server's error as one that the queue understands; any other is logged, and answered with 500."""
        if error.status() in DOWN:
            self._doubt.set()  # it may be down, or its queue full: poll at once
            return EngineUnavailable("the Triton server does not respond, or is overloaded")
        if error.status() in NOT_SERVED:
            return EngineUnavailable(f"the Triton server refuses {self._model.name!r} now")
        return error

    async def _follow(self) -> None:
        """Poll at intervals, and at once when a batch has failed."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), POLL_SECONDS)
            self._doubt.clear()
            before = self.ready
            try:
                await self._ask()
            except ConfigError as error:
                self.ready = False
                logger.error("%s", error)
                await asyncio.sleep(POLL_TIMEOUT)
            if before and not self.ready:
                self._server.metrics.device_faults.labels("remote", Fault.UNREACHABLE).inc()
            if self.ready != before:
                logger.warning("model %s: Triton is %s", self._model.name, "ready" if self.ready else "not ready")

    async def _ask(self) -> None:
        client, name, version = self._server.client, self._model.name, str(self._model.version)
        try:
            ready = await client.is_model_ready(name, version, client_timeout=POLL_TIMEOUT)
            if ready and not self.ready:
                self._check(await client.get_model_metadata(name, version, client_timeout=POLL_TIMEOUT))
        except InferenceServerException as error:
            late = error.status() == LATE
            if late and self.ready and not self._silent:
                self._silent = True  # a busy server may be late once, and still runs its batches
                return
            ready = False
        self._silent = False
        self.ready = ready

    def _check(self, metadata: Any) -> None:
        theirs = {tensor.name: tensor.datatype for tensor in (*metadata.inputs, *metadata.outputs)}
        config = self._model.config
        ours = {tensor.name: tensor.datatype for tensor in (*config.inputs, *config.outputs)}
        if ours != theirs:
            raise ConfigError(f"{config.name}: config.pbtxt here declares {ours}, the Triton server {theirs}")


def _sent(spec: TensorSpec, array: NDArray[np.generic]) -> InferInput:
    tensor = InferInput(spec.name, list(array.shape), spec.datatype)
    tensor.set_data_from_numpy(np.ascontiguousarray(array))
    return tensor
