"""The procedures of ExdNet and DRBN at toy size: losses fall, interrupted runs repeat, each player does its part."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.pictures import SCENES, encoded, pair, scene
from training import train
from training.checkpoints import load_checkpoint
from training.datasets import find_samples
from training.networks import create
from training.objectives import Batch, create_objective
from training.recipe import Recipe, load_recipe

SIDE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by stream: pairs in LOL's layout, dark pictures, a collection with statistics, exposure sequences."""
    root = tmp_path_factory.mktemp("data")
    for split, names in (("our485", SCENES), ("eval15", SCENES[:1])):
        for side in ("low", "high"):
            (root / "lol" / split / side).mkdir(parents=True)
        for name in names:
            for side, view in zip(("low", "high"), pair(name, (48, 64)), strict=True):
                (root / "lol" / split / side / f"{name}.png").write_bytes(encoded(view))
    (root / "dark").mkdir()
    (root / "brackets").mkdir()
    lines = ["file,scene,mean_rgb,frac_clipped_hi,frac_black"]
    for name in SCENES:
        (root / "dark" / f"{name}.png").write_bytes(encoded(pair(name, (48, 64), seed=1)[0]))
        Image.fromarray(scene(name, (48, 64))).save(root / "brackets" / f"{name}.jpg")
        lines.append(f"{name}.jpg,{name},{30 if name == 'rocket' else 120},0.0,0.0")
    (root / "brackets.scenes.csv").write_text("\n".join(lines) + "\n")
    (root / "shots").mkdir()
    shots = ["file,scene,mean_rgb,frac_clipped_hi"]
    for name in SCENES:
        for share, mean in ((0.4, 48), (1.0, 120)):
            Image.fromarray((share * scene(name, (48, 64))).astype("uint8")).save(root / f"shots/{name}{mean}.png")
            shots.append(f"{name}{mean}.png,{name},{mean},0.0")
    (root / "shots.scenes.csv").write_text("\n".join(shots) + "\n")
    return {
        "pairs": root / "lol",
        "parts": root / "lol",
        "dark": root / "dark",
        "liked": root / "brackets",
        "brackets": root / "shots",
    }


def folders(data: dict[str, Path], recipe: Recipe) -> dict[str, Path]:
    """Of the recipe's streams."""
    return {stream: data[stream] for stream in recipe.data}


def toy(name: str, steps: int, **settings: Any) -> Recipe:
    """A recipe of ours, shrunk: small crops, few steps, full precision, a point of the curve at every step."""
    recipe = load_recipe(name)
    streams = {
        stream: part.model_copy(
            update={
                "batch_size": None,
                "transforms": part.transforms.model_copy(update={"resize": (40, 56), "crop": SIDE}),
            }
        )
        for stream, part in recipe.data.items()
    }
    assert recipe.validation is not None
    validation = recipe.validation.model_copy(update={"resize": (40, 56), "every": steps, "fraction": 0.25})
    objective = recipe.objective.model_copy(update={"settings": recipe.objective.settings | settings})
    changes = {
        "data": streams,
        "validation": validation,
        "objective": objective,
        "batch_size": 2,
        "steps": steps,
        "epochs": None,
        "precision": "32-true",
        "log_every": 1,
        "preview_every": steps,
        "checkpoint_every": steps,
    }
    return recipe.model_copy(update=changes)


