"""A model that is told the exposure, and the one that makes its maps: small ONNX graphs, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

from service.contract import EVIDENCE_CHANNELS

SIDE = 16
"""Sides of the map that comes with a picture, in pixels."""

PICTURES = f"""<ir_version: 8, opset_import: ["": 17]>
told (uint8[N,H,W,3] image) => (uint8[N,H,W,3] enhanced, float[N,{SIDE},{SIDE},6] affine)
<float two = {{2.0}}, float white = {{255.0}}, float zero = {{0.0}}, int64[3] grid = {{{SIDE}, {SIDE}, 6}},
 float[6] map = {{2.0, 2.0, 2.0, 0.0, 0.0, 0.0}}>
{{
    codes = Cast<to = 1>(image)
    brighter = Mul(codes, two)
    clipped = Clip(brighter, zero, white)
    enhanced = Cast<to = 2>(clipped)
    count = Shape<start = 0, end = 1>(image)
    shape = Concat<axis = 0>(count, grid)
    affine = Expand(map, shape)
}}"""
"""Doubles code values, as its maps do where nobody wishes anything."""

MAPS = f"""<ir_version: 8, opset_import: ["": 17]>
told_map (float[N,H,W,3] proxy, float[N,H,W,{EVIDENCE_CHANNELS}] evidence, float[N,1] exposure)
    => (float[N,H,W,6] affine, float[N,1] brightness)
<float two = {{2.0}}, float zero = {{0.0}}, int64[2] sides = {{2, 3}}>
{{
    power = Pow(two, exposure)
    doubled = Mul(two, power)
    gain = Unsqueeze(doubled, sides)
    nothing = Mul(proxy, zero)
    gains = Add(nothing, gain)
    affine = Concat<axis = 3>(gains, nothing)
    brightness = Mul(exposure, zero)
}}"""
"""Multiply code values by 2 to the power of 1 + exposure, which no curve of light does."""


def make_told_models(root: Path, name: str = "told") -> Path:
    """Write the pair `name` and `name`_map into `root`, and return `root`."""
    pixels = "data_type: TYPE_UINT8 dims: [ -1, -1, 3 ]"
    floats = "data_type: TYPE_FP32 dims"
    configs = {
        name: (
            PICTURES,
            f"""input {{ name: "image" {pixels} }}
output {{ name: "enhanced" {pixels} }}
output {{ name: "affine" {floats}: [ {SIDE}, {SIDE}, 6 ] }}""",
            {"spatial_scope": "global", "max_pixels": 0, "map_model": f"{name}_map"},
        ),
        f"{name}_map": (
            MAPS,
            f"""input {{ name: "proxy" {floats}: [ -1, -1, 3 ] }}
input {{ name: "evidence" {floats}: [ -1, -1, {EVIDENCE_CHANNELS} ] }}
input {{ name: "exposure" {floats}: [ 1 ] }}
output {{ name: "affine" {floats}: [ -1, -1, 6 ] }}
output {{ name: "brightness" {floats}: [ 1 ] }}""",
            {"takes_pictures": "false", "same_size": "proxy, evidence"},
        ),
    }
    for model, (graph, tensors, parameters) in configs.items():
        (root / model / "1").mkdir(parents=True)
        proto = onnx.parser.parse_model(graph)
        onnx.checker.check_model(proto, full_check=True)
        onnx.save(proto, root / model / "1" / "model.onnx")
        lines = [f'name: "{model}"', 'platform: "onnxruntime_onnx"', "max_batch_size: 8", tensors]
        lines += [
            f'parameters {{ key: "nightlift.{key}" value {{ string_value: "{value}" }} }}'
            for key, value in parameters.items()
        ]
        (root / model / "config.pbtxt").write_text("\n".join(lines) + "\n")
    return root
