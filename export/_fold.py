"""Rewrites operators of an exported graph that can be computed ahead of time, or in a form that runtimes fuse.

Trained graphs contain operators that only training needs. When serving, every pass over a picture costs memory
traffic, and on a CPU ExdNet spent more time in such passes than in convolutions. Each rewriting below gives the same
function up to rounding, in plain ONNX of the same opset. Weights change only where a convolution absorbs another
operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

Floats = NDArray[np.floating]


def fold(proto: onnx.ModelProto) -> Counter[str]:
    """Rewrite a graph in place; returns how often each rewriting was applied, by name.

    Args:
        proto: with constants as initializers, as `onnxslim` leaves them; nodes in topological order.
    """
    graph = _Graph(proto.graph)
    rewritings: tuple[Callable[[_Graph, NodeProto], bool], ...] = (
        _scale_into_convolution,
        _identity_into_convolution,
        _pointwise_into_pointwise,
        _gelu_in_the_form_that_runtimes_fuse,
    )
    made: Counter[str] = Counter()
    for rewrite in rewritings:
        for node in list(graph.nodes):
            if graph.holds(node) and rewrite(graph, node):
                made[rewrite.__name__.strip("_")] += 1
    graph.write()
    return made


class _Graph:
    """A graph being rewritten: producers and consumers of values, and constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self.nodes = list(graph.node)
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._outputs = {output.name for output in graph.output}

    def holds(self, node: NodeProto) -> bool:
        return any(node is other for other in self.nodes)

    def constant(self, name: str) -> Floats | None:
        """The values of a float constant, or None."""
        tensor = self._constants.get(name)
        return None if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT else numpy_helper.to_array(tensor)

    def number(self, name: str) -> float | None:
        """The value of a constant with one element, or None."""
        values = self.constant(name)
        return None if values is None or values.size != 1 else float(values.item())

    def add_constant(self, name: str, values: Floats) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(values, np.float32), name)
        return name

    def maker(self, name: str, operator: str) -> NodeProto | None:
        """The node that makes a value, if it is of this operator and its result goes nowhere else."""
        for node in self.nodes:
            if name in node.output:
                return node if node.op_type == operator and len(list(self.takers(name))) == 1 else None
        return None

    def takers(self, name: str) -> Iterator[NodeProto | None]:
        """The nodes that take a value, once for each input; None if it leaves the graph."""
        yield from (node for node in self.nodes for taken in node.input if taken == name)
        if name in self._outputs:
            yield None

    def replace(self, node: NodeProto, by: list[NodeProto]) -> None:
        index = next(index for index, other in enumerate(self.nodes) if other is node)
        self.nodes[index : index + 1] = by

    def remove(self, node: NodeProto) -> None:
        self.nodes = [other for other in self.nodes if other is not node]

    def write(self) -> None:
        used = {name for node in self.nodes for name in node.input}
        constants = [tensor for name, tensor in self._constants.items() if name in used]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self.nodes)
        self._graph.initializer.extend(constants)


def _scale_into_convolution(graph: _Graph, node: NodeProto) -> bool:
    """conv(x) * c, a constant for each channel -> a convolution with scaled weights."""
    found = _with_constant(graph, node, "Mul", "Conv")
    if found is None:
        return False
    convolution, scale = found
    weight, bias = _weights(graph, convolution)
    channels = len(weight)
    if scale.size not in (1, channels) or (scale.size > 1 and scale.shape[-3:] != (channels, 1, 1)):
        return False
    factors = np.broadcast_to(scale.reshape(-1), channels)
    _set_weights(graph, convolution, weight * factors[:, None, None, None], bias * factors)
    convolution.output[0] = node.output[0]
    _move(graph, convolution, node)
    return True


