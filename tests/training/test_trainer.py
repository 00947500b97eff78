"""The loop: losses fall, a resumed run repeats exactly, results are complete, and mistakes are told."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests import pictures
from training import TrainingResult, networks, train
from training._ema import ModelEma
from training._inputs import Inputs
from training._journal import read_curve
from training.checkpoints import build_network, load_checkpoint
from training.datasets import find_samples, hold_out
from training.objectives import Batch, Objective, Player, Settings, Update, frozen, register_objective
from training.objectives.zero_reference import ZeroReference
from training.recipe import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small dark pictures of four scenes."""
    path = tmp_path_factory.mktemp("dark")
    rows = ["file,scene"]
    for name in pictures.SCENES:
        for number in range(3):
            file = f"{name}{number}.png"
            (path / file).write_bytes(pictures.encoded(pictures.dark_scene(name, (40, 40), seed=number)))
            rows.append(f"{file},{name}")
    (path / "scenes.csv").write_text("\n".join(rows))
    return path


def _recipe(**changes: object) -> Recipe:
    content: dict[str, object] = {
        "title": "toy",
        "network": "zero_dce_improved",
        "objective": {"name": "zero_reference", "settings": {"color_epsilon": 1e-9}},
        "data": {"image": {"layout": "folder", "transforms": {"resize": 32, "flips": {"horizontal": 0.5}}}},
        "batch_size": 4,
        "steps": 12,
        "optimizers": {
            "network": {"lr": 3e-3, "clip_norm": 0.1, "schedule": {"shape": "cosine", "floor": 1e-4, "warmup": 2}}
        },
        "ema": 0.9,
        "validation": {"fraction": 0.25, "every": 4},
        "log_every": 2,
        "checkpoint_every": 6,
        "preview_every": 6,
    }
    return Recipe.model_validate(content | changes)


def _train(recipe: Recipe, data: Path | Mapping[str, Path], out: Path, **options: object) -> TrainingResult:
    return train(recipe, data, out, device="cpu", progress=False, **options)  # type: ignore[arg-type]


