"""Models with tensors of their own for tests, in ONNX and in TorchScript, and what they answer in NumPy.

`mapper` has three inputs and two outputs, `restorer` two pictures and one.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

EVIDENCE = 13
"""Channels of the mapper's input `evidence`; with the proxy's 3 its output `affine` has 16."""

Arrays = dict[str, NDArray[Any]]

MAPPER = f"""<ir_version: 8, opset_import: ["": 17]>
mapper (float[N,H,W,3] proxy, float[N,H,W,{EVIDENCE}] evidence, float[N,1] exposure)
    => (float[N,H,W,{EVIDENCE + 3}] affine, float[N,1] brightness)
<float[1] two = {{2.0}}, int64[2] sides = {{2, 3}}, int64[1] last = {{1}}>
{{
    gain = Pow(two, exposure)
    gains = Unsqueeze(gain, sides)
    lifted = Mul(proxy, gains)
    affine = Concat<axis = 3>(lifted, evidence)
    mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>(lifted)
    brightness = Unsqueeze(mean, last)
}}"""

RESTORER = """<ir_version: 8, opset_import: ["": 17]>
restorer (uint8[N,H,W,3] picture, float[N,H,W,2] guide) => (uint8[N,H,W,3] restored)
<float zero = {0.0}, float white = {255.0}>
{
    codes = Cast<to = 1>(picture)
    share = ReduceMean<axes = [3], keepdims = 1>(guide)
    moved = Mul(codes, share)
    clipped = Clip(moved, zero, white)
    restored = Cast<to = 2>(clipped)
}"""

TENSORS = {
    "mapper": (
        {"proxy": ("FP32", "H, W, 3"), "evidence": ("FP32", f"H, W, {EVIDENCE}"), "exposure": ("FP32", "1")},
        {"affine": ("FP32", f"H, W, {EVIDENCE + 3}"), "brightness": ("FP32", "1")},
        ("proxy", "evidence"),
    ),
    "restorer": (
        {"picture": ("UINT8", "H, W, 3"), "guide": ("FP32", "H, W, 2")},
        {"restored": ("UINT8", "H, W, 3")},
        ("picture", "guide"),
    ),
}
"""Kind of model -> inputs and outputs, name -> (datatype, dims), and the inputs of equal size."""


def mapped(inputs: Arrays) -> Arrays:
    """What a mapper answers."""
    lifted = inputs["proxy"] * np.exp2(inputs["exposure"])[:, :, None, None]
    affine = np.concatenate([lifted, inputs["evidence"]], axis=3)
    return {"affine": affine, "brightness": lifted.mean(axis=(1, 2, 3))[:, None]}


def restored(inputs: Arrays) -> Arrays:
    """What a restorer answers."""
    moved = inputs["picture"].astype(np.float32) * inputs["guide"].mean(axis=3, keepdims=True)
    return {"restored": np.clip(moved, 0, 255).astype(np.uint8)}


ANSWERS = {"mapper": mapped, "restorer": restored}


def made_inputs(kind: str, seed: int = 0, count: int = 1, height: int = 16, width: int = 24) -> Arrays:
    """Random inputs of a mapper or a restorer."""
    random = np.random.default_rng(seed)
    if kind == "mapper":
        return {
            "proxy": random.random((count, height, width, 3), np.float32),
            "evidence": random.random((count, height, width, EVIDENCE), np.float32),
            "exposure": random.integers(-2, 3, (count, 1)).astype(np.float32),
        }
    return {
        "picture": random.integers(0, 256, (count, height, width, 3), np.uint8),
        "guide": (random.integers(0, 9, (count, height, width, 2)) / 4).astype(np.float32),
    }


def assert_answers(kind: str, inputs: Arrays, outputs: Any, names: tuple[str, ...] = ()) -> None:
    """See that outputs are those of a model of this kind; all of them, unless some are named."""
    expected = ANSWERS[kind](inputs)
    assert set(outputs) == set(names or expected)
    for name, array in outputs.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_allclose(array, expected[name], rtol=1e-5)


def make_tensor_model(
    root: Path,
    kind: str,
    name: str = "",
    *,
    scripted: bool = False,
    max_batch_size: int = 8,
    delay_us: int = 0,
    extra: str = "",
) -> Path:
    """Add a model of a kind to a repository, and return the repository.

    Args:
        root: the repository's folder, made if absent.
        kind: `mapper` or `restorer`.
        name: the model's, the kind if empty.
        scripted: whether in TorchScript and not in ONNX.
        max_batch_size: 0 puts the batch axis into `dims`.
        delay_us: above 0 turns batching on on the CPU.
        extra: more text for config.pbtxt.
    """
    folder = root / (name or kind)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "1").mkdir(parents=True)
    if scripted:
        _save_scripted(kind, folder / "1" / "model.pt")
    else:
        graph = onnx.parser.parse_model({"mapper": MAPPER, "restorer": RESTORER}[kind])
        onnx.save(graph, folder / "1" / "model.onnx")
    inputs, outputs, equal = TENSORS[kind]
    batch = "" if max_batch_size else "-1, "
    lines = [
        f'name: "{folder.name}" platform: "{"pytorch_libtorch" if scripted else "onnxruntime_onnx"}"',
        f"max_batch_size: {max_batch_size}",
        *(
            f'{place} {{ name: "{tensor}" data_type: TYPE_{datatype} dims: [ {batch}{_free(dims)} ] }}'
            for place, tensors in (("input", inputs), ("output", outputs))
            for tensor, (datatype, dims) in tensors.items()
        ),
        'parameters { key: "nightlift.takes_pictures" value { string_value: "false" } }',
        f'parameters {{ key: "nightlift.same_size" value {{ string_value: "{", ".join(equal)}" }} }}',
        f"dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}" if max_batch_size else "",
        extra,
    ]
    (folder / "config.pbtxt").write_text("\n".join(lines))
    return root


def warmup_of(kind: str, batch_size: int, height: int, width: int) -> str:
    """A `model_warmup` for config.pbtxt."""
    inputs = (
        f'inputs {{ key: "{name}" value {{ data_type: TYPE_{datatype} random_data: true '
        f"dims: [ {dims.replace('H', str(height)).replace('W', str(width))} ] }} }}"
        for name, (datatype, dims) in TENSORS[kind][0].items()
    )
    return f'model_warmup {{ name: "w" batch_size: {batch_size} {" ".join(inputs)} }}'


def _free(dims: str) -> str:
    return dims.replace("H", "-1").replace("W", "-1")


def _save_scripted(kind: str, path: Path) -> None:
    import torch

    class Mapper(torch.nn.Module):
        def forward(
            self, proxy: torch.Tensor, evidence: torch.Tensor, exposure: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            lifted = proxy * torch.exp2(exposure)[:, :, None, None]
            return torch.cat([lifted, evidence], dim=3), lifted.mean(dim=[1, 2, 3])[:, None]

    class Restorer(torch.nn.Module):
        def forward(self, picture: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
            moved = picture.to(torch.float32) * guide.mean(dim=3, keepdim=True)
            return torch.clamp(moved, 0, 255).to(torch.uint8)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.(script|save)` is deprecated", DeprecationWarning)
        module: torch.jit.ScriptModule = torch.jit.script({"mapper": Mapper, "restorer": Restorer}[kind]())
        torch.jit.save(module, str(path))
