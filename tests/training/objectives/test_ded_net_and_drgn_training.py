"""The procedures of DED-Net and DRGN at toy size: losses fall, interrupted runs repeat, each player does its part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.pictures import SCENES, encoded, pair
from training import train
from training._journal import read_curve
from training.checkpoints import build_network, load_checkpoint
from training.networks import create
from training.objectives import Batch, create_objective
from training.recipe import Recipe, load_recipe

SIDE = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs in LOL's layout."""
    root = tmp_path_factory.mktemp("lol")
    for side in ("low", "high"):
        (root / "our485" / side).mkdir(parents=True)
    for name in SCENES:
        for side, view in zip(("low", "high"), pair(name, (40, 56)), strict=True):
            (root / "our485" / side / f"{name}.png").write_bytes(encoded(view))
    return root


def toy(name: str, steps: int, lr: float, **settings: Any) -> Recipe:
    """A recipe of ours, shrunk: a narrow network, small crops, few steps, a point of the curve at every step."""
    recipe = load_recipe(name)
    pairs = recipe.data["pairs"]
    transforms = pairs.transforms.model_copy(
        update={"resize": (40, 56), "crop": SIDE, "exposure": None, "illumination": None}
    )
    assert recipe.validation is not None
    network = recipe.optimizers["network"]
    changes = {
        "options": {**recipe.options, "width": 8},
        "data": {"pairs": pairs.model_copy(update={"transforms": transforms})},
        "objective": recipe.objective.model_copy(update={"settings": recipe.objective.settings | settings}),
        "optimizers": recipe.optimizers | {"network": network.model_copy(update={"lr": lr})},
        "validation": recipe.validation.model_copy(update={"resize": (40, 56), "every": steps, "fraction": 0.25}),
        "batch_size": 2,
        "steps": steps,
        "precision": "32-true",
        "ema": 0.9,
        "log_every": 1,
        "preview_every": steps,
        "checkpoint_every": steps,
    }
    return recipe.model_copy(update=changes)


def curve(out: Path, name: str = "train/loss") -> list[float]:
    return [value for _, value in read_curve(out / "curve.csv")[name]]


def run(recipe: Recipe, data: Path, out: Path, **options: Any) -> Path:
    return train(recipe, data, out, device="cpu", threads=1, progress=False, **options).checkpoint


def batch(*names: str) -> Batch:
    views = [pair(name, (SIDE, SIDE)) for name in names or SCENES[:2]]
    low, high = (
        torch.stack([torch.from_numpy(view[side]).permute(2, 0, 1).float() / 255 for view in views])
        for side in (0, 1)
    )
    return {"low": low, "high": high}


class Recorder:
    """Takes the place of the trainer's optimisers: remembers which parameters each loss reaches."""

    def __init__(self, objective: torch.nn.Module) -> None:
        self.objective = objective
        self.reached: dict[str, set[str]] = {}

    def __call__(self, player: str, loss: Tensor) -> None:
        self.objective.zero_grad()
        loss.backward()
        self.reached[player] = {
            name.split(".")[0] if player != "network" else ".".join(name.split(".")[:2])
            for name, p in self.objective.named_parameters()
            if p.grad is not None and p.grad.abs().max() > 0
        }


@pytest.mark.parametrize(("name", "steps"), [("ded_net_proxy", 24), ("drgn_proxy", 28)])
def test_a_toy_training_lowers_its_loss_and_resumes_to_the_same_curve(
    data: Path, tmp_path: Path, name: str, steps: int
) -> None:
    recipe = toy(name, steps, 3e-3)
    checkpoint = run(recipe, data, tmp_path / "whole")
    run(recipe, data, tmp_path / "parted", stop_after=steps // 2)
    run(recipe, data, tmp_path / "parted")
    losses = curve(tmp_path / "whole")
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])
    assert curve(tmp_path / "parted") == losses
    if name == "drgn_proxy":
        degradation_carries_energy(checkpoint, curve(tmp_path / "whole", "train/degradation")[-1])


def degradation_carries_energy(checkpoint: Path, measured: float) -> None:
    """The guard against a degradation of zero: most of the missing light is found by the first generator."""
    network = build_network(load_checkpoint(checkpoint))
    pictures = batch(*SCENES)
    with torch.no_grad():
        degradation = network.degradation(pictures["low"])
    missing_light = float((pictures["high"] - pictures["low"]).mean())
    assert -degradation.mean() > 0.4 * missing_light
    assert measured > 0.4 * missing_light


def test_stage_b_goes_on_from_stage_a_lowers_its_losses_and_resumes_to_the_same_curve(
    data: Path, tmp_path: Path
) -> None:
    first = run(toy("drgn_proxy", 8, 2e-3), data, tmp_path / "a")
    recipe = toy("drgn_proxy_b", 12, 2e-3, adversary_width=8)
    with pytest.raises(ValueError, match="starts from a network trained by drgn_proxy"):
        run(recipe, data, tmp_path / "nothing")
    run(recipe, data, tmp_path / "whole", start_from=first)
    run(recipe, data, tmp_path / "parted", start_from=first, stop_after=6)
    run(recipe, data, tmp_path / "parted")
    for name in ("train/loss", "train/dark_judgement", "train/degradation_judgement"):
        values = curve(tmp_path / "whole", name)
        assert sum(values[-4:]) < sum(values[:4]), name
        assert curve(tmp_path / "parted", name) == values


