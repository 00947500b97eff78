"""Training with the wanted brightness told: losses fall, exposures add up, white stays white, night stays grey."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.contract import BT601
from tests.pictures import SCENES, encoded, pair, scene
from training import train
from training.losses.fidelity import match_brightness
from training.networks import create
from training.networks.nightlift import GAMMA, Nightlift, brightness
from training.objectives import create_objective
from training.objectives.nightlift import NightliftTraining, exposed, hue_distance
from training.recipe import Recipe, load_recipe

TERMS = {"l1", "dissimilarity", "hue", "guess", "white", "black"}


def built(**settings: object) -> NightliftTraining:
    torch.manual_seed(3)
    objective = create_objective("nightlift", create("nightlift", width=8), settings)
    assert isinstance(objective, NightliftTraining)
    return objective


def dark_and_bright(size: tuple[int, int] = (96, 144)) -> tuple[Tensor, Tensor]:
    views = [pair(name, size) for name in ("coffee", "astronaut")]
    low, high = (torch.tensor(np.stack(side)).permute(0, 3, 1, 2) / 255 for side in zip(*views, strict=True))
    return low, high


def test_exposures_one_after_the_other_add_up() -> None:
    image = torch.rand(1, 3, 16, 16) * 0.98 + 0.01
    twice = exposed(exposed(image, torch.tensor(0.7)), torch.tensor(-1.2))
    torch.testing.assert_close(twice, exposed(image, torch.tensor(-0.5)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exposed(image, torch.tensor(0.0)), image)


def test_an_exposure_is_so_many_stops_in_the_dark_and_leaves_black_and_white() -> None:
    dark = torch.full((1, 3, 4, 4), 0.02)
    for stops in (-2.0, 1.0, 2.0):
        light = (exposed(dark, torch.tensor(stops)) / dark) ** GAMMA
        assert torch.log2(light).mean().item() == pytest.approx(stops, abs=0.01)
        assert exposed(torch.ones(1, 3, 4, 4), torch.tensor(stops)).min().item() == pytest.approx(1, abs=1e-5)
        assert exposed(torch.zeros(1, 3, 4, 4), torch.tensor(stops)).max().item() < 1e-4


@pytest.mark.parametrize("kind", ["scenes", "black", "white"])
def test_losses_and_gradients_are_finite(kind: str) -> None:
    low, high = dark_and_bright()
    if kind != "scenes":
        low = torch.full_like(low, float(kind == "white"))
    objective = built()
    losses = objective.losses(low, high if kind == "scenes" else low, scale=0.5)
    assert set(losses) == {"loss", *TERMS}
    assert all(torch.isfinite(value) for value in losses.values())
    losses["loss"].backward()
    for weights in objective.network.parameters():
        assert weights.grad is not None
        assert torch.isfinite(weights.grad).all()


class Recorded(Nightlift):
    """Remembers what it was told, and answers with a gain of its own."""

    def __init__(self, gain: float) -> None:
        super().__init__(width=8)
        self.gain = gain
        self.told: Tensor | None = None

    def affine(
        self, proxy: Tensor, hidden: Tensor, wanted: Tensor | None, exposure: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        self.told = wanted
        coefficients = torch.zeros(len(proxy), 16, *proxy.shape[2:])
        coefficients[:, :3] = self.gain
        coefficients[:, [6, 10, 14]] = self.gain
        return coefficients, torch.zeros(len(proxy), 1)


def test_it_is_told_the_brightness_of_its_reference_and_no_other() -> None:
    low, high = dark_and_bright()
    weights = torch.tensor(BT601).reshape(1, 3, 1, 1)
    network = Recorded(gain=1.0)
    objective = create_objective("nightlift", network, {"wishes": 0.0})
    objective.losses(low, high, scale=0.5)  # type: ignore[operator]
    assert network.told is not None
    torch.testing.assert_close(network.told, brightness(high, weights), rtol=1e-3, atol=1e-2)
    torch.manual_seed(1)
    wishing = create_objective("nightlift", network, {"wishes": 1.0, "spread": 1.0})
    wishing.losses(low, high, scale=0.5)  # type: ignore[operator]
    assert (network.told - brightness(high, weights)).abs().min() > 0.01


def test_darkening_white_costs_and_keeping_it_does_not() -> None:
    low = torch.full((1, 3, 96, 144), 0.3)
    low[..., 72:] = 1.0
    high = low.clone()
    high[..., 72:] = 0.8  # a reference that was exposed darker: white is to stay all the same
    costs = {
        gain: create_objective("nightlift", Recorded(gain), {"wishes": 0.0}).losses(low, high, 0.5)["white"]  # type: ignore[operator]
        for gain in (0.9, 1.0)
    }
    assert costs[1.0] < 1e-6
    assert costs[0.9] > 0.05


def test_colour_in_what_was_black_costs() -> None:
    low = torch.zeros(1, 3, 96, 144)
    plum = torch.tensor([0.1, 0.0, 0.1]).reshape(1, 3, 1, 1)

    class Tinted(Recorded):
        def render(self, coefficients: Tensor, image: Tensor) -> Tensor:
            return image + plum

    for network, cost in ((Tinted(1.0), 0.044), (Recorded(1.0), 0.0)):
        losses = create_objective("nightlift", network, {"wishes": 0.0}).losses(low, low.clone(), 0.5)  # type: ignore[operator]
        assert losses["black"].item() == pytest.approx(cost, abs=0.001)


def test_the_loss_is_taken_where_the_map_is_applied() -> None:
    """Noise that the proxy averages away costs nothing there, and much at full size."""
    objective = create_objective("nightlift", Recorded(gain=1.0), {"wishes": 0.0})
    torch.manual_seed(0)
    flat = torch.full((1, 3, 96, 144), 0.5)
    noisy = (flat + 0.1 * torch.randn_like(flat)).clamp(0, 1)
    small, large = (objective.losses(image, flat, scale=0.25) for image in (flat, noisy))  # type: ignore[operator]
    assert large["l1"] > small["l1"] + 0.03
    assert large["dissimilarity"] > small["dissimilarity"] + 0.2


def test_matching_takes_brightness_out_and_nothing_else() -> None:
    reference = torch.rand(2, 3, 32, 32) * 0.5
    assert torch.allclose(match_brightness(0.5 * reference, reference), reference, atol=1e-5)
    assert torch.allclose(match_brightness(reference / 100, reference), 3 * reference / 100)  # bounded
    image = (0.5 * reference).requires_grad_()
    match_brightness(image, reference).sum().backward()
    assert torch.allclose(image.grad, torch.full_like(reference, 2.0), atol=1e-4)  # type: ignore[arg-type]


def test_hue_ignores_brightness() -> None:
    reference = torch.rand(1, 3, 32, 32) * 0.5 + 0.1
    assert hue_distance(0.5 * reference, reference) < 1e-4
    assert hue_distance(reference.flip(1), reference) > hue_distance(0.9 * reference + 0.02, reference) + 1e-3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pairs in LOL's layout, and photographs with masks."""
    root = tmp_path_factory.mktemp("data")
    for side in ("low", "high"):
        (root / "lol/our485" / side).mkdir(parents=True)
    for folder in ("images", "masks"):
        (root / "objects" / folder).mkdir(parents=True)
    for name in SCENES:
        for side, view in zip(("low", "high"), pair(name, (64, 96)), strict=True):
            (root / "lol/our485" / side / f"{name}.png").write_bytes(encoded(view))
        (root / "objects/images" / f"{name}.png").write_bytes(encoded(scene(name, (64, 96))))
        half = np.zeros((64, 96, 3), np.uint8)
        half[:, 30:70] = 255
        (root / "objects/masks" / f"{name}.png").write_bytes(encoded(half))
    return {"pairs": root / "lol", "objects": root / "objects"}


