"""Checks of a configuration: the fields that an embedded engine refuses, and those that have no effect there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from service.repository._tensors import parameter, tensor_refusals, warmup_refusals

# Triton's name for the way a model is run -> file name inside a version folder.
MODEL_FILES = {"onnxruntime": "model.onnx", "pytorch": "model.pt"}
PLATFORMS = {"onnxruntime_onnx": "onnxruntime", "pytorch_libtorch": "pytorch"}


THREAD_COUNTS = ("intra_op_thread_count", "inter_op_thread_count")
MAX_THREADS = 1024
"""Threads of a pass that a configuration may ask for, as `NIGHTLIFT_CPU_THREADS` may."""

MAX_INSTANCES = 64
"""Most copies of a model on a device, over all its groups: each has its own weights and threads."""


def refusals(proto: Any, folder_name: str) -> Iterator[str]:
    """Reasons why this configuration cannot be served here, of which the first is reported."""
    if proto.name and proto.name != folder_name:
        yield f"name is {proto.name!r}, but the folder is {folder_name!r}; they must be equal"
    for name in ("ensemble_scheduling", "sequence_batching"):
        if proto.HasField(name):
            yield f"{name} needs Triton; the embedded engine runs single, stateless models"
    if proto.backend and proto.backend not in MODEL_FILES:
        yield f"backend {proto.backend!r} is not supported here; allowed are {sorted(MODEL_FILES)}"
    if proto.platform and proto.platform not in PLATFORMS:
        yield f"platform {proto.platform!r} is not supported here; allowed are {sorted(PLATFORMS)}"
    if not proto.backend and not proto.platform:
        yield f"neither platform nor backend is set; allowed platforms are {sorted(PLATFORMS)}"
    if proto.backend and proto.platform and PLATFORMS[proto.platform] != proto.backend:
        yield f"platform {proto.platform!r} and backend {proto.backend!r} contradict each other"
    if proto.model_transaction_policy.decoupled:
        yield "decoupled transactions need Triton; here every request has one answer"
    if proto.batch_input or proto.batch_output or any(tensor.allow_ragged_batch for tensor in proto.input):
        yield "ragged batches are not supported; remove batch_input, batch_output and allow_ragged_batch"
    if any(tensor.HasField("reshape") for tensor in (*proto.input, *proto.output)):
        yield "reshape is not supported; export the graph with the shape that it serves"
    if proto.model_repository_agents.agents:
        yield "model_repository_agents need Triton"
    yield from tensor_refusals(proto)
    if proto.max_batch_size < 0:
        yield f"max_batch_size is {proto.max_batch_size}; it must be 0 or more"
    preferred = list(proto.dynamic_batching.preferred_batch_size)
    if any(size < 1 or size > max(1, proto.max_batch_size) for size in preferred):
        yield f"preferred_batch_size {preferred} must lie between 1 and max_batch_size {proto.max_batch_size}"
    if Path(proto.default_model_filename).name != proto.default_model_filename:
        yield f"default_model_filename {proto.default_model_filename!r} must be a plain file name"
    if any(group.kind == pb.ModelInstanceGroup.KIND_MODEL for group in proto.instance_group):
        yield "instance_group kind KIND_MODEL is not supported; use KIND_CPU, KIND_GPU or KIND_AUTO"
    if sum(max(1, group.count) for group in proto.instance_group) > MAX_INSTANCES:
        yield f"instance_group asks for more than the {MAX_INSTANCES} instances allowed on a device"
    for name in THREAD_COUNTS:
        text = parameter(proto, name)
        if text.isdecimal() and (len(text) > 9 or int(text) > MAX_THREADS):
            yield f"parameter {name} is {text[:32]!r}; at most {MAX_THREADS} threads are allowed"
    for accelerator in proto.optimization.execution_accelerators.gpu_execution_accelerator:
        if accelerator.name != "tensorrt":
            yield f"gpu_execution_accelerator {accelerator.name!r} is not supported here; allowed is 'tensorrt'"
    yield from warmup_refusals(proto)


def ignored(proto: Any) -> Iterator[str]:
    """Fields that are set, are harmless, and do nothing here."""
    batching, optimization = proto.dynamic_batching, proto.optimization
    if batching.priority_levels or batching.priority_queue_policy:
        yield "dynamic_batching priorities have no effect: requests are served in order of arrival"
    if batching.preserve_ordering:
        yield "preserve_ordering has no effect: every request gets its own answer"
    if batching.default_queue_policy.timeout_action == pb.ModelQueuePolicy.DELAY:
        yield "timeout_action DELAY is treated as REJECT"
    if any(group.HasField("rate_limiter") for group in proto.instance_group):
        yield "rate_limiter has no effect"
    if any(
        group.passive or group.profile or group.host_policy or group.secondary_devices
        for group in proto.instance_group
    ):
        yield "passive, profile, host_policy and secondary_devices of instance_group have no effect"
    if proto.response_cache.enable:
        yield "response_cache has no effect: pictures are never stored"
    if proto.HasField("model_metrics") or proto.metric_tags:
        yield "model_metrics and metric_tags have no effect"
    if optimization.HasField("input_pinned_memory") or optimization.HasField("output_pinned_memory"):
        yield "pinned memory flags have no effect: buffers are pinned wherever a GPU is used"
    if optimization.eager_batching or optimization.gather_kernel_buffer_threshold or optimization.priority:
        yield "eager_batching, gather_kernel_buffer_threshold and priority of optimization have no effect"
    if optimization.cuda.busy_wait_events or optimization.cuda.graph_spec or optimization.cuda.output_copy_stream:
        yield "in optimization.cuda only graphs has an effect; the shapes of the warm-up get CUDA graphs"
    if any(tensor.label_filename for tensor in proto.output):
        yield "label_filename has no effect"
    if optimization.execution_accelerators.cpu_execution_accelerator:
        yield "cpu_execution_accelerator has no effect"
    if proto.model_operations.op_library_filename or proto.cc_model_filenames or proto.runtime:
        yield "model_operations, cc_model_filenames and runtime have no effect"
