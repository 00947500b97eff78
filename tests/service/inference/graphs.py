"""Models for tests beyond those of `tests.repositories`: one that runs out of memory, and scripted modules."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.repositories import make_repository

if TYPE_CHECKING:
    import torch

HUGE = 1 << 46  # bytes that no machine gives


def make_greedy(root: Path, name: str, fits: int) -> Path:
    """Add an ONNX model that needs next to no memory for up to `fits` pictures, and far too much for more.

    It answers its input, so that halves can be told from a whole.
    """
    make_repository(root, [name], max_batch_size=8, delay_us=1)
    nodes = [
        helper.make_node("Shape", ["image"], ["count"], start=0, end=1),
        helper.make_node("Sub", ["count", "fits"], ["beyond"]),
        helper.make_node("Max", ["beyond", "nothing"], ["excess"]),
        helper.make_node("Mul", ["excess", "huge"], ["wanted"]),
        helper.make_node("Add", ["wanted", "one"], ["size"]),
        helper.make_node(
            "ConstantOfShape", ["size"], ["waste"], value=numpy_helper.from_array(np.zeros(1, np.uint8))
        ),
        helper.make_node("Cast", ["waste"], ["waste_codes"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["waste_codes"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["image"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Add", ["codes", "zero"], ["same"]),
        helper.make_node("Cast", ["same"], ["enhanced"], to=TensorProto.UINT8),
    ]
    constants = {"fits": [fits], "nothing": [0], "huge": [HUGE], "one": [1]}
    graph = helper.make_graph(
        nodes,
        "greedy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, ["N", "H", "W", 3])],
        [numpy_helper.from_array(np.array(value, np.int64), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, root / name / "1" / "model.onnx")
    return root


def make_torchscript(root: Path, name: str = "brighten_torchscript") -> Path:
    """Add a TorchScript model that doubles and clips, as `make_repository`'s version 1 does.

    A picture whose first value is 13 raises what CUDA raises after an illegal access; one with 14 never ends.
    """
    import torch

    class Brighten(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            first = int(image[0, 0, 0, 0])
            if first == 13:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            values = image.to(torch.int32)
            while first == 14:
                values = values + 1
            return torch.clamp(values * 2, max=255).to(torch.uint8)

    make_repository(root, [name], extra="instance_group { kind: KIND_CPU }")
    config = root / name / "config.pbtxt"
    config.write_text(config.read_text().replace("onnxruntime_onnx", "pytorch_libtorch"))
    version = root / name / "1"
    shutil.rmtree(version)
    version.mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.(script|save)` is deprecated", DeprecationWarning)
        module: torch.jit.ScriptModule = torch.jit.script(Brighten())
        torch.jit.save(module, str(version / "model.pt"))
    return root