def curves(out: Path) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    with (out / "curve.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            values[row["name"]].append(float(row["value"]))
    return values


def batch(size: int = SIDE) -> Batch:
    dark, bright = pair(size=(size, size))
    low, high = (torch.from_numpy(view).permute(2, 0, 1)[None].float() / 255 for view in (dark, bright))
    return {"low": low, "high": high, "dark": low.flip(3), "liked": high.flip(3)}


class Recorder:
    """Takes the place of the trainer's optimisers: remembers each player's gradients, and clears them."""

    def __init__(self, objective: torch.nn.Module) -> None:
        self.objective = objective
        self.gradients: dict[str, set[str]] = {}

    def __call__(self, player: str, loss: Tensor) -> None:
        self.objective.zero_grad()
        loss.backward()
        self.gradients[player] = {
            name for name, p in self.objective.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
        }


@pytest.mark.parametrize(
    ("name", "steps"),
    [("exdnet_proxy", 24), ("drbn_proxy", 12)],
)
def test_a_toy_training_lowers_its_loss_and_resumes_to_the_same_curve(
    data: dict[str, Path], tmp_path: Path, name: str, steps: int
) -> None:
    recipe = toy(name, steps)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    streams = folders(data, recipe)
    train(recipe, streams, whole, device="cpu", threads=1, progress=False)
    train(recipe, streams, parted, device="cpu", threads=1, progress=False, stop_after=steps // 2)
    train(recipe, streams, parted, device="cpu", threads=1, progress=False)
    losses = curves(whole)["train/loss"]
    third = steps // 3
    assert sum(losses[-third:]) < sum(losses[:third]) - 0.02 * third
    assert curves(parted)["train/loss"] == losses


def test_the_second_stage_trains_from_the_first_and_resumes(data: dict[str, Path], tmp_path: Path) -> None:
    fidelity = toy("drbn_proxy", 2)
    first = train(
        fidelity, folders(data, fidelity), tmp_path / "first", device="cpu", threads=1, progress=False
    ).checkpoint
    steps = 8
    recipe = toy("drbn_perceptual_proxy", steps)
    data = folders(data, recipe)
    with pytest.raises(ValueError, match="starts from a trained drbn"):
        train(recipe, data, tmp_path / "none", device="cpu", threads=1, progress=False)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    options: dict[str, Any] = {"device": "cpu", "threads": 1, "progress": False, "start_from": first}
    result = train(recipe, data, whole, **options)
    train(recipe, data, parted, **options, stop_after=steps // 2)
    train(recipe, data, parted, **options)
    values = curves(whole)
    assert sum(values["train/l1"][-3:]) < sum(values["train/l1"][:3])
    assert "train/judgement" in values
    for name in ("train/loss", "train/judgement"):
        assert curves(parted)[name] == values[name]
    stage1 = load_checkpoint(first)["state_dict"]
    both = load_checkpoint(result.checkpoint)["state_dict"]
    assert all(torch.equal(both[f"stage1.{key}"], value) for key, value in stage1.items())


def test_the_published_alternating_procedure_runs(data: dict[str, Path], tmp_path: Path) -> None:
    recipe = load_recipe("exdnet_proxy")
    settings = {"smooth_l1": 1.0, "adversarial": 1e-4, "total_variation": 0.1, "perceptual": 0.04, "style": 10.0}
    small = toy("exdnet_proxy", 3, **settings)
    optimizers = recipe.optimizers | {"discriminator": recipe.optimizers["network"]}
    result = train(
        small.model_copy(update={"optimizers": optimizers}),
        data["pairs"],
        tmp_path,
        device="cpu",
        threads=1,
        progress=False,
    )
    assert any("VGG16" in note for note in result.manifest["notes"])
    assert {"train/judgement", "train/adversarial"} <= curves(tmp_path).keys()


def test_exdnets_discriminator_learns_from_its_verdict_only() -> None:
    objective = create_objective("exdnet", create("exdnet"), {"perceptual": 0, "style": 0})
    recorder = Recorder(objective)
    objective.step(batch(), recorder)
    assert {name.split(".")[0] for name in recorder.gradients["discriminator"]} == {"discriminator"}
    assert {name.split(".")[0] for name in recorder.gradients["network"]} == {"network"}


def test_a_frozen_discriminator_stays_and_still_speaks() -> None:
    settings = {"perceptual": 0, "style": 0, "discriminator": "frozen"}
    objective = create_objective("exdnet", create("exdnet"), settings)
    recorder = Recorder(objective)
    losses = objective.step(batch(), recorder)
    assert set(objective.players()) == {"network"}
    assert set(recorder.gradients) == {"network"}
    assert losses["adversarial"] > 0


def test_a_fresh_exdnet_learns_in_dark_pixels_only_unclamped() -> None:
    torch.manual_seed(0)
    network = create("exdnet")
    with torch.no_grad():
        network.nlt_bias.fill_(-1.0)  # every pixel below zero
    plain = {"perceptual": 0, "style": 0, "adversarial": 0, "total_variation": 0}
    found = {}
    for clamped in (True, False):
        objective = create_objective("exdnet", network, plain | {"clamped": clamped})
        recorder = Recorder(objective)
        objective.step(batch(), recorder)
        found[clamped] = len(recorder.gradients["network"])
    assert found[True] == 0
    assert found[False] > 50


def test_drbn_compares_every_scale_with_the_strided_reference() -> None:
    objective = create_objective("drbn", create("drbn"), {})
    high = batch()["high"]
    losses = objective.losses((high, high[:, :, ::2, ::2], high[:, :, ::4, ::4]), high)
    assert losses["loss"].item() == pytest.approx(-3, abs=1e-5)
    assert losses["l1"].item() == 0


def test_drbns_first_stage_stays_in_the_second() -> None:
    torch.manual_seed(0)
    objective = create_objective("drbn_perceptual", create("drbn_perceptual"), {"perceptual": 0})
    recorder = Recorder(objective)
    losses = objective.step(batch(), recorder)
    assert {tuple(name.split(".")[:2]) for name in recorder.gradients["network"]} == {("network", "recompose")}
    assert {name.split(".")[0] for name in recorder.gradients["discriminator"]} == {"discriminator"}
    assert {"ssim", "adversarial", "judgement"} <= losses.keys()


def test_drbns_adversarial_weight_is_that_of_its_branch() -> None:
    branches = {name: load_recipe(name).objective.settings for name in ("drbn_perceptual", "drbn_perceptual_other")}
    assert branches["drbn_perceptual"]["adversarial"] == 2
    assert branches["drbn_perceptual_other"]["adversarial"] == 1


def test_well_exposed_pictures_are_chosen_by_their_statistics(data: dict[str, Path], tmp_path: Path) -> None:
    names = {sample.name for sample in find_samples("well_exposed", data["liked"])}
    assert names == set(SCENES) - {"rocket"}
    with pytest.raises(FileNotFoundError, match="statistics"):
        find_samples("well_exposed", data["dark"])
