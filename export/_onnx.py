"""A pixel model as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import onnx
import onnxslim
import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim

from export._affine_model import AffinePixelModel, MakeProxy, PictureOfProxy
from export._compact import store_in_half
from export._fold import fold
from export._pixel_model import PixelModel
from export._shortcut import share_constants, with_shortcut
from service.contract import AFFINE, ENHANCED, IMAGE
from service.limits import MIN_SIDE

FILE = "model.onnx"
OPSET = 18  # read by every ONNX Runtime since 1.14, and so by the Triton servers in use
AXES = ("batch", "height", "width")
MAP_AXES = ("batch", "map_height", "map_width")

# What torch's exporter says about itself and its surroundings on every call.
EXPECTED_WARNINGS = (r"`isinstance\(treespec, LeafSpec\)` is deprecated", r"# The axis name: \w+ will not be used")
CHATTY_LOGGER = "torch.onnx._internal.exporter._registration"  # "torchvision is not installed", four times


def to_onnx(model: PixelModel | AffinePixelModel, facts: Mapping[str, str]) -> bytes:
    """The model as a checked and simplified ONNX graph with free batch, height and width.

    Args:
        model: in `eval` mode, on the CPU.
        facts: written into the file's metadata.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX.
        torch.onnx.OnnxExporterError: the network uses what cannot be exported.
    """
    with _quiet():
        proto = onnxslim.slim(_joined(_parts(model)))
    share_constants(proto.graph)
    fold(proto)
    store_in_half(proto)
    _tidy(proto)
    onnx.helper.set_model_props(proto, dict(facts))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def _parts(model: PixelModel | AffinePixelModel) -> tuple[ModelProto, ...]:
    """The graphs before, of, and after the network; of a map, what it makes of the picture, and itself.

    Exported in one piece, the padded sides would be expressions in the picture's sides, which torch's symbolic
    arithmetic carries through every layer: slow, and wrong where it takes a side for a multiple already. In parts,
    the network's sides are plain multiples.
    """
    # Two pictures: an example batch of one would be taken for a constant.
    batch, rows, columns = Dim("batch"), Dim("rows", min=1), Dim("columns", min=1)
    height, width = Dim("height", min=MIN_SIDE), Dim("width", min=MIN_SIDE)
    image = torch.zeros(2, 4 * MIN_SIDE - 1, 6 * MIN_SIDE - 1, 3, dtype=torch.uint8)
    with torch.no_grad():
        padded = model.before(image)
        raw = model.core()(padded)
    image_axes = {0: batch, 1: height, 2: width}
    padded_axes = {0: batch, 2: model.before.multiple * rows, 3: model.before.multiple * columns}
    free_axes = {0: batch, 2: Dim("padded_height", min=MIN_SIDE), 3: Dim("padded_width", min=MIN_SIDE)}

    def before(module: nn.Module) -> ModelProto:
        return _export(module, {IMAGE: image}, [image_axes], ["padded"])

    def after(module: nn.Module) -> ModelProto:
        return _export(module, {"raw": raw, IMAGE: image}, [free_axes, image_axes], [ENHANCED])

    core = _export(model.core(), {"padded": padded}, [padded_axes], ["raw"])
    if isinstance(model, PixelModel):
        return before(model.before), core, after(model.after)
    limits = model.before.side, model.before.multiple
    return (
        with_shortcut(before(model.before), before(MakeProxy()), *limits),
        core,
        with_shortcut(after(model.picture), after(PictureOfProxy()), *limits),
        _export(model.map, {"raw": raw}, [free_axes], [AFFINE]),
    )


def _export(
    module: nn.Module, inputs: Mapping[str, Tensor], axes: list[dict[int, Any]], outputs: list[str]
) -> ModelProto:
    program = torch.onnx.export(
        module.eval(),
        tuple(inputs.values()),
        dynamo=True,
        dynamic_shapes=tuple(axes),
        input_names=list(inputs),
        output_names=outputs,
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _joined(parts: tuple[ModelProto, ...]) -> ModelProto:
    """One graph from `image` to the outputs of its last parts; values inside a part get the part's name in front."""
    before, network, *after = (
        onnx.compose.add_prefix(part, prefix, rename_inputs=False, rename_outputs=False)
        for part, prefix in zip(parts, ("before_", "network_", "after_", "map_"), strict=False)
    )
    joined = onnx.compose.merge_models(before, network, [("padded", "padded")])
    graph = joined.graph
    del graph.output[:]
    for part in after:
        graph.node.extend(part.graph.node)
        graph.initializer.extend(part.graph.initializer)
        graph.output.extend(part.graph.output)
    return joined


def _tidy(proto: ModelProto) -> None:
    """Take out what describes the machine and the moment of the export, and name the axes."""
    proto.producer_name, proto.producer_version = "nightlift", version("nightlift")
    proto.doc_string = proto.graph.doc_string = ""
    # Each part has brought its own, and tools that look for the one opset of a model refuse two.
    opsets = {opset.domain: opset.version for opset in proto.opset_import}
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, number) for domain, number in opsets.items())
    del proto.graph.value_info[:]
    for part in (proto.graph, *proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in (*proto.graph.input, *proto.graph.output):
        # The output's sides are those of the input; the exporter only knows them as an expression of the padding.
        for axis, name in zip(
            tensor.type.tensor_type.shape.dim, MAP_AXES if tensor.name == AFFINE else AXES, strict=False
        ):
            axis.dim_param = name


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger(CHATTY_LOGGER)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)
