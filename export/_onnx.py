"""A pixel model as an ONNX file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import onnx
import onnxslim
import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim

from export._compact import store_in_half
from export._fold import fold
from export._graphs import ExportedGraph
from export._map_model import ChannelsFirst, EvidencePixelModel, MapModel, Unwished
from export._pixel_model import PixelModel
from export._restorer_model import RestorerModel
from service.contract import (
    AFFINE,
    ANSWER,
    BRIGHTNESS,
    CORRECTION,
    ENHANCED,
    EVIDENCE,
    EXPOSURE,
    IMAGE,
    PROXY,
    RESTORER_MULTIPLE,
)
from service.limits import MIN_SIDE
from training.networks import STEP

FILE = "model.onnx"
OPSET = 18  # read by every ONNX Runtime since 1.14, and so by the Triton servers in use
AXES = ("batch", "height", "width")
MAP_AXES = ("batch", "map_height", "map_width")
AXES_OF = {
    **dict.fromkeys((IMAGE, ENHANCED, ANSWER, CORRECTION), AXES),
    **dict.fromkeys((PROXY, EVIDENCE, AFFINE), MAP_AXES),
}
"""The free axes of each input and output; the others are free in the batch alone."""

BATCH = Dim("batch")

# What torch's exporter says about itself and its surroundings on every call.
EXPECTED_WARNINGS = (r"`isinstance\(treespec, LeafSpec\)` is deprecated", r"# The axis name: [\w*]+ will not be used")
CHATTY_LOGGER = "torch.onnx._internal.exporter._registration"  # "torchvision is not installed", four times


def to_onnx(model: ExportedGraph, facts: Mapping[str, str], core: ModelProto | None = None) -> bytes:
    """The model as a checked and simplified ONNX graph with free batch, height and width.

    Args:
        model: in `eval` mode, on the CPU.
        facts: written into the file's metadata.
        core: `export_core` of the network, where it is there already.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX.
        torch.onnx.OnnxExporterError: the network uses what cannot be exported.
    """
    with _quiet():
        match model:
            case EvidencePixelModel():
                joined = _picture_graph(model, core or export_core(model))
            case MapModel():
                joined = _map_graph(model, core or export_core(model))
            case RestorerModel():
                joined = _restorer_graph(model)
            case _:
                joined = _joined(_parts(model))
    proto = onnxslim.slim(joined)
    fold(proto)
    store_in_half(proto)
    _tidy(proto)
    onnx.helper.set_model_props(proto, dict(facts))
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def export_core(model: EvidencePixelModel | MapModel) -> ModelProto:
    """The network between proxy and map, which takes most of the export's time, and which both graphs contain.

    Its inputs are `padded`, `hidden` and `exposure`, its outputs `raw` and `brightness`.
    """
    proxy, hidden = (torch.rand(2, 3, 2 * MIN_SIDE + 8, 3 * MIN_SIDE + 8) for _ in range(2))
    sides = {0: BATCH, 2: STEP * Dim("rows", min=1), 3: STEP * Dim("columns", min=1)}
    inputs = {"padded": proxy, "hidden": hidden, EXPOSURE: torch.zeros(2, 1)}
    with _quiet():
        return _export(model.core(), inputs, [sides, sides, {0: BATCH}], ["raw", BRIGHTNESS])


def _picture_graph(model: EvidencePixelModel, core: ModelProto) -> ModelProto:
    """From a picture to what is made of it, and to the map."""
    image = torch.zeros(2, 4 * MIN_SIDE - 1, 6 * MIN_SIDE - 1, 3, dtype=torch.uint8)
    image_axes = {0: BATCH, 1: Dim("height", min=MIN_SIDE), 2: Dim("width", min=MIN_SIDE)}
    before = _export(Unwished(model.before), {IMAGE: image}, [image_axes], ["padded", "hidden", EXPOSURE])
    raw, map_axes = _example_map(model)
    picture = _export(model.picture, {"raw": raw, IMAGE: image}, [map_axes, image_axes], [ENHANCED])
    return _joined((before, core, picture, _export(model.map, {"raw": raw}, [map_axes], [AFFINE])))


def _map_graph(model: MapModel, core: ModelProto) -> ModelProto:
    """From what guided rendering sends to the map, and to the guess."""
    # Two tensors, for of one that is given twice the exporter makes one input.
    proxy, evidence = (torch.zeros(2, 2 * MIN_SIDE, 3 * MIN_SIDE, 3) for _ in range(2))
    axes = {0: BATCH, 1: Dim("map_height", min=MIN_SIDE), 2: Dim("map_width", min=MIN_SIDE)}
    before = _export(ChannelsFirst(), {PROXY: proxy, EVIDENCE: evidence}, [axes, axes], ["padded", "hidden"])
    raw, map_axes = _example_map(model)
    return _joined((before, core, _export(model.map, {"raw": raw}, [map_axes], [AFFINE])), model.outputs)


def _restorer_graph(model: RestorerModel) -> ModelProto:
    """From an answer and its photo to the correction: in one piece, for the sides are multiples already."""
    # Two tensors, for of one that is given twice the exporter makes one input.
    answer, image = (torch.zeros(2, 4 * MIN_SIDE, 6 * MIN_SIDE, 3, dtype=torch.uint8) for _ in range(2))
    rows, columns = RESTORER_MULTIPLE * Dim("rows", min=1), RESTORER_MULTIPLE * Dim("columns", min=1)
    axes = {0: BATCH, 1: rows, 2: columns}
    return _export(model, {ANSWER: answer, IMAGE: image}, [axes, axes], [CORRECTION])


def _example_map(model: EvidencePixelModel | MapModel) -> tuple[Tensor, dict[int, Any]]:
    """A map [N, K, h, w], and its free axes."""
    free = {0: BATCH, 2: Dim("padded_height", min=MIN_SIDE), 3: Dim("padded_width", min=MIN_SIDE)}
    return torch.zeros(2, model.coefficients, MIN_SIDE, 3 * MIN_SIDE), free


def _parts(model: PixelModel) -> tuple[ModelProto, ...]:
    """The graphs before, of, and after the network.

    Exported in one piece, the padded sides would be expressions of the picture's sides, which torch's symbolic
    arithmetic carries through every layer: slow, and wrong if it assumes that a side is already a multiple. In parts,
    the network's sides are plain multiples.
    """
    rows, columns = Dim("rows", min=1), Dim("columns", min=1)
    height, width = Dim("height", min=MIN_SIDE), Dim("width", min=MIN_SIDE)
    # Two pictures: the exporter would treat a batch of one as a constant.
    image = torch.zeros(2, 4 * MIN_SIDE - 1, 6 * MIN_SIDE - 1, 3, dtype=torch.uint8)
    with torch.no_grad():
        padded = model.before(image)
        raw = model.core()(padded)
    image_axes = {0: BATCH, 1: height, 2: width}
    padded_axes = {0: BATCH, 2: model.before.multiple * rows, 3: model.before.multiple * columns}
    free_axes = {0: BATCH, 2: Dim("padded_height", min=MIN_SIDE), 3: Dim("padded_width", min=MIN_SIDE)}
    return (
        _export(model.before, {IMAGE: image}, [image_axes], ["padded"]),
        _export(model.core(), {"padded": padded}, [padded_axes], ["raw"]),
        _export(model.after, {"raw": raw, IMAGE: image}, [free_axes, image_axes], [ENHANCED]),
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


def _joined(parts: tuple[ModelProto, ...], outputs: Sequence[str] = ()) -> ModelProto:
    """One graph from the inputs of its first part to the outputs of its last ones.

    What the first part gives, the second takes by the same name. Values inside a part get the part's name in front.

    Args:
        parts: at least three.
        outputs: those that the graph is to have, of the second part's too; none: all of the last parts'.
    """
    before, network, *after = (
        onnx.compose.add_prefix(part, prefix, rename_inputs=False, rename_outputs=False)
        for part, prefix in zip(parts, ("before_", "network_", "after_", "map_"), strict=False)
    )
    joined = onnx.compose.merge_models(before, network, [(one.name, one.name) for one in before.graph.output])
    graph = joined.graph
    available = {output.name: output for part in (network, *after) for output in part.graph.output}
    wanted = outputs or [output.name for part in after for output in part.graph.output]
    del graph.output[:]
    for part in after:
        graph.node.extend(part.graph.node)
        graph.initializer.extend(part.graph.initializer)
    graph.output.extend(available[name] for name in wanted)
    return joined


def _tidy(proto: ModelProto) -> None:
    """Remove metadata about the machine and time of the export, and name the axes."""
    proto.producer_name, proto.producer_version = "nightlift", version("nightlift")
    proto.doc_string = proto.graph.doc_string = ""
    # Each part has its own opset entry, and tools that expect one refuse two.
    opsets = {opset.domain: opset.version for opset in proto.opset_import}
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, number) for domain, number in opsets.items())
    del proto.graph.value_info[:]
    for part in (proto.graph, *proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in (*proto.graph.input, *proto.graph.output):
        # The output's sides are those of the input; the exporter only knows them as an expression of the padding.
        for axis, name in zip(tensor.type.tensor_type.shape.dim, AXES_OF.get(tensor.name, AXES[:1]), strict=False):
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
