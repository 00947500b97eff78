"""The restorer, from the checkpoint to models that agree with it and that the service takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export import changed_files, export_checkpoint, make_torchscript
from export._records import read_record
from service.contract import ANSWER, CORRECTION, IMAGE, RESTORER_TILE
from service.enhancement import EnhanceOptions
from service.inference import open_runner
from service.repository import ModelRepository, check_restorer, read_config
from service.runtime import Runtime
from service.settings import Settings
from tests.export.checkpoints import TRAINING
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from training import networks
from training.checkpoints import WEIGHTS, build_network, load_checkpoint

NAME = "nightlift_restorer"
SCRIPTED = f"{NAME}_torchscript"
OPTIONS = {"widths": [4, 8, 8], "blocks": [1, 1, 1]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a narrow restorer, loud enough to be seen, in both formats."""
    folder = tmp_path_factory.mktemp("restorer")
    torch.manual_seed(3)
    network = networks.create("restorer", **OPTIONS)
    nn.init.normal_(network.head.weight, 0.0, 0.02)  # type: ignore[union-attr, arg-type]
    content = {
        "network": "restorer",
        "options": OPTIONS,
        "state_dict": network.state_dict(),
        "manifest": TRAINING,
    }
    torch.save(content, folder / "best.pt")
    export_checkpoint(folder / "best.pt", folder / "models", full_size=False)
    return folder / "models"


@pytest.mark.parametrize("name", [NAME, SCRIPTED])
@pytest.mark.parametrize("size", [(8, 8), (40, 72), (64, 96)])
def test_corrections_are_the_networks_alone_and_in_batches(models: Path, name: str, size: tuple[int, int]) -> None:
    network = build_network(load_checkpoint(models / NAME / "1" / WEIGHTS)).eval()
    photos = np.stack([dark_scene("coffee", size), dark_scene("astronaut", size)])
    answers = np.minimum(photos.astype(int) * 3, 255).astype(np.uint8)
    pair = torch.tensor(np.concatenate([answers, photos], axis=3)).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = (network(pair) - pair[:, :3]).permute(0, 2, 3, 1).numpy()
    assert np.abs(expected).mean() > 1 / 255
    runner = open_runner(ModelRepository(models).servable(name)[-1], "cpu", 1)
    together = runner.run({ANSWER: answers, IMAGE: photos}, (CORRECTION,))[CORRECTION]
    alone = runner.run({ANSWER: answers[1:], IMAGE: photos[1:]}, (CORRECTION,))[CORRECTION]
    runner.close()
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, expected, atol=0.1 / 255)
    np.testing.assert_allclose(alone, together[1:], atol=0.1 / 255)


def test_the_contract_is_kept(models: Path) -> None:
    for name in (NAME, SCRIPTED):
        config = read_config(models / name)
        check_restorer(config)
        assert config.same_size == (ANSWER, IMAGE)
        assert config.traits.smallest_side == 8
        assert [tensor.shape for tensor in config.warmup[0].inputs] == [(1, RESTORER_TILE, RESTORER_TILE, 3)] * 2
        record = read_record(models / name / "1")
        assert (record.graph, record.manifest["scored_as"]) == ("restorer", NAME)
        assert record.parity.worst.maximum <= 1
        card = (models / name / "MODEL_CARD.md").read_text()
        assert "Output: `correction`" in card
        assert "brightened twofold and corrected" in card
        assert "research" in (models / name / "NOTICE").read_text()
    proto = onnx.load(models / NAME / "1" / "model.onnx")
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in proto.graph.node}
    sides = {
        one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in (*proto.graph.input, *proto.graph.output)
    }
    free = ["batch", "height", "width", 3]
    assert sides == {ANSWER: free, IMAGE: free, CORRECTION: free}


def test_records_and_kept_weights(models: Path, tmp_path: Path) -> None:
    assert changed_files(models) == []
    assert {path.parents[1].name for path in models.rglob(WEIGHTS)} == {NAME}
    (made,) = make_torchscript(models, [NAME], tmp_path, full_size=False).models
    assert made.file.read_bytes() == (models / SCRIPTED / "1" / "model.pt").read_bytes()


@pytest.mark.parametrize("name", [NAME, SCRIPTED])
def test_the_service_restores_with_it(models: Path, name: str) -> None:
    make_repository(models)
    settings = Settings(
        model_repository=models, default_model="brighten", models=("brighten",), restorer=name, cpu_threads=1
    )

    async def ask() -> None:
        async with Runtime(settings) as runtime:
            await runtime.loaded()
            photo = encoded(dark_scene("coffee", (61, 93)))
            plain, restored = [
                await runtime.enhance(photo, EnhanceOptions(denoise=denoise, gate=False)) for denoise in (0, 1)
            ]
            assert (plain.restored, restored.restored) == (0, 1)
            assert plain.data != restored.data

    asyncio.run(ask())
