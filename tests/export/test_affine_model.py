"""A network that predicts its colour map, from the checkpoint to POST /enhance and to a real Triton."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from onnx import helper
from torch import nn
from tritonclient.grpc import model_config_pb2 as pb

from export import export_checkpoint
from export._graphs import pixel_model
from service.inference import AFFINE, ENHANCED, IMAGE, Models, open_runner
from service.repository import ModelRepository, read_config
from service.settings import Settings
from service.telemetry import Metrics
from tests.export.checkpoints import TRAINING, Exported
from tests.pictures import dark_scene, decoded, encoded
from tests.servers import serving
from tests.triton_server import TritonServer
from training import networks
from training.checkpoints import build_network, load_checkpoint

OPTIONS = {"width": 6, "detail_gain": 1.5}
PROXY = (168, 256)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A narrow Nightlift with a lively map, in both formats."""
    folder = tmp_path_factory.mktemp("affine")
    torch.manual_seed(5)
    network = networks.create("nightlift", **OPTIONS)
    for last in (network.light, network.head):
        nn.init.normal_(last.weight, 0.0, 0.1)  # type: ignore[arg-type]
    nn.init.constant_(network.light.bias, 0.08)  # type: ignore[arg-type]
    checkpoint = {
        "network": "nightlift",
        "options": OPTIONS,
        "state_dict": network.state_dict(),
        "manifest": TRAINING,
    }
    torch.save(checkpoint, folder / "best.pt")
    export_checkpoint(folder / "best.pt", folder / "models", full_size=False)
    return Exported(folder / "models", folder / "best.pt", name="nightlift")


def proxy() -> np.ndarray:
    """Two pictures of the size that guided rendering sends."""
    return np.stack([dark_scene("coffee", PROXY), dark_scene("astronaut", PROXY)])


def test_both_outputs_are_declared_and_there(model: Exported) -> None:
    session = onnxruntime.InferenceSession(model.onnx)
    enhanced, affine = session.get_outputs()
    assert (enhanced.name, enhanced.type, enhanced.shape) == (
        ENHANCED,
        "tensor(uint8)",
        ["batch", "height", "width", 3],
    )
    assert (affine.name, affine.type, affine.shape) == (
        AFFINE,
        "tensor(float)",
        ["batch", "map_height", "map_width", 16],
    )
    for folder in (model.onnx.parents[1], model.torchscript.parents[1]):
        config = text_format.Parse((folder / "config.pbtxt").read_text(), pb.ModelConfig())
        assert [(one.name, one.data_type, list(one.dims)) for one in config.output] == [
            (ENHANCED, pb.TYPE_UINT8, [-1, -1, 3]),
            (AFFINE, pb.TYPE_FP32, [-1, -1, 16]),
        ]
        assert read_config(folder).traits.map_layout == 16


@pytest.mark.parametrize("name", ["nightlift", "nightlift_torchscript"])
def test_the_map_of_a_proxy_is_the_networks(model: Exported, name: str) -> None:
    network = build_network(load_checkpoint(model.checkpoint))
    with torch.inference_mode():
        expected = network.affine(torch.tensor(proxy()).permute(0, 3, 1, 2) / 255)  # type: ignore[operator]
    runner = open_runner(ModelRepository(model.repository).servable(name)[-1], "cpu", 1)
    answer = runner.run({IMAGE: proxy()}, (AFFINE,))
    runner.close()
    assert list(answer) == [AFFINE]
    assert answer[AFFINE].shape == (2, *PROXY, 16)
    assert np.abs(answer[AFFINE] - expected.permute(0, 2, 3, 1).numpy()).max() < 1e-3


SHORT_WAY = {
    (168, 256): True,
    (256, 256): True,
    (16, 16): True,
    (168, 264): False,
    (164, 256): False,
    (300, 450): False,
}
"""By (height, width): whether a picture is a proxy already, neither to be shrunk nor its map to be enlarged."""


@pytest.mark.parametrize("size", SHORT_WAY)
def test_a_proxy_takes_a_shorter_way_to_the_same_answer(model: Exported, size: tuple[int, int]) -> None:
    proto = onnx.load(model.onnx)
    branches = [attribute.g for node in proto.graph.node if node.op_type == "If" for attribute in node.attribute]
    assert sorted(branch.name for branch in branches) == ["shortcut", "shortcut", "whole", "whole"]
    for branch in branches:
        if (branch.name == "shortcut") != SHORT_WAY[size]:
            block(branch)
    pictures = np.stack([dark_scene("coffee", size), dark_scene("astronaut", size)])
    reference = pixel_model(build_network(load_checkpoint(model.checkpoint)), networks.spec("nightlift"))
    with torch.inference_mode():
        enhanced, affine = (tensor.numpy() for tensor in reference(torch.from_numpy(pictures)))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    answer = dict(zip((ENHANCED, AFFINE), session.run([ENHANCED, AFFINE], {"image": pictures}), strict=True))
    assert np.abs(answer[ENHANCED].astype(int) - enhanced).max() <= 1
    assert np.abs(answer[AFFINE] - affine).max() < 1e-3


