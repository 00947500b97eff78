"""Metadata of the server and its models, as the protocol's own messages."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from tritonclient.grpc import model_config_pb2, service_pb2

from service.inference import LoadedModel, ModelState, ModelStatus, Statistics
from service.repository import ModelConfig, TensorSpec

EXTENSIONS = ("binary_tensor_data", "model_configuration", "schedule_policy", "statistics")
MODEL_CONTROL = "model_repository"


def server_metadata(model_control: bool) -> service_pb2.ServerMetadataResponse:
    """Name, version and the extensions that this server has; that of model control only where it is allowed."""
    extensions = sorted((*EXTENSIONS, MODEL_CONTROL)) if model_control else EXTENSIONS
    return service_pb2.ServerMetadataResponse(name="nightlift", version=version("nightlift"), extensions=extensions)


def model_metadata(model: LoadedModel, versions: Iterable[int]) -> service_pb2.ModelMetadataResponse:
    """A model's tensors, with the batch axis, and the versions that are loaded."""
    config = model.config

    def tensors(specs: Iterable[TensorSpec]) -> list[service_pb2.ModelMetadataResponse.TensorMetadata]:
        return [
            service_pb2.ModelMetadataResponse.TensorMetadata(
                name=spec.name, datatype=spec.datatype, shape=config.wire_shape(spec)
            )
            for spec in specs
        ]

    return service_pb2.ModelMetadataResponse(
        name=model.name,
        versions=[str(number) for number in versions],
        platform=config.platform,
        inputs=tensors(config.inputs),
        outputs=tensors(config.outputs),
    )


def model_config(config: ModelConfig) -> model_config_pb2.ModelConfig:
    """The configuration as it was read, with the names that Triton fills in."""
    message = model_config_pb2.ModelConfig()
    message.CopyFrom(config.proto)
    message.name, message.backend, message.platform = config.name, config.backend, config.platform
    message.default_model_filename = config.filename
    return message


def model_statistics(model: LoadedModel) -> service_pb2.ModelStatistics:
    """Counters and times since the model was loaded.

    Joining and splitting batches is not timed by itself: `compute_input` and `compute_output` stay 0 ns.
    """
    counted: Statistics = model.queue.statistics

    def duration(count: int, nanoseconds: int = 0) -> service_pb2.StatisticDuration:
        return service_pb2.StatisticDuration(count=count, ns=nanoseconds)

    return service_pb2.ModelStatistics(
        name=model.name,
        version=str(model.version),
        last_inference=counted.last_inference_ms,
        inference_count=counted.pictures,
        execution_count=counted.executions,
        inference_stats=service_pb2.InferStatistics(
            success=duration(counted.successes, counted.success_ns),
            fail=duration(counted.failures, counted.failure_ns),
            queue=duration(counted.successes, counted.queue_ns),
            compute_input=duration(counted.successes),
            compute_infer=duration(counted.successes, counted.infer_ns),
            compute_output=duration(counted.successes),
            cache_hit=duration(0),
            cache_miss=duration(0),
        ),
        batch_stats=[
            service_pb2.InferBatchStatistics(
                batch_size=size,
                compute_input=duration(runs),
                compute_infer=duration(runs, nanoseconds),
                compute_output=duration(runs),
            )
            for size, (runs, nanoseconds) in sorted(counted.by_batch_size.items())
        ],
    )


def repository_index(lines: Iterable[ModelStatus], only_ready: bool) -> service_pb2.RepositoryIndexResponse:
    """Every model of the repository with its state, or only those that are ready."""
    return service_pb2.RepositoryIndexResponse(
        models=[
            service_pb2.RepositoryIndexResponse.ModelIndex(
                name=line.name,
                version=str(line.version) if line.version else "",
                state=str(line.state),
                reason=line.reason,
            )
            for line in lines
            if line.state is ModelState.READY or not only_ready
        ]
    )
