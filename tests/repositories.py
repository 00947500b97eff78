"""Model repositories for tests: tiny ONNX graphs under the pixel contract, in Triton's layout, made in milliseconds.

Version v of a model multiplies by v + 1 and clips, so that versions can be told apart; `brightened` is the same in
NumPy, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

GRID = 4
"""Sides of the optional output `affine`, FP32 [N, GRID, GRID, 6]."""

LOOP_SIDE = 256
LOOPS_PER_SECOND = 1500


def brightened(pixels: NDArray[np.uint8], version: int = 1) -> NDArray[np.uint8]:
    """What the models answer: uint8 of any shape in, the same out."""
    return np.minimum(pixels.astype(np.int32) * (version + 1), 255).astype(np.uint8)


def make_repository(
    root: Path,
    names: Sequence[str] = ("brighten",),
    *,
    versions: Sequence[int] = (1,),
    max_batch_size: int = 8,
    delay_us: int = 0,
    max_queue_size: int = 64,
    scope: str = "local",
    affine: bool = False,
    slow: float = 0.0,
    max_pixels: int = 600 * 400,
    working_side: int = 256,
    extra: str = "",
) -> Path:
    """Write one model a name into `root` and return `root`; called again, it adds to what is there.

    Args:
        root: the repository's folder, made if absent.
        names: the models; all are alike.
        versions: version folders of each; all of them are served.
        max_batch_size: 0 leaves dynamic batching out and puts the batch axis into `dims`, as Triton wants it.
        delay_us: `max_queue_delay_microseconds`; above 0 it also turns batching on on the CPU.
        max_queue_size: requests that may wait.
        scope: `local` or `global`.
        affine: whether there is a second output `affine`, a gain of version + 1 and an offset of 0 everywhere.
        slow: about so many seconds of one core are burnt in every pass, whatever its size.
        max_pixels, working_side: the parameters of those names.
        extra: more text for config.pbtxt.
    """
    for name in names:
        folder = root / name
        for version in versions:
            (folder / str(version)).mkdir(parents=True, exist_ok=True)
            onnx.save(_graph(version + 1, affine, slow), folder / str(version) / "model.onnx")
        (folder / "config.pbtxt").write_text(
            _config(name, max_batch_size, delay_us, max_queue_size, affine)
            + _parameters(spatial_scope=scope, halo=0, max_pixels=max_pixels, working_side=working_side)
            + extra
        )
    return root


def _config(name: str, max_batch_size: int, delay_us: int, max_queue_size: int, affine: bool) -> str:
    batch = "" if max_batch_size else "-1, "
    second = f'\noutput {{ name: "affine" data_type: TYPE_FP32 dims: [ {batch}{GRID}, {GRID}, 6 ] }}'
    batching = f"""
dynamic_batching {{
  max_queue_delay_microseconds: {delay_us}
  default_queue_policy {{ max_queue_size: {max_queue_size} allow_timeout_override: true }}
}}"""
    return f"""name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: {max_batch_size}
input {{ name: "image" data_type: TYPE_UINT8 dims: [ {batch}-1, -1, 3 ] }}
output {{ name: "enhanced" data_type: TYPE_UINT8 dims: [ {batch}-1, -1, 3 ] }}{second if affine else ""}
version_policy {{ all {{ }} }}{batching if max_batch_size else ""}
"""


def _parameters(**values: object) -> str:
    return "".join(
        f'parameters {{ key: "nightlift.{key}" value {{ string_value: "{value}" }} }}\n'
        for key, value in values.items()
    )


def _graph(gain: int, affine: bool, slow: float) -> onnx.ModelProto:
    constants = {
        "gain": np.array(gain, np.int32),
        "white": np.array(255, np.int32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["codes"], to=TensorProto.INT32),
        helper.make_node("Mul", ["codes", "gain"], ["brighter"]),
    ]
    outputs = [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, ["N", "H", "W", 3])]
    if slow:
        nodes += _delay(constants, round(slow * LOOPS_PER_SECOND))
    nodes += [
        helper.make_node("Min", ["delayed" if slow else "brighter", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["enhanced"], to=TensorProto.UINT8),
    ]
    if affine:
        constants["map"] = np.array([gain] * 3 + [0] * 3, np.float32)
        constants["grid"] = np.array([GRID, GRID, 6], np.int64)
        nodes += [
            helper.make_node("Shape", ["image"], ["count"], start=0, end=1),
            helper.make_node("Concat", ["count", "grid"], ["affine_shape"], axis=0),
            helper.make_node("Expand", ["map", "affine_shape"], ["affine"]),
        ]
        outputs.append(helper.make_tensor_value_info("affine", TensorProto.FLOAT, ["N", GRID, GRID, 6]))
    graph = helper.make_graph(
        nodes,
        "brighten",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _delay(constants: dict[str, NDArray], rounds: int) -> list[onnx.NodeProto]:
    """Add 0 to `brighter`, giving `delayed`, after `rounds` products with the identity matrix."""
    constants["identity"] = np.eye(LOOP_SIDE, dtype=np.float32)
    constants["rounds"] = np.array(rounds, np.int64)
    constants["go_on"] = np.array(True)
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [LOOP_SIDE, LOOP_SIDE])
    product = helper.make_tensor_value_info("product", TensorProto.FLOAT, [LOOP_SIDE, LOOP_SIDE])
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "identity"], ["product"]),
            helper.make_node("Identity", ["again_in"], ["again"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, []),
            helper.make_tensor_value_info("again_in", TensorProto.BOOL, []),
            state,
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, []), product],
    )
    return [
        # The state begins with the picture's mean, so that nothing here can be computed ahead of time.
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["identity", "mean"], ["first"]),
        helper.make_node("Loop", ["rounds", "go_on", "first"], ["last"], body=body),
        helper.make_node("Sub", ["last", "first"], ["difference"]),
        helper.make_node("ReduceMax", ["difference"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["zero_code"], to=TensorProto.INT32),
        helper.make_node("Add", ["brighter", "zero_code"], ["delayed"]),
    ]