def _values(out: Path, name: str) -> list[tuple[int, float]]:
    return read_curve(out / "curve.csv")[name]


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted toy training."""
    out = tmp_path_factory.mktemp("run")
    _train(_recipe(), folder, out)
    return out


def test_losses_fall(run: Path) -> None:
    losses = [value for _, value in _values(run, "train/loss")]
    assert len(losses) == 6
    assert losses[-1] < 0.9 * losses[0]
    brightness = [value for _, value in _values(run, "validation/brightness")]
    assert brightness[-1] > brightness[0]


def test_numbers_too_small_to_matter_are_nothing_while_it_trains(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def smallest() -> float:
        return (torch.tensor([1e-39]) * torch.ones(1)).item()

    products = []
    losses = ZeroReference.losses

    def noting(objective: ZeroReference, image: Tensor) -> dict[str, Tensor]:
        products.append(smallest())
        return losses(objective, image)

    monkeypatch.setattr(ZeroReference, "losses", noting)
    _train(_recipe(), folder, tmp_path, stop_after=1)
    assert products[0] == 0  # each would take a hundred times as long
    assert smallest() > 0  # and other code of the process gets what it expects


def test_a_resumed_run_repeats_exactly(run: Path, folder: Path, tmp_path: Path) -> None:
    _train(_recipe(), folder, tmp_path, stop_after=6)
    assert not (tmp_path / "final.pt").exists()
    result = _train(_recipe(), folder, tmp_path)
    assert result.manifest["steps_done"] == 12
    for name in ("train/loss", "train/color", "validation/loss", "lr/network"):
        assert _values(tmp_path, name) == _values(run, name)
    expected, resumed = load_checkpoint(run / "final.pt"), load_checkpoint(tmp_path / "final.pt")
    for key, value in expected["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 2}, "recipe.seed (0 there, 2 here)"),
        ({"steps": 14}, "recipe.steps (12 there, 14 here)"),
        ({"batch_size": 2}, "recipe.batch_size (4 there, 2 here)"),
    ],
)
def test_another_training_is_not_gone_on_with(
    folder: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    _train(_recipe(), folder, tmp_path, stop_after=6)
    with pytest.raises(ValueError, match=re.escape(told)):
        _train(_recipe(**changes), folder, tmp_path)
    assert _train(_recipe(log_every=3), folder, tmp_path).manifest["steps_done"] == 12  # this may change


def test_other_data_are_another_training(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    _train(_recipe(), folder, tmp_path / "run", stop_after=6)
    (other / "coffee0.png").rename(other / "coffee9.png")
    with pytest.raises(ValueError, match=r"data\.image\.digest"):
        _train(_recipe(), other, tmp_path / "run")


def test_a_resumed_run_remembers_what_it_began_with(folder: Path, run: Path, tmp_path: Path) -> None:
    recipe = _recipe(starts_from="a toy")
    _train(recipe, folder, tmp_path, stop_after=6, start_from=run / "final.pt")
    manifest = _train(recipe, folder, tmp_path).manifest
    assert manifest["began_with"]["recipe"]["title"] == "toy"
    assert f"--start-from {run / 'final.pt'}" in manifest["command"]


def test_a_hold_out_without_a_list_of_scenes_is_told(folder: Path, tmp_path: Path) -> None:
    listed = _train(_recipe(), folder, tmp_path / "listed", stop_after=1).manifest["notes"]
    unlisted = shutil.copytree(folder, tmp_path / "unlisted", ignore=shutil.ignore_patterns("*.csv"))
    notes = _train(_recipe(), unlisted, tmp_path / "run", stop_after=1).manifest["notes"]
    assert next(note for note in notes if note not in listed).startswith("no two photos")


def test_a_batch_is_shared_out_evenly_or_not_at_all(folder: Path) -> None:
    samples = find_samples("folder", folder)
    with pytest.raises(ValueError, match=r"data\.image: 4 samples a step .* 3 devices"):
        Inputs(_recipe(), {"image": samples}, workers=0, devices=3)


def test_streams_of_one_data_set_may_differ(folder: Path) -> None:
    words = {"layout": "folder", "transforms": {"resize": 16}}
    data = {"image": words, "again": {**words, "fields": {"again": "image"}}}
    samples = find_samples("folder", folder)
    for seed, same in ((0, True), (1, False)):
        data["again"]["seed"] = seed
        batch = Inputs(_recipe(data=data), dict.fromkeys(data, samples), workers=0).batch(0, 0, 1)
        assert torch.equal(batch["image"], batch["again"]) == same


def test_beginning_anew_forgets_the_earlier_run(folder: Path, tmp_path: Path) -> None:
    _train(_recipe(), folder, tmp_path, stop_after=6)
    _train(_recipe(), folder, tmp_path, stop_after=2, resume=False)
    assert [step for step, _ in _values(tmp_path, "train/loss")] == [2]


def test_another_seed_gives_another_run(run: Path, folder: Path, tmp_path: Path) -> None:
    _train(_recipe(), folder, tmp_path, seed=1, stop_after=2)
    assert _values(tmp_path, "train/loss")[0] != _values(run, "train/loss")[0]


def test_what_is_held_out_is_trained_on_in_no_stream(folder: Path, tmp_path: Path) -> None:
    part = {"layout": "folder", "transforms": {"resize": 32}}
    recipe = _recipe(data={"image": part, "parts": part, "others": part})
    elsewhere = tmp_path / "others"
    elsewhere.mkdir()
    for file in folder.iterdir():
        (elsewhere / file.name).write_bytes(file.read_bytes())
    (tmp_path / "linked").symlink_to(folder)
    folders = {"image": folder, "parts": tmp_path / "linked", "others": elsewhere}
    result = _train(recipe, folders, tmp_path / "run", stop_after=1)
    counts = {name: (data["samples"], data["held_out"]) for name, data in result.manifest["data"].items()}
    assert counts == {"image": (9, 3), "parts": (9, 3), "others": (9, 3)}  # copies are known by their bytes


def test_a_stream_of_nothing_but_held_out_samples_is_refused(folder: Path, tmp_path: Path) -> None:
    part = {"layout": "folder", "transforms": {"resize": 32}}
    _, held_out = hold_out(find_samples("folder", folder), 0.25, seed=0)
    few = tmp_path / "few"
    few.mkdir()
    for sample in held_out:
        (few / sample.files["image"].name).symlink_to(sample.files["image"])
    recipe = _recipe(data={"image": part, "parts": part})
    with pytest.raises(ValueError, match=r"stream parts .* has held-out samples only"):
        _train(recipe, {"image": folder, "parts": few}, tmp_path / "run")


def test_results_are_complete(run: Path) -> None:
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["command"].startswith("nightlift train zero_dce_improved --data ")
    assert manifest["seed"] == 0
    assert manifest["steps_done"] == manifest["steps"] == 12
    assert manifest["data"]["image"]["samples"] == 9
    assert manifest["data"]["image"]["held_out"] == 3
    assert manifest["recipe"]["ema"] == 0.9
    assert {"loss", "exposure"} <= manifest["final_losses"].keys()
    assert manifest["libraries"]["torch"] == torch.__version__
    assert manifest["seconds"] > 0
    for name in ("best.pt", "final.pt"):
        checkpoint = load_checkpoint(run / name)
        assert checkpoint["manifest"] == manifest
        assert build_network(checkpoint)(torch.rand(1, 3, 20, 24)).shape == (1, 3, 20, 24)
    with (run / "curve.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["step", "seconds", "name", "value"]
    assert list((run / "tensorboard").glob("events.*"))


def test_the_best_checkpoint_has_the_best_score(run: Path) -> None:
    best = json.loads((run / "run.json").read_text())["best"]
    step, value = min(_values(run, "validation/loss"), key=lambda point: point[1])
    assert (best["step"], best["score"]) == (step, pytest.approx(value, rel=1e-5))


def test_low_precision_trains_too_and_exports_full_precision(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(precision="bf16-mixed", channels_last=True)
    result = _train(recipe, folder, tmp_path)
    losses = [value for _, value in _values(tmp_path, "train/loss")]
    assert losses[-1] < 0.9 * losses[0]
    weights = load_checkpoint(result.checkpoint)["state_dict"]
    assert all(value.dtype == torch.float32 and value.is_contiguous() for value in weights.values())


def test_training_can_start_from_a_checkpoint(run: Path, folder: Path, tmp_path: Path) -> None:
    _train(_recipe(), folder, tmp_path, start_from=run / "final.pt", stop_after=2)
    assert _values(tmp_path, "train/loss")[0][1] < _values(run, "train/loss")[0][1]
    with pytest.raises(ValueError, match="cannot start this training"):
        _train(_recipe(network="zero_dce"), folder, tmp_path / "other", start_from=run / "final.pt")
    with pytest.raises(ValueError, match="starts from a trained drbn"):
        _train(_recipe(starts_from="a trained drbn"), folder, tmp_path / "third")


def test_divergence_is_told(folder: Path, tmp_path: Path) -> None:
    recipe = _recipe(optimizers={"network": {"kind": "sgd", "lr": 1e30}}, validation=None)
    with pytest.raises(ValueError, match="diverged"):
        _train(recipe, folder, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": {"network": {"lr": 1e-3}, "critic": {"lr": 1e-3}}}, "needs optimizers for network"),
        ({"validation": {"every": 1, "select": "psnr"}}, "no score 'psnr' to select by, only .*loss"),
        ({"data": {"image": {"layout": "folder", "fields": {"image": "low"}}}}, "no field 'low', only image"),
        (
            {
                "data": {
                    "pairs": {"layout": "folder", "fields": {"low": "image", "high": "image"}},
                    "more": {"layout": "folder", "fields": {"low": "image"}},
                }
            },
            "two streams share low in the batch, but not high; set `fields`",
        ),
        (
            {
                "data": {
                    "image": {"layout": "folder", "transforms": {"crop": 16}},
                    "more": {"layout": "folder", "transforms": {"crop": [16, 24]}},
                }
            },
            "must give one size; they give 16x16, 16x24: set `crop`",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_told(
    folder: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _train(_recipe(**changes), folder, tmp_path)


def test_streams_with_equal_names_fill_a_batch_together(folder: Path, tmp_path: Path) -> None:
    samples = find_samples("folder", folder, "train")
    data = {
        "image": {"layout": "folder", "transforms": {"crop": 16}, "batch_size": 2},
        "more": {"layout": "folder", "transforms": {"crop": 16}, "batch_size": 1},
    }
    batch = Inputs(_recipe(data=data), dict.fromkeys(data, samples), workers=0).batch(0, 0, 1)
    assert batch["image"].shape == (3, 3, 16, 16)


def test_streams_need_their_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"folder for each of image; given: picture"):
        _train(_recipe(), {"picture": folder}, tmp_path)


class _Duel(Objective):
    """A small adversarial procedure with two players, a frozen teacher, and a running value."""

    def __init__(self, network: nn.Module, settings: Settings, resources: Mapping[str, Path]) -> None:
        super().__init__(network)
        self.critic = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3))
        self.teacher = networks.create("zero_dce_improved").requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()))

    def players(self) -> dict[str, Player]:
        return {"network": Player(self.network), "critic": Player(self.critic)}

    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        fake = self.network(batch["image"] + 0.01 * torch.rand_like(batch["image"]))
        judgement = (self.critic(batch["real"]) - 1).square().mean() + self.critic(fake.detach()).square().mean()
        update("critic", judgement)
        with frozen(self.critic):
            loss = (self.critic(fake) - 1).square().mean() + (fake - self.teacher(batch["image"])).abs().mean()
            update("network", loss)
        self.seen += len(fake)
        return {"loss": loss, "judgement": judgement, "seen": self.seen.clone()}


register_objective("test_duel", Settings)(_Duel)


def test_several_players_and_streams_resume_exactly(folder: Path, tmp_path: Path) -> None:
    resized = {"resize": 32}
    recipe = _recipe(
        objective={"name": "test_duel"},
        data={
            "image": {"layout": "folder", "transforms": resized},
            "real": {"layout": "folder", "fields": {"real": "image"}, "transforms": resized, "batch_size": 2},
        },
        optimizers={
            "network": {"lr": 1e-3},
            "critic": {"lr": 1e-3, "kind": "adamw", "schedule": {"shape": "constant"}},
        },
        validation=None,
        steps=6,
        checkpoint_every=3,
    )
    _train(recipe, {"image": folder, "real": folder}, tmp_path / "whole")
    _train(recipe, {"image": folder, "real": folder}, tmp_path / "parts", stop_after=3)
    _train(recipe, folder, tmp_path / "parts")
    for name in ("train/loss", "train/judgement", "train/seen"):
        assert _values(tmp_path / "parts", name) == _values(tmp_path / "whole", name)
    whole, parts = (torch.load(tmp_path / part / "last.ckpt", weights_only=True) for part in ("whole", "parts"))
    assert whole["objective"].keys() == parts["objective"].keys()
    for key, value in whole["objective"].items():
        assert torch.equal(value, parts["objective"][key]), key
    assert whole["objective"]["seen"] == 24


def test_average_forgets_the_first_weights_and_restores_the_last() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 5.0)
    average = ModelEma(module, 0.5)
    for value in (1.0, 2.0, 3.0, 4.0):
        nn.init.constant_(module.weight, value)
        average.update()
    with average.applied():
        inside = module.weight.item()
    assert 2.5 < inside < 4.0
    assert module.weight.item() == 4.0
