"""Training of what takes noise out of answers: losses fall, brightness counts as much as it is told to."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pictures import SCENES, encoded, scene
from training import networks, train
from training.datasets.answers import COLUMNS, TABLE
from training.objectives import create_objective
from training.recipe import load_recipe


class Constant(nn.Module):
    """Multiplies the answer."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, pair: Tensor) -> Tensor:
        return self.factor * pair[:, :3]


def loss_of(factor: float, matched: float) -> float:
    triple = {"answer": "answer", "dark": "dark", "reference": "reference", "matched": matched}
    objective = create_objective("restorer", Constant(factor), {"triples": [triple]})
    picture = torch.tensor(scene("coffee", (64, 96))).permute(2, 0, 1)[None] / 255
    steps: list[Tensor] = []
    batch = {"answer": 0.5 * picture, "dark": 0.1 * picture, "reference": 0.5 * picture}
    log = objective.step(batch, lambda player, loss: steps.append(loss))
    assert len(steps) == 1
    assert torch.isfinite(log["loss"])
    return float(log["answer_difference"].detach())


def test_brightness_costs_nothing_where_only_the_matched_answer_counts() -> None:
    assert loss_of(0.8, matched=0.0) > loss_of(1.0, matched=0.0) + 0.03
    assert loss_of(0.8, matched=1.0) == pytest.approx(loss_of(1.0, matched=1.0), abs=1e-3)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `training.answers` writes it: bright answers with noise, and the same without."""
    root = tmp_path_factory.mktemp("answers")
    rows = []
    for copy in range(3):
        for number, name in enumerate(SCENES):
            random = np.random.default_rng([copy, number])
            high = scene(name, (48, 64))
            noisy = np.clip(high + random.normal(0, 20, high.shape), 0, 255).astype(np.uint8)
            label = f"{name}{copy}"
            views = {"low": noisy // 4, "answer": noisy, "high": high}
            for part, view in views.items():
                (root / f"{label}.{part}.png").write_bytes(encoded(view))
            rows.append((label, f"photos/{label}", *(f"{label}.{part}.png" for part in views)))
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return root


def test_it_learns_one_batch() -> None:
    torch.manual_seed(0)
    network = networks.create("restorer", widths=(8, 12, 16))
    objective = create_objective(
        "restorer", network, {"triples": [{"answer": "answer", "dark": "low", "reference": "high"}]}
    )
    reference = torch.tensor(scene("coffee", (32, 48))).permute(2, 0, 1)[None] / 255
    answer = (reference + 0.1 * torch.randn_like(reference)).clamp(0, 1)
    batch = {"answer": answer, "low": 0.25 * answer, "high": reference}
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    losses: list[float] = []

    def update(player: str, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))

    for _ in range(60):
        objective.step(batch, update)
    assert losses[-1] < 0.8 * losses[0]


def test_both_streams_are_trained_and_both_sets_are_scored(answers: Path, tmp_path: Path) -> None:
    recipe = load_recipe("restorer")
    small = {
        name: part.model_copy(update={"transforms": part.transforms.model_copy(update={"crop": 32}), "batch_size": 3})
        for name, part in recipe.data.items()
    }
    assert recipe.validation is not None
    recipe = recipe.model_copy(
        update={
            "data": small,
            "options": {"widths": (8, 12, 16)},
            "steps": 6,
            "precision": "32-true",
            "validation": recipe.validation.model_copy(update={"every": 6}),
            "log_every": 1,
            "checkpoint_every": 6,
            "preview_every": 6,
        }
    )
    folders = {"rooms": answers, "photos": answers}
    result = train(recipe, folders, tmp_path / "run", device="cpu", threads=1, progress=False)
    with (tmp_path / "run/curve.csv").open(newline="") as lines:
        rows = [(row["name"], float(row["value"])) for row in csv.DictReader(lines)]
    losses = [value for name, value in rows if name == "train/loss"]
    assert all(np.isfinite(losses))
    assert result.manifest["steps_done"] == 6
    assert any("rooms" in name or "psnr" in name for name, _ in rows if name.startswith("validation/"))
