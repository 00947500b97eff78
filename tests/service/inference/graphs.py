"""Models for tests beyond those of `tests.repositories`: ones that break in a chosen way, and a scripted one."""

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
ILLEGAL_ACCESS = "CUDA failure 700: an illegal memory access was encountered"


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


def make_fragile(root: Path, name: str = "brighten") -> Path:
    """Add an ONNX model that doubles and clips, as `make_repository`'s version 1 does, but for two pictures.

    One whose first value is 13 fails with the words of an illegal access on a CUDA device, which ONNX Runtime takes
    from the failing node's name; one with 14 never ends.
    """
    make_repository(root, [name])
    counter = helper.make_tensor_value_info("counter", TensorProto.INT32, [])
    body = helper.make_graph(
        [
            helper.make_node("Add", ["counter", "step"], ["next"]),
            helper.make_node("Identity", ["again_in"], ["again"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, []),
            helper.make_tensor_value_info("again_in", TensorProto.BOOL, []),
            counter,
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT32, []),
        ],
    )
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["values"]),
        helper.make_node("Gather", ["values", "none"], ["first_code"]),
        helper.make_node("Cast", ["first_code"], ["first"], to=TensorProto.INT64),
        helper.make_node("Equal", ["first", "lethal"], ["is_lethal"]),
        helper.make_node("Cast", ["is_lethal"], ["excess"], to=TensorProto.INT64),
        helper.make_node("Add", ["excess", "one"], ["wrong_shape"]),  # one value cannot be reshaped to two
        helper.make_node("Reshape", ["zero", "wrong_shape"], ["nothing"], name=ILLEGAL_ACCESS),
        helper.make_node("Equal", ["first", "endless"], ["is_endless"]),
        helper.make_node("Cast", ["is_endless"], ["endlessly"], to=TensorProto.INT64),
        helper.make_node("Mul", ["endlessly", "forever"], ["rounds_1"]),
        helper.make_node("Squeeze", ["rounds_1"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "go_on", "start"], ["count"], body=body),
        helper.make_node("Cast", ["image"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Add", ["codes", "codes"], ["doubled"]),
        helper.make_node("Add", ["doubled", "nothing"], ["tried"]),
        helper.make_node("Add", ["tried", "count"], ["waited"]),
        helper.make_node("Min", ["waited", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["enhanced"], to=TensorProto.UINT8),
    ]
    constants = {
        **{key: np.array([value], np.int64) for key, value in {"flat": -1, "none": 0, "one": 1}.items()},
        **{"lethal": np.array([13]), "endless": np.array([14]), "forever": np.array([1 << 60])},
        **{"zero": np.zeros(1, np.int32), "start": np.array(0, np.int32), "step": np.array(1, np.int32)},
        **{"white": np.array(255, np.int32), "go_on": np.array(True)},
    }
    graph = helper.make_graph(
        nodes,
        "fragile",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, ["N", "H", "W", 3])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, root / name / "1" / "model.onnx")
    return root


def make_torchscript(root: Path, name: str = "brighten_torchscript") -> Path:
    """Add a TorchScript model that doubles and clips, as `make_repository`'s version 1 does."""
    import torch

    class Brighten(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.clamp(image.to(torch.int32) * 2, max=255).to(torch.uint8)

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
