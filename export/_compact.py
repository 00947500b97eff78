"""Stores weights of large networks in 16 bits on disk; computation uses 32 bits.

Rounding to half precision changes a weight by at most 2^-11 of its value, far less than the uncertainty of training,
and halves files that repositories and registries keep for ever. The checkpoint's weights are rounded before anything
is exported, so that every format holds the same numbers, and parity is measured with them.
"""

from __future__ import annotations

import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

LARGE = 250_000
"""Parameters from which a network's weights are rounded."""

FEW = 256
"""Elements below which a tensor is left alone: biases and norms are small, and may be sensitive."""


def round_weights(network: nn.Module) -> nn.Module:
    """Round the large weights of a large network to half precision, in place; float32 as before.

    Weights that half precision cannot hold are left as they are.
    """
    if sum(parameter.numel() for parameter in network.parameters()) >= LARGE:
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.numel() >= FEW and bool((parameter.abs() < torch.finfo(torch.float16).max).all()):
                    parameter.copy_(parameter.half())
    return network


def store_in_half(proto: onnx.ModelProto) -> None:
    """Store float32 initializers that half precision holds exactly as float16, each with a cast in front of its use.

    Runtimes fold such casts of constants when they load the file, so that speed and results stay the same.
    """
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        halves = values.astype("float16")
        if values.size < FEW or not (halves.astype("float32") == values).all():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])
