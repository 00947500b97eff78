"""Restorers for tests: small ONNX graphs under the contract of restorers, whose corrections NumPy computes as well.

`blur` takes an answer to its mean over 9 x 9 pixels, borders reflected; so what it sees lies within 4 pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

SIDE = 9

BLUR = f"""<ir_version: 8, opset_import: ["": 18]>
blur (uint8[N,H,W,3] answer, uint8[N,H,W,3] image) => (float[N,H,W,3] correction)
<float white = {{255.0}}, int64[8] around = {{0, 0, 4, 4, 0, 0, 4, 4}}>
{{
    codes = Cast<to = 1>(answer)
    unit = Div(codes, white)
    planes = Transpose<perm = [0, 3, 1, 2]>(unit)
    padded = Pad<mode = "reflect">(planes, around)
    means = AveragePool<kernel_shape = [{SIDE}, {SIDE}]>(padded)
    smooth = Transpose<perm = [0, 2, 3, 1]>(means)
    correction = Sub(smooth, unit)
}}"""

NOT_FINITE = """<ir_version: 8, opset_import: ["": 18]>
broken (uint8[N,H,W,3] answer, uint8[N,H,W,3] image) => (float[N,H,W,3] correction)
<float zero = {0.0}>
{
    codes = Cast<to = 1>(answer)
    nothing = Mul(codes, zero)
    correction = Div(nothing, nothing)
}"""

CONFIG = """name: "{name}" platform: "onnxruntime_onnx" max_batch_size: 8
input {{ name: "answer" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }}
input {{ name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }}
output {{ name: "correction" data_type: TYPE_FP32 dims: [ -1, -1, 3 ] }}
parameters {{ key: "nightlift.takes_pictures" value {{ string_value: "false" }} }}
parameters {{ key: "nightlift.same_size" value {{ string_value: "answer, image" }} }}
dynamic_batching {{ }}
"""


def blurred(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the blur makes of an answer, uint8 [h, w, 3] -> float32 [h, w, 3], 0 to 1."""
    unit = pixels.astype(np.float32) / 255
    return np.asarray(cv2.blur(unit, (SIDE, SIDE), borderType=cv2.BORDER_REFLECT_101), np.float32)


def blur(answer: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The blur's correction, uint8 [h, w, 3] -> float32 [h, w, 3]."""
    return blurred(answer) - answer.astype(np.float32) / 255


def make_restorer(root: Path, name: str = "nightlift_restorer", graph: str = BLUR) -> Path:
    """Add a restorer to a repository, and return the repository."""
    folder = root / name
    (folder / "1").mkdir(parents=True, exist_ok=True)
    onnx.save(onnx.parser.parse_model(graph), folder / "1" / "model.onnx")
    (folder / "config.pbtxt").write_text(CONFIG.format(name=name))
    return root
