"""A shortcut in a graph for pictures that are already proxies.

Guided rendering sends proxies, which need not be shrunk and whose map need not be enlarged. An ONNX graph computes
all of its outputs even if some are not requested, and without the shortcut that costs a fifth of the pass. The choice
is an `If` node, whose branches can read the values around it.
"""

from __future__ import annotations

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, parser

from service.contract import IMAGE

CONDITION = "is_proxy"

# A picture whose sides are multiples, and not longer than the proxy's long side, is its own proxy.
IS_PROXY = """
agraph (uint8[batch, height, width, 3] {image}) => (bool {condition})
<int64 longest = {{{side}}}, int64 multiple = {{{multiple}}}, int64 none = {{0}}>
{{
    sides = Shape<start = 1, end = 3>({image})
    long = ReduceMax<keepdims = 0>(sides)
    short_enough = LessOrEqual(long, longest)
    rests = Mod(sides, multiple)
    rest = ReduceMax<keepdims = 0>(rests)
    even = Equal(rest, none)
    {condition} = And(short_enough, even)
}}
"""


def with_shortcut(part: ModelProto, shortcut: ModelProto, side: int, multiple: int) -> ModelProto:
    """A model that runs `shortcut` where `image` is its own proxy, and `part` elsewhere.

    Args:
        part: one output; `image` is among its inputs. Gives its opset and the shape of its result.
        shortcut: the same inputs and output, and the same answer to proxies.
        side: longest side of a proxy, in pixels.
        multiple: sides of a proxy are multiples of this.
    """
    condition = parser.parse_graph(IS_PROXY.format(image=IMAGE, condition=CONDITION, side=side, multiple=multiple))
    (output,) = part.graph.output
    choice = helper.make_node(
        "If",
        [CONDITION],
        [output.name],
        "choice",
        then_branch=_branch(shortcut, "shortcut"),
        else_branch=_branch(part, "whole"),
    )
    graph = helper.make_graph(
        [*condition.node, choice],
        part.graph.name,
        list(part.graph.input),
        [output],
        list(condition.initializer),
    )
    return helper.make_model(graph, opset_imports=list(part.opset_import), ir_version=part.ir_version)


def captured(node: NodeProto) -> set[str]:
    """The names that a node's branches take from around it, and some that they make themselves."""
    branches = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {name for branch in branches for inner in branch.node for name in (*inner.input, *captured(inner))}


def share_constants(graph: GraphProto) -> None:
    """Remove from branches constants that the outer graph has under the same name, which ONNX forbids."""
    around = {constant.name for constant in graph.initializer}
    for branch in (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")):
        own = [constant for constant in branch.initializer if constant.name not in around]
        del branch.initializer[:]
        branch.initializer.extend(own)


def _branch(model: ModelProto, name: str) -> GraphProto:
    """The graph of a model, which takes its inputs by name from around it."""
    branch = onnx.compose.add_prefix(model, f"{name}_", rename_inputs=False).graph
    branch.name = name
    del branch.input[:]
    del branch.value_info[:]
    return branch