def toy(steps: int) -> Recipe:
    """The recipe on small pictures of two of its streams, a narrow network, a point of the curve at every step."""
    recipe = load_recipe("nightlift")
    crops = {"pairs": (48, 72), "objects": 48}
    streams = {
        name: recipe.data[name].model_copy(
            update={
                "transforms": recipe.data[name].transforms.model_copy(update={"crop": crop}),
                "batch_size": 2,
            }
        )
        for name, crop in crops.items()
    }
    pairs = [one for one in recipe.objective.settings["pairs"] if one["low"] in ("low", "clean", "dark")]
    settings = {**recipe.objective.settings, "pairs": pairs}
    assert recipe.validation is not None
    rooms = recipe.validation.sets["rooms"].model_copy(update={"fraction": 0.25})
    changes = {
        "data": streams,
        "objective": recipe.objective.model_copy(update={"settings": settings}),
        "options": {"width": 8},
        "validation": recipe.validation.model_copy(update={"every": steps, "sets": {"rooms": rooms}}),
        "steps": steps,
        "precision": "32-true",
        "log_every": 1,
        "checkpoint_every": steps,
        "preview_every": steps,
    }
    return recipe.model_copy(update=changes)


def test_losses_fall_and_held_out_pictures_are_scored(data: dict[str, Path], tmp_path: Path) -> None:
    result = train(toy(25), data, tmp_path, device="cpu", threads=1, progress=False)
    with (tmp_path / "curve.csv").open(newline="") as lines:
        rows = [(row["name"], float(row["value"])) for row in csv.DictReader(lines)]
    losses = [value for name, value in rows if name == "train/loss"]
    assert all(np.isfinite(losses))
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert {name.removesuffix("_white") for name, _ in rows if name.endswith("_white")} == {
        "train/low",
        "train/clean",
        "train/dark",
    }
    assert result.manifest["best"]["select"] == "psnr_matched"
