"""Models whose maps another one makes, evaluated as the service renders them: exported, and as a checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.rendering import NEUTRAL, Detail, RenderOptions
from tests.export.checkpoints import TRAINING
from tests.map_models import NAME, PAIR, SCRIPTED_PAIR, lively_network
from tests.pictures import dark_scene
from tests.repositories import make_repository
from training import networks
from training.evaluation import open_model

GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


@pytest.mark.parametrize("name", [NAME, SCRIPTED_PAIR[0]])
@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_a_pair_renders_as_its_checkpoint_does(map_models: Path, name: str, exposure: float) -> None:
    picture = dark_scene("coffee", (300, 450))
    options = replace(GUIDED, exposure=exposure)
    pair, checkpoint = open_model(name, map_models / "models"), open_model(map_models / "best.pt", map_models)
    apart = np.abs(pair.enhance(picture, options).astype(int) - checkpoint.enhance(picture, options))
    assert apart.max() <= 1
    assert np.abs(checkpoint.enhance(picture, options).astype(int) - picture).mean() > 3


def test_guided_is_what_the_network_makes_of_the_picture(map_models: Path) -> None:
    picture = dark_scene("astronaut", (300, 450))
    model = open_model(NAME, map_models / "models")
    with torch.inference_mode():
        own = lively_network()(torch.tensor(picture).permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0).clamp(0, 1)
    for detail in (Detail.GUIDED, Detail.WHOLE):
        apart = np.abs(model.render(picture, detail) - 255 * own.numpy())
        assert (apart > 1).mean() < 0.001


def test_the_wish_goes_to_the_map_model(map_models: Path) -> None:
    picture = dark_scene("coffee", (300, 450))
    model = open_model(NAME, map_models / "models")
    seen: list[float] = []
    assert model.maps is not None
    listening = replace(
        model, maps=lambda inputs: (seen.append(float(inputs["exposure"][0, 0])), model.maps(inputs))[1]
    )  # type: ignore[misc]
    means = [
        listening.enhance(picture, RenderOptions(Detail.AUTO, gate=False, exposure=stops)).mean()
        for stops in (-1.0, 0.0, 1.0)
    ]
    assert seen == [-1.0, 0.0, 1.0]
    assert means[0] < means[1] < means[2]


def test_a_model_may_make_its_maps_itself(tmp_path: Path) -> None:
    picture = dark_scene("coffee", (300, 450))
    doubled = open_model("brighten", make_repository(tmp_path, affine=True)).enhance(picture, GUIDED)
    assert np.abs(doubled.astype(int) - np.minimum(2 * picture.astype(int), 255)).max() <= 1


def test_a_map_model_alone_is_no_model_of_pictures(map_models: Path) -> None:
    with pytest.raises(ValueError, match=f"{PAIR[1]} takes no pictures"):
        open_model(PAIR[1], map_models / "models")


def test_a_pair_that_is_not_whole_says_what_it_lacks(map_models: Path, tmp_path: Path) -> None:
    shutil.copytree(map_models / "models" / NAME, tmp_path / NAME)
    with pytest.raises(FileNotFoundError, match=f"the map model {PAIR[1]} is not in"):
        open_model(NAME, tmp_path)


def test_what_restores_answers_is_no_model_of_pictures(tmp_path: Path) -> None:
    options = {"widths": (8, 12, 16)}
    state = networks.create("restorer", **options).state_dict()
    content = {"network": "restorer", "options": options, "state_dict": state, "manifest": TRAINING}
    torch.save(content, tmp_path / "restorer.pt")
    with pytest.raises(ValueError, match="restorer restores another model's results"):
        open_model(tmp_path / "restorer.pt", tmp_path)