def _identity_into_convolution(graph: _Graph, node: NodeProto) -> bool:
    """x + conv(x) -> a convolution with one more at the centre of its kernel."""
    if node.op_type != "Add":
        return False
    for name, other in (node.input, reversed(node.input)):
        convolution = graph.maker(name, "Conv")
        if convolution is None or convolution.input[0] != other:
            continue
        weight, bias = _weights(graph, convolution)
        groups, (outputs, inputs, height, width) = _attribute(convolution, "group", 1), weight.shape
        padding = [height // 2, width // 2] * 2
        if (
            outputs != groups * inputs
            or height % 2 == 0
            or width % 2 == 0
            or _attribute(convolution, "pads", [0] * 4) != padding
            or _attribute(convolution, "strides", [1, 1]) != [1, 1]
            or _attribute(convolution, "dilations", [1, 1]) != [1, 1]
        ):
            continue
        weight = weight.copy()
        channels = np.arange(outputs)
        weight[channels, channels % inputs, height // 2, width // 2] += 1
        _set_weights(graph, convolution, weight, bias)
        convolution.output[0] = node.output[0]
        _move(graph, convolution, node)
        return True
    return False


def _pointwise_into_pointwise(graph: _Graph, node: NodeProto) -> bool:
    """One 1x1 convolution after another -> one, where that is not more work."""
    if not _is_pointwise(graph, node):
        return False
    first = graph.maker(node.input[0], "Conv")
    if first is None or not _is_pointwise(graph, first):
        return False
    (inner, inner_bias), (outer, outer_bias) = _weights(graph, first), _weights(graph, node)
    one, two = inner[:, :, 0, 0].astype(np.float64), outer[:, :, 0, 0].astype(np.float64)
    if two.shape[0] * one.shape[1] > two.size + one.size:
        return False
    _set_weights(graph, node, (two @ one)[:, :, None, None], two @ inner_bias + outer_bias)
    node.input[0] = first.input[0]
    graph.remove(first)
    return True


def _gelu_in_the_form_that_runtimes_fuse(graph: _Graph, node: NodeProto) -> bool:
    """x * (0.5 * (1 + erf(...))) -> (x * (1 + erf(...))) * 0.5, which ONNX Runtime computes as one operator."""
    if node.op_type != "Mul":
        return False
    for name, x in (node.input, reversed(node.input)):
        half = graph.maker(name, "Mul")
        numbers = [] if half is None else [graph.number(taken) for taken in half.input]
        if half is None or 0.5 not in numbers:
            continue
        constant = numbers.index(0.5)
        one_more = graph.maker(half.input[1 - constant], "Add")
        if one_more is None or not any(graph.maker(taken, "Erf") for taken in one_more.input):
            continue
        whole = f"{node.output[0]}_doubled"
        product = helper.make_node("Mul", [x, half.input[1 - constant]], [whole], f"{node.name}_product")
        result = helper.make_node("Mul", [whole, half.input[constant]], [node.output[0]], node.name)
        graph.remove(half)
        graph.replace(node, [product, result])
        return True
    return False


def _with_constant(graph: _Graph, node: NodeProto, operator: str, maker: str) -> tuple[NodeProto, Floats] | None:
    """Of a node of this operator: the node that makes one input, and the constant that is the other."""
    if node.op_type == operator:
        for name, other in (node.input, reversed(node.input)):
            made_by, constant = graph.maker(name, maker), graph.constant(other)
            if made_by is not None and constant is not None and graph.constant(made_by.input[1]) is not None:
                return made_by, constant
    return None


def _is_pointwise(graph: _Graph, node: NodeProto) -> bool:
    if node.op_type != "Conv" or (weight := graph.constant(node.input[1])) is None:
        return False
    return (
        weight.shape[2:] == (1, 1)
        and _attribute(node, "group", 1) == 1
        and _attribute(node, "strides", [1, 1]) == [1, 1]
        and not any(_attribute(node, "pads", [0] * 4))
    )


def _weights(graph: _Graph, convolution: NodeProto) -> tuple[Floats, Floats]:
    weight = graph.constant(convolution.input[1])
    assert weight is not None, "looked up before"
    bias = graph.constant(convolution.input[2]) if len(convolution.input) > 2 else None
    return weight, np.zeros(len(weight), np.float32) if bias is None else bias


def _set_weights(graph: _Graph, convolution: NodeProto, weight: Floats, bias: Floats) -> None:
    """Under new names: the same weights may serve several convolutions."""
    name = convolution.output[0]
    constants = [graph.add_constant(f"{name}_weight", weight), graph.add_constant(f"{name}_bias", bias)]
    convolution.input[1:] = constants


def _move(graph: _Graph, convolution: NodeProto, node: NodeProto) -> None:
    """Put a convolution instead of the node that it has absorbed."""
    graph.remove(convolution)
    graph.replace(node, [convolution])


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default
