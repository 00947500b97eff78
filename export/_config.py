"""config.pbtxt: what Triton and Nightlift read before they load a model, written with Triton's own protobuf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export import _onnx, _torchscript
from export._graphs import Graph, graphs_of, model_name
from service.contract import (
    AFFINE,
    BRIGHTNESS,
    ENHANCED,
    EVIDENCE,
    EVIDENCE_CHANNELS,
    EXPOSURE,
    IMAGE,
    PROXY,
)
from service.limits import MIN_SIDE
from training.networks import NetworkSpec

PLATFORMS = {"onnx": "onnxruntime_onnx", "torchscript": "pytorch_libtorch"}
"""Format -> Triton's platform. In TorchScript Triton finds the input by the name of `forward`'s argument, and a
single output by its index, so both formats keep the contract's names."""
FILES = {"onnx": _onnx.FILE, "torchscript": _torchscript.FILE}
"""Format -> name of the model file inside a version folder."""
FORMATS = tuple(FILES)

MAX_BATCH_SIZE = 16
MAX_QUEUE_SIZE = 256  # Triton's own default is a queue without end
PREFIX = "nightlift."

Tensors = Mapping[str, tuple[int, tuple[int, ...]]]
"""Name -> Triton's number of a datatype, and the sides behind the batch axis; -1 is any number."""


def write_config(
    name: str,
    format: str,
    spec: NetworkSpec,
    graph: Graph = Graph.PICTURES,
    *,
    scored_as: str = "",
    max_pixels: int,
    tolerance: int,
    licence: str,
    scores: Mapping[str, Any],
) -> str:
    """The text of a model's config.pbtxt.

    Args:
        name: the model's folder.
        format: `onnx` or `torchscript`.
        spec: the network inside.
        graph: which of its graphs.
        scored_as: the model's name without what formats and graphs add to it.
        max_pixels: largest picture, in pixels, that is enhanced whole unless the caller asks.
        tolerance: largest measured difference to torch, in 1/255.
        licence: one line on what the weights may be used for.
        scores: measured scores for listings; may be empty.
    """
    config = pb.ModelConfig(name=name, platform=PLATFORMS[format], max_batch_size=MAX_BATCH_SIZE)
    for tensors, declared in zip((config.input, config.output), _tensors(spec, graph), strict=True):
        for tensor, (datatype, dims) in declared.items():
            tensors.add(name=tensor, data_type=datatype, dims=dims)
    config.version_policy.latest.num_versions = 1
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_AUTO, count=1)
    policy = config.dynamic_batching.default_queue_policy
    policy.timeout_action = pb.ModelQueuePolicy.REJECT
    policy.max_queue_size = MAX_QUEUE_SIZE
    for side, other in ((3, 2), (2, 3)):
        _add_warmup(config, *_proxy(spec.working_side, side, other))
    parameters: dict[str, object] = {
        "family": spec.name,
        "spatial_scope": spec.spatial_scope,
        "halo": spec.halo,
        "multiple": spec.multiple,
        "working_side": spec.working_side,
        "smallest_side": MIN_SIDE,
        "max_pixels": max_pixels,
        "tolerance": tolerance,
        "licence": licence,
        **({"scores": json.dumps(dict(scores))} if scores else {}),
    }
    if graph is Graph.MAPS:
        parameters |= {"takes_pictures": "false", "same_size": f"{PROXY}, {EVIDENCE}"}
    elif Graph.MAPS in graphs_of(spec):
        parameters["map_model"] = model_name(scored_as, Graph.MAPS, format)
    for key, value in parameters.items():
        config.parameters[PREFIX + key].string_value = str(value)
    return text_format.MessageToString(config, as_utf8=True)


def _tensors(spec: NetworkSpec, graph: Graph) -> tuple[Tensors, Tensors]:
    """Inputs and outputs of a graph."""
    affine: Tensors = {AFFINE: (pb.TYPE_FP32, (-1, -1, spec.map_layout))} if spec.map_layout else {}
    if graph is Graph.PICTURES:
        pixels = (pb.TYPE_UINT8, (-1, -1, 3))
        return {IMAGE: pixels}, {ENHANCED: pixels, **affine}
    number = (pb.TYPE_FP32, (1,))
    inputs = {PROXY: (pb.TYPE_FP32, (-1, -1, 3)), EVIDENCE: (pb.TYPE_FP32, (-1, -1, EVIDENCE_CHANNELS))}
    return {**inputs, EXPOSURE: number}, {**affine, BRIGHTNESS: number}


def _proxy(working_side: int, width: int, height: int) -> tuple[int, int]:
    """(height, width) of a picture of this aspect ratio whose long side is `working_side`, in multiples of 8."""
    scale = working_side / max(width, height)
    return round(height * scale / 8) * 8, round(width * scale / 8) * 8


def _add_warmup(config: Any, height: int, width: int) -> None:
    sample = config.model_warmup.add(name=f"{height}x{width}", batch_size=1, count=1)
    for tensor in config.input:
        dims = [height, width, *tensor.dims[2:]] if len(tensor.dims) == 3 else list(tensor.dims)
        sample.inputs[tensor.name].CopyFrom(
            pb.ModelWarmup.Input(data_type=tensor.data_type, dims=dims, random_data=True)
        )
