"""Weights in 16 bits on disk: what is rounded, and that a stored graph computes as before."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from export._compact import LARGE, round_weights, store_in_half
from training import networks


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_large_networks_lose_what_half_precision_cannot_hold() -> None:
    torch.manual_seed(0)
    network = networks.create("drbn")
    assert _parameters(network) >= LARGE
    before = {name: value.clone() for name, value in network.named_parameters()}
    round_weights(network)
    weight = next(name for name, value in before.items() if value.numel() >= 256)
    after = dict(network.named_parameters())[weight]
    assert after.dtype == torch.float32
    assert torch.equal(after, after.half().float())
    assert not torch.equal(after, before[weight])
    torch.testing.assert_close(after, before[weight], rtol=2**-11, atol=1e-7)


def test_small_networks_keep_every_bit() -> None:
    network = networks.create("zero_dce_improved")
    assert _parameters(network) < LARGE
    before = {name: value.clone() for name, value in network.named_parameters()}
    round_weights(network)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_weights_beyond_half_precision_are_left_alone() -> None:
    network = torch.nn.Linear(600, 600)
    with torch.no_grad():
        network.weight[0, 0] = 1e6
        network.bias.fill_(0.1)
    before = network.weight.clone()
    round_weights(network)
    assert torch.equal(network.weight, before)


def _graph(weights: np.ndarray) -> onnx.ModelProto:
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "product",
        [value("x", onnx.TensorProto.FLOAT, [None, weights.shape[0]])],
        [value("y", onnx.TensorProto.FLOAT, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


def _run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def test_stored_halves_compute_the_same_from_half_the_bytes() -> None:
    random = np.random.default_rng(1)
    weights = random.normal(size=(64, 64)).astype(np.float16).astype(np.float32)
    x = random.normal(size=(3, 64)).astype(np.float32)
    proto = _graph(weights)
    expected, size = _run(proto, x), proto.ByteSize()
    store_in_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ByteSize() < 0.6 * size
    np.testing.assert_array_equal(_run(proto, x), expected)


def test_what_half_precision_cannot_hold_exactly_is_stored_as_it_is() -> None:
    weights = np.random.default_rng(2).normal(size=(64, 64)).astype(np.float32)
    proto = _graph(weights)
    before = proto.SerializeToString(deterministic=True)
    store_in_half(proto)
    assert proto.SerializeToString(deterministic=True) == before
