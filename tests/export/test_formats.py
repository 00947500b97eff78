"""The two files of an exported model: what they promise, what they carry, and that they compute the same."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export._parity import Pixels, Run, night_scenes, onnx_runner, torch_runner, torchscript_runner
from export._pixel_model import PixelModel
from export._records import without_folders
from service.repository import read_config
from tests.export.checkpoints import Exported
from tests.pictures import constant, dark_scene, grey_ramp, letterboxed, single_lamp
from training import networks
from training.checkpoints import build_network, load_checkpoint

MACHINE_PATH = re.compile(rb"/(?:work|root|home|tmp|usr|site-packages)/")


@pytest.fixture(scope="module")
def in_torch(exported: Exported) -> Run:
    network = build_network(load_checkpoint(exported.checkpoint))
    return torch_runner(PixelModel(network, networks.spec(exported.name)).eval())


@pytest.fixture(scope="module", params=["onnx", "torchscript"])
def run(request: pytest.FixtureRequest, exported: Exported) -> Run:
    if request.param == "onnx":
        return onnx_runner(exported.onnx.read_bytes())
    return torchscript_runner(exported.torchscript.read_bytes())


def apart(one: Pixels, other: Pixels) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_onnx_signature(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.onnx)
    (image,), (enhanced,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (enhanced.name, enhanced.type, enhanced.shape) == ("enhanced", "tensor(uint8)", image.shape)


def test_onnx_says_where_it_comes_from_and_nothing_about_the_machine(exported: Exported) -> None:
    proto = onnx.load(exported.onnx)
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert {"family", "spatial_scope", "multiple", "checkpoint_sha256", "command", "nightlift"} <= facts.keys()
    assert facts["command"] == "nightlift export best.pt"
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 18)]
    assert not MACHINE_PATH.search(exported.onnx.read_bytes())
    assert not any(node.metadata_props or node.doc_string for node in proto.graph.node)


def test_torchscript_says_the_same(exported: Exported) -> None:
    facts = {"nightlift.json": ""}
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        torch.jit.load(exported.torchscript, _extra_files=facts)
    in_onnx = {entry.key: entry.value for entry in onnx.load(exported.onnx).metadata_props}
    assert json.loads(facts["nightlift.json"]) == in_onnx
    with zipfile.ZipFile(exported.torchscript) as archive:
        assert not any(MACHINE_PATH.search(archive.read(name)) for name in archive.namelist())


@pytest.mark.parametrize("file", ["weights", "torchscript"])
def test_an_exported_model_gives_its_checkpoint_back(exported: Exported, file: str) -> None:
    trained, restored = load_checkpoint(exported.checkpoint), load_checkpoint(getattr(exported, file))
    weights = trained.pop("state_dict"), restored.pop("state_dict")
    assert weights[1].keys() == weights[0].keys()
    assert all(torch.equal(weights[1][key], weights[0][key]) for key in weights[0])
    assert restored == without_folders(trained)


@pytest.mark.parametrize("file", ["weights", "torchscript"])
def test_without_its_manifest_it_is_no_checkpoint(exported: Exported, file: str, tmp_path: Path) -> None:
    alone = Path(shutil.copy(getattr(exported, file), tmp_path))
    with pytest.raises(FileNotFoundError, match=r"manifest\.json is missing"):
        load_checkpoint(alone)


@pytest.mark.parametrize("folder", ["zero_dce_improved", "zero_dce_improved_torchscript"])
def test_config_is_tritons_own_and_names_the_files_tensors(exported: Exported, folder: str) -> None:
    model = exported.repository / folder
    proto = text_format.Parse((model / "config.pbtxt").read_text(), pb.ModelConfig())
    assert proto.name == folder
    assert proto.platform == ("pytorch_libtorch" if "torchscript" in folder else "onnxruntime_onnx")
    for tensors, name in ((proto.input, "image"), (proto.output, "enhanced")):
        assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in tensors] == [
            (name, pb.TYPE_UINT8, [-1, -1, 3])
        ]
    assert proto.max_batch_size > 1
    assert 0 < proto.dynamic_batching.default_queue_policy.max_queue_size < 1000
    assert proto.version_policy.latest.num_versions == 1
    warm = [list(sample.inputs["image"].dims) for sample in proto.model_warmup]
    assert warm == [[168, 256, 3], [256, 168, 3]]


def test_the_service_reads_the_config_without_a_warning(exported: Exported) -> None:
    config = read_config(exported.repository / exported.name)
    assert config.warnings == ()
    traits, spec = config.traits, networks.spec(exported.name)
    assert (traits.family, traits.spatial_scope, traits.halo) == (spec.name, spec.spatial_scope, spec.halo)
    assert (traits.multiple, traits.working_side, traits.smallest_side) == (1, spec.working_side, 16)
    assert traits.max_pixels == 240_000
    assert traits.tolerance in (0.0, 1.0)
    assert "no grant of commercial use" in config.licence


@pytest.mark.parametrize("height", [16, 17, 64, 101])
@pytest.mark.parametrize("width", [16, 31, 75])
def test_every_size_and_batch(run: Run, in_torch: Run, height: int, width: int) -> None:
    scenes = night_scenes(height, width)
    together = run(scenes)
    assert apart(together, in_torch(scenes)) <= 1
    assert apart(together, np.concatenate([run(scenes[i : i + 1]) for i in range(3)])) <= 1
    assert apart(run(scenes[:2]), in_torch(scenes[:2])) <= 1


@pytest.mark.parametrize(
    "picture",
    [
        constant(0),
        constant(1),
        constant(255),
        grey_ramp(),
        dark_scene("coffee", (120, 160)),
        letterboxed(),
        single_lamp(),
        np.zeros((16, 400, 3), np.uint8),
    ],
    ids=["black", "almost black", "white", "ramp", "dark", "letterboxed", "lamp", "narrow"],
)
def test_pictures_that_break_things(run: Run, in_torch: Run, picture: Pixels) -> None:
    assert apart(run(picture[None]), in_torch(picture[None])) <= 1


def test_black_stays_black_and_the_dark_gets_brighter_or_darker_but_changes(run: Run) -> None:
    assert run(constant(0)[None]).max() == 0
    picture = dark_scene("coffee", (120, 160))[None]
    assert apart(run(picture), picture) > 10
