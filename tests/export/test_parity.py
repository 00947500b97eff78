"""The gate: what computes something else than its network is found, named, and never written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from export import Parity, ParityError, PixelModel, changed_files, export_checkpoint, remeasure
from export._parity import Pixels, measure, night_scenes, onnx_runner, torch_runner
from export._records import read_record, records
from tests.export.checkpoints import Exported, save_checkpoint
from training import networks
from training.checkpoints import build_network, load_checkpoint
from training.networks.zero_dce_improved import ZeroDCEImproved

SIZE = (37, 50)


def test_scenes_are_three_different_dark_pictures() -> None:
    scenes = night_scenes(*SIZE)
    assert scenes.shape == (3, *SIZE, 3)
    assert np.array_equal(scenes, night_scenes(*SIZE))
    assert scenes[0].mean() < 30
    assert scenes[2].max() == 255


def plus(amount: int, where: slice = slice(None)):
    """A run that adds `amount` to some pictures of a batch."""

    def run(batch: Pixels) -> Pixels:
        result = batch.astype(int)
        result[where] += amount
        return np.clip(result, 0, 255).astype(np.uint8)

    return run


def test_equal_runs_agree() -> None:
    parity = measure(plus(3), plus(3), [SIZE])
    assert (parity.worst.maximum, parity.worst.share) == (0, 0.0)
    parity.require("it")


def test_one_code_value_passes_and_two_do_not() -> None:
    measure(plus(0), plus(1), [SIZE]).require("it")
    with pytest.raises(ParityError, match=r"it differs by 2/255 against torch at 37x50, batch [13] \(scenes\)"):
        measure(plus(0), plus(2), [SIZE]).require("it")


def test_a_picture_that_depends_on_its_company_is_found() -> None:
    # Right alone, and wrong only as the third of a batch.
    with pytest.raises(ParityError, match="batch 3"):
        measure(plus(0), plus(5, slice(2, None)), [SIZE]).require("it")


def test_a_wrong_shape_is_found() -> None:
    with pytest.raises(ParityError, match=r"the answer to uint8 \(3, 37, 50, 3\) is uint8 \(3, 36, 50, 3\)"):
        measure(plus(0), lambda batch: batch[:, 1:], [SIZE])


def test_json_and_back() -> None:
    parity = measure(plus(0), plus(1), [SIZE])
    assert Parity.from_json(parity.as_json()) == parity


def test_a_changed_weight_is_found(exported: Exported) -> None:
    proto = onnx.load(exported.onnx)
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name.endswith("e_conv7.weight"))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
    model = PixelModel(build_network(load_checkpoint(exported.checkpoint)), networks.spec(exported.name)).eval()
    with pytest.raises(ParityError):
        measure(torch_runner(model), onnx_runner(proto.SerializeToString()), [SIZE]).require("it")


def test_a_network_that_scripts_into_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: ZeroDCEImproved, image: Tensor) -> Tensor:
        return image * 0.9 if torch.jit.is_scripting() else image

    monkeypatch.setattr(ZeroDCEImproved, "forward", forward)
    checkpoint = save_checkpoint(tmp_path / "best.pt")
    with pytest.raises(ParityError, match=r"zero_dce_improved_torchscript/model\.pt differs by \d+/255"):
        export_checkpoint(checkpoint, tmp_path / "models", formats=("torchscript",), full_size=False)
    assert not (tmp_path / "models").exists()


def test_measuring_again_from_the_repository_alone(exported: Exported, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(exported.repository, repository)
    for record in records(repository):
        parity = remeasure(record, [SIZE])
        assert parity.worst.maximum <= 1
        assert {(row.height, row.width) for row in read_record(record.folder).parity.differences} == {SIZE}
    assert changed_files(repository) == []

    model = repository / "zero_dce_improved" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    lines = changed_files(repository)
    assert len(lines) == 2
    assert all("model.onnx" in line and "sha256" in line for line in lines)
