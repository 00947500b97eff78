"""Each rewriting of an exported graph: made where it may be, the same function, and left alone where it may not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export._fold import fold

CHANNELS = 4
RANDOM = np.random.default_rng(0)


def conv(  # type: ignore[no-untyped-def]
    name: str,
    source: str,
    inputs: int = CHANNELS,
    outputs: int = CHANNELS,
    side: int = 1,
    groups: int = 1,
    bias: bool = True,
):
    """A convolution that keeps the size, and its constants."""
    weight = RANDOM.normal(size=(outputs, inputs // groups, side, side)).astype(np.float32)
    constants = {f"{name}_w": weight}
    if bias:
        constants[f"{name}_b"] = RANDOM.normal(size=outputs).astype(np.float32)
    node = helper.make_node("Conv", [source, *constants], [name], name, group=groups, pads=[side // 2] * 4)
    return [node], constants


def gelu(name: str, source: str):  # type: ignore[no-untyped-def]
    """As torch's exporter writes it."""
    constants = {f"{name}_{key}": np.float32(value) for key, value in (("r", 2**0.5), ("o", 1.0), ("h", 0.5))}
    root, one, half = constants
    nodes = [
        helper.make_node("Div", [source, root], [f"{name}_1"]),
        helper.make_node("Erf", [f"{name}_1"], [f"{name}_2"]),
        helper.make_node("Add", [f"{name}_2", one], [f"{name}_3"]),
        helper.make_node("Mul", [half, f"{name}_3"], [f"{name}_4"]),
        helper.make_node("Mul", [source, f"{name}_4"], [name]),
    ]
    return nodes, constants


def binary(operator: str, name: str, one: str, other: str | NDArray[np.float32]):  # type: ignore[no-untyped-def]
    """Mul or Add, with a value or a constant."""
    if isinstance(other, str):
        return [helper.make_node(operator, [one, other], [name])], {}
    return [helper.make_node(operator, [one, f"{name}_c"], [name])], {f"{name}_c": other}


def model(*parts, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:  # type: ignore[no-untyped-def]
    """A graph from `x`, float32 [n, 4, h, w]."""
    constants = {name: value for _, held in parts for name, value in held.items()}
    graph = helper.make_graph(
        [node for nodes, _ in parts for node in nodes],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, "h", "w"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", "h", "w"]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(proto: onnx.ModelProto) -> list[NDArray[np.float32]]:
    """What a graph makes of a fixed input."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    source = np.random.default_rng(1).normal(size=(2, CHANNELS, 9, 11)).astype(np.float32)
    return list(session.run(None, {"x": source}))


def folded(proto: onnx.ModelProto) -> tuple[Counter[str], onnx.ModelProto]:
    """The rewritings made, and the graph after them, which computes the same as before."""
    before = run(proto)
    made = fold(proto)
    onnx.checker.check_model(proto, full_check=True)
    for one, other in zip(run(proto), before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    return made, proto


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


SCALE = RANDOM.normal(size=(1, CHANNELS, 1, 1)).astype(np.float32)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("scale", [SCALE, np.full((1, 1, 1, 1), 3, np.float32)], ids=["by channel", "by one number"])
def test_a_scale_goes_into_its_convolution(bias: bool, scale: NDArray[np.float32]) -> None:
    made, proto = folded(model(conv("c", "x", side=3, bias=bias), binary("Mul", "y", "c", scale)))
    assert made == {"scale_into_convolution": 1}
    assert operators(proto) == ["Conv"]


@pytest.mark.parametrize(("side", "groups"), [(3, CHANNELS), (5, CHANNELS), (3, 1), (3, 2), (1, 1)])
def test_a_residual_of_one_convolution_goes_into_its_centre(side: int, groups: int) -> None:
    made, proto = folded(model(conv("c", "x", side=side, groups=groups), binary("Add", "y", "x", "c")))
    assert made == {"identity_into_convolution": 1}
    assert operators(proto) == ["Conv"]


def test_pointwise_convolutions_become_one() -> None:
    made, proto = folded(model(conv("a", "x"), conv("b", "a"), conv("y", "b", outputs=9)))
    assert made == {"pointwise_into_pointwise": 2}
    assert [tuple(tensor.dims) for tensor in proto.graph.initializer] == [(9, CHANNELS, 1, 1), (9,)]


def test_gelu_is_written_as_runtimes_know_it(tmp_path: Path) -> None:
    made, proto = folded(model(gelu("y", "x")))
    assert made == {"gelu_in_the_form_that_runtimes_fuse": 1}
    file = tmp_path / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(file)
    onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert operators(onnx.load(file)) == ["Gelu"]


def test_a_whole_block_is_folded_and_then_left_alone() -> None:
    block = (
        *(conv("p", "x", side=3, groups=CHANNELS), binary("Add", "f", "x", "p")),
        *(conv("n", "f"), conv("i", "n"), gelu("g", "i"), conv("o", "g"), binary("Mul", "s", "o", SCALE)),
        binary("Add", "y", "f", "s"),
    )
    made, proto = folded(model(*block))
    assert made == {
        "identity_into_convolution": 1,
        "pointwise_into_pointwise": 1,
        "gelu_in_the_form_that_runtimes_fuse": 1,
        "scale_into_convolution": 1,
    }
    assert folded(proto)[0] == {}


LEFT_ALONE = {
    "what is an output too": (conv("c", "x"), binary("Mul", "y", "c", SCALE)),
    "a scale by place": (conv("c", "x"), binary("Mul", "y", "c", np.ones((1, 1, 9, 11), np.float32))),
    "the sum of different values": (conv("c", "x", side=3), conv("y", "c", side=3), binary("Add", "z", "y", "x")),
    "a bottleneck, cheaper as it is": (conv("c", "x", outputs=1), conv("y", "c", inputs=1)),
    "an activation between": (conv("c", "x"), gelu("d", "c"), conv("y", "d", side=3)),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_left_alone(name: str) -> None:
    parts = LEFT_ALONE[name]
    last = parts[-1][0][-1].output[0]
    outputs = (last, "c") if name == "what is an output too" else (last,)
    made, _ = folded(model(*parts, outputs=outputs))
    assert set(made) <= {"gelu_in_the_form_that_runtimes_fuse"}
