"""What a model answers is checked before anything relies on its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.enhancement import EnhanceOptions
from service.errors import EngineFailed
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository


def without_the_last_row() -> onnx.ModelProto:
    """A model that answers with a picture of one row less."""
    sides = ["batch", "height", "width", 3]
    constants = [
        numpy_helper.from_array(np.array([number]), name) for name, number in (("0", 0), ("-1", -1), ("1", 1))
    ]
    graph = helper.make_graph(
        [helper.make_node("Slice", ["image", "0", "-1", "1"], ["enhanced"])],
        "short",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, sides)],
        [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, ["batch", "rows", "width", 3])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("detail", ["whole", "guided"])
async def test_a_result_of_another_size_is_an_error_of_the_model(tmp_path: Path, detail: str) -> None:
    root = make_repository(tmp_path)
    onnx.save(without_the_last_row(), root / "brighten/1/model.onnx")
    async with Runtime(Settings(model_repository=root, default_model="brighten", device="cpu")) as runtime:
        await runtime.loaded()
        with pytest.raises(EngineFailed, match=r"answered \[\d+, \d+, 3\] to a picture of"):
            await runtime.enhance(encoded(dark_scene(size=(300, 450))), EnhanceOptions(detail=detail))