def block(branch: onnx.GraphProto) -> None:
    """Let a branch give what nothing can be done with: whoever takes it fails."""
    (output,) = branch.output
    del branch.node[:], branch.initializer[:]
    branch.node.append(helper.make_node("Shape", ["image"], ["nothing"]))
    branch.node.append(helper.make_node("Cast", ["nothing"], [output.name], to=output.type.tensor_type.elem_type))


def test_no_name_in_a_branch_hides_one_around_it(model: Exported) -> None:
    graph = onnx.load(model.onnx).graph
    around = names_made(graph)
    for node in graph.node:
        for attribute in node.attribute:
            assert not names_made(attribute.g) & around


def names_made(graph: onnx.GraphProto) -> set[str]:
    return {constant.name for constant in graph.initializer}.union(*(node.output for node in graph.node))


def test_whole_and_guided_agree_through_the_service(model: Exported, tmp_path: Path) -> None:
    """On a picture whose proxy has its aspect ratio: then both see the same proxy."""
    image = dark_scene("coffee", (300, 450))
    with serving(model.repository, tmp_path, default_model="nightlift", required_models="nightlift") as server:
        answers = {}
        for detail in ("whole", "guided"):
            response = httpx.post(
                f"{server.url}/enhance",
                params={"detail": detail, "protect": 0, "gate": False},
                content=encoded(image),
                timeout=60,
            )
            assert response.headers["Nightlift-Detail"] == detail
            answers[detail] = decoded(response.content).astype(int)
    assert np.abs(answers["whole"] - image).mean() > 5
    assert np.abs(answers["whole"] - answers["guided"]).max() <= 1


def test_a_real_triton_gives_either_output(model: Exported, tmp_path: Path) -> None:
    options = ["--model-control-mode=explicit", "--load-model=nightlift"]
    with TritonServer(model.repository, tmp_path, options) as server:
        through_triton = answers_of(model.repository, engine="triton", triton_url=server.grpc_url)
    embedded = answers_of(model.repository)
    assert np.abs(through_triton[AFFINE] - embedded[AFFINE]).max() < 1e-3
    assert np.abs(through_triton[ENHANCED].astype(int) - embedded[ENHANCED]).max() <= 1


def answers_of(repository: Path, **settings: object) -> dict[str, np.ndarray]:
    """Each output alone, asked for as the service asks."""

    async def ask() -> dict[str, np.ndarray]:
        models = Models(
            ModelRepository(repository),
            Settings(model_repository=repository, device="cpu", cpu_threads=1, **settings),  # type: ignore[arg-type]
            Metrics(),
        )
        try:
            await models.load("nightlift")
            queue = models.get("nightlift").queue
            return {
                name: (await queue.submit({IMAGE: proxy()}, (name,))).tensors[name] for name in (AFFINE, ENHANCED)
            }
        finally:
            await models.close()

    return asyncio.run(ask())


def test_an_option_is_changed_on_the_way_out(model: Exported, tmp_path: Path) -> None:
    options = {"smoothing": 0.5}
    export_checkpoint(model.checkpoint, tmp_path, options=options, formats=("torchscript",), full_size=False)
    served = load_checkpoint(tmp_path / "nightlift_torchscript" / "1" / "model.pt")
    assert served["options"] == {**OPTIONS, "smoothing": 0.5}
    manifest = json.loads((tmp_path / "nightlift_torchscript" / "1" / "manifest.json").read_text())
    assert manifest["exported_by"]["command"] == "nightlift export best.pt --option smoothing=0.5"
    picture = torch.from_numpy(proxy()).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        calm, lively = (build_network(at).affine(picture) for at in (load_checkpoint(model.checkpoint), served))
    torch.testing.assert_close(calm[:, :6], lively[:, :6])
    assert (calm[:, 6:15] - lively[:, 6:15]).abs().max() > 0.01


def test_an_option_that_the_network_lacks_is_refused(model: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not take the options .*grain"):
        export_checkpoint(model.checkpoint, tmp_path, options={"grain": 1}, full_size=False)
    assert not list(tmp_path.iterdir())
