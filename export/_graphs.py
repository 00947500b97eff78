"""The graphs exported from a network: one, or two with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from torch import nn

from export._map_model import EvidencePixelModel, MapModel
from export._pixel_model import PixelModel
from export._restorer_model import RestorerModel
from training.networks import NetworkSpec

ExportedGraph = PixelModel | EvidencePixelModel | MapModel | RestorerModel
"""A network under one of the contracts."""

NAMES: Mapping[str, str] = {"restorer": "nightlift_restorer"}
"""Network -> the name of its model, where that is another."""

SUFFIX: Mapping[str, str] = {"onnx": "", "torchscript": "_torchscript"}
"""Format -> what its folder's name has after the model's."""


class Graph(StrEnum):
    """What a graph is for."""

    PICTURES = "pictures"
    """It follows the pixel contract: `image` to `enhanced`."""

    MAPS = "maps"
    """It makes the colour maps of guided rendering: `proxy`, `evidence` and `exposure` to `affine`."""

    RESTORER = "restorer"
    """It removes noise from another model's results: `answer` and `image` to `correction`."""


def graphs_of(spec: NetworkSpec) -> tuple[Graph, ...]:
    """The graphs of a network; that of maps comes first, since the other one depends on it when served."""
    if spec.takes_answer:
        return (Graph.RESTORER,)
    return (Graph.MAPS, Graph.PICTURES) if spec.map_layout else (Graph.PICTURES,)


def model_name(name: str, graph: Graph, format: str) -> str:
    """The folder of a graph in a format, `onnx` or `torchscript`, of the model `name`."""
    return f"{name}{'_map' if graph is Graph.MAPS else ''}{SUFFIX[format]}"


def build_graph(network: nn.Module, spec: NetworkSpec, graph: Graph) -> ExportedGraph:
    """A network as one of its graphs, in `eval` mode."""
    match graph:
        case Graph.MAPS:
            return MapModel(network, spec).eval()
        case Graph.RESTORER:
            return RestorerModel(network).eval()
        case Graph.PICTURES:
            return (EvidencePixelModel if spec.map_layout else PixelModel)(network, spec).eval()