def test_without_the_anchor_nothing_draws_the_base_to_the_reference() -> None:
    pictures = batch()
    reached = {}
    for anchor in (0.0, 0.1):
        torch.manual_seed(0)
        objective = create_objective("drgn_stage_a", create("drgn", width=8), {"anchor": anchor})
        base = pictures["low"].clone().requires_grad_()
        objective.fidelity(base, pictures["high"], pictures["high"])["loss"].requires_grad_().backward()
        reached[anchor] = base.grad is not None and bool(base.grad.abs().max() > 0)
    assert reached == {0.0: False, 0.1: True}


def test_stage_bs_losses_reach_their_players_and_only_them() -> None:
    torch.manual_seed(0)
    objective = create_objective("drgn_stage_b", create("drgn", width=8), {"adversary_width": 8})
    record = Recorder(objective)
    losses = objective.step(batch(), record)
    assert record.reached == {
        "dark_discriminator": {"dark_discriminator"},
        "degradation_discriminator": {"degradation_discriminator"},
        "network": {"network.degradation_generator", "network.refinement_generator"},
    }
    assert all(value.isfinite() for value in losses.values())


@pytest.mark.parametrize("adversary", ["dark_discriminator", "degradation_discriminator"])
def test_each_adversary_moves_the_degradation_generator(adversary: str) -> None:
    def gradient(change: Callable[[Any], None]) -> Tensor:
        torch.manual_seed(0)
        objective = create_objective(
            "drgn_stage_b", create("drgn", width=8), {"adversarial": 1.0, "noise": 0.0, "adversary_width": 8}
        )
        change(objective)
        objective.step(batch(), lambda player, loss: loss.backward() if player == "network" else None)
        return objective.network.degradation_generator.decoder[2].weight.grad.clone()

    def mute(objective: Any) -> None:
        for parameter in getattr(objective, adversary).layers[-1].parametrizations.weight.parameters():
            parameter.data.neg_()

    assert (gradient(lambda objective: None) - gradient(mute)).abs().max() > 1e-6


def test_made_dark_pictures_are_as_dark_as_real_ones() -> None:
    objective = create_objective("drgn_stage_b", create("drgn", width=8), {"noise": 0.0, "darkness": (0.05, 0.1)})
    bright = torch.full((3, 3, 16, 16), 0.6)
    for change in (-0.3, -0.52, -0.59):  # too bright, right, too dark
        made = objective.darken(bright, torch.full_like(bright, change))
        expected = min(max(0.6 + change, 0.05), 0.1)
        torch.testing.assert_close(made.mean(), torch.tensor(expected), rtol=0, atol=1e-4)
    brightening = objective.darken(bright, torch.full_like(bright, 0.1))
    torch.testing.assert_close(brightening, torch.full_like(bright, 0.7))  # which no scale could turn into darkness


def test_a_pool_of_bright_pictures_takes_the_place_of_the_batchs_references() -> None:
    torch.manual_seed(0)
    objective = create_objective("drgn_stage_b", create("drgn", width=8), {"adversary_width": 8})
    seen = []
    objective.darken = lambda bright, degradation: seen.append(bright) or bright * 0.2  # type: ignore[method-assign]
    pictures = dict(batch())
    objective.step(pictures, lambda player, loss: None)
    objective.step(pictures | {"bright": pictures["high"] * 0.9}, lambda player, loss: None)
    assert torch.equal(seen[0], pictures["high"].flip(0))
    assert torch.equal(seen[1], pictures["high"] * 0.9)


def test_mixtures_are_of_two_pairs_in_one_proportion() -> None:
    objective = create_objective("ded_net", create("ded_net", width=8), {"mixup": 1.0})
    low = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    shares = set()
    for seed in range(8):
        torch.manual_seed(seed)
        mixed_low, mixed_high = objective.mixed(low, low * 0.5)
        torch.testing.assert_close(mixed_high, mixed_low * 0.5)
        assert 0 <= mixed_low.min() <= mixed_low.max() <= 1
        shares.add(round(float(mixed_low[0, 0, 0, 0]), 4))
    assert len(shares) > 3


def test_mixing_happens_as_often_as_asked() -> None:
    objective = create_objective("ded_net", create("ded_net", width=8), {"mixup": 0.0})
    pictures = batch()
    torch.manual_seed(0)
    for _ in range(5):
        low, high = objective.mixed(pictures["low"], pictures["high"])
        assert low is pictures["low"]
        assert high is pictures["high"]


@pytest.mark.parametrize("name", ["ded_net", "ded_net_proxy", "ded_net_proxy_fine", "drgn_a", "drgn_b", "drgn_proxy"])
def test_recipes_are_whole(name: str) -> None:
    recipe = load_recipe(name)
    objective = create_objective(recipe.objective.name, create(recipe.network, width=8), recipe.objective.settings)
    assert set(objective.players()) == set(recipe.optimizers)


def test_ded_nets_published_rate_rises_first() -> None:
    optimizer = load_recipe("ded_net").optimizers["network"]
    rates = [optimizer.schedule.rate(optimizer.lr, step, 150_000) for step in (0, 45_999, 46_000, 149_999)]
    assert rates == pytest.approx([2e-4, 3e-4, 2e-4, 1e-6], rel=1e-3)
    assert optimizer.clip_norm == 0.01
