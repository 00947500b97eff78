"""The house network's procedure: losses fall through the renderer, brightness is matched, hue is not brightness."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.pictures import SCENES, encoded, pair, scene
from training import train
from training.losses.fidelity import match_brightness
from training.networks import create
from training.objectives import create_objective
from training.objectives.nightlift import hue_distance, relative_variation
from training.recipe import Recipe, load_recipe

PAIRS = {"low": (48, 72), "high": (48, 72)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pairs in LOL's layout, and one exposure sequence that also has a well-exposed photo."""
    root = tmp_path_factory.mktemp("data")
    for side in ("low", "high"):
        (root / "lol/our485" / side).mkdir(parents=True)
    for name in SCENES:
        for side, view in zip(("low", "high"), pair(name, (64, 96)), strict=True):
            (root / "lol/our485" / side / f"{name}.png").write_bytes(encoded(view))
    (root / "shots").mkdir()
    lines = ["file,scene,mean_rgb,frac_clipped_hi,frac_black"]
    bright = scene("coffee", (64, 64))
    for name, view, mean in (("dark", bright // 4, 30), ("right", bright, 120)):
        Image.fromarray(view).save(root / "shots" / f"{name}.png")
        lines.append(f"{name}.png,1,{mean},0.0,0.0")
    (root / "shots.scenes.csv").write_text("\n".join(lines) + "\n")
    return {"pairs": root / "lol", "brackets": root / "shots", "photos": root / "shots"}


def toy(steps: int) -> Recipe:
    """The recipe for a CPU on small pictures, a narrow network, a point of the curve at every step."""
    recipe = load_recipe("nightlift_cpu")
    sizes = {"pairs": {"crop": (48, 72)}, "brackets": {"crop": 32}, "photos": {"crop": 32}}
    streams = {
        name: part.model_copy(
            update={"transforms": part.transforms.model_copy(update={"resize": None, **sizes[name]}), "batch_size": 2}
        )
        for name, part in recipe.data.items()
    }
    assert recipe.validation is not None
    rooms = recipe.validation.sets["rooms"].model_copy(update={"fraction": 0.25})
    changes = {
        "data": streams,
        "options": {"width": 6},
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
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    scores = {name for name, _ in rows if name.startswith("validation/")}
    assert scores == {f"validation/{name}" for name in ("psnr", "ssim", "psnr_matched", "ssim_matched")}
    assert result.manifest["best"]["select"] == "psnr_matched"
    streams = {"low", "dark_shot", "darkened"}
    assert {name.removeprefix("train/").removesuffix("_hue") for name, _ in rows if name.endswith("_hue")} == streams


def test_the_loss_is_taken_where_the_map_is_applied() -> None:
    """Noise that the proxy averages away costs nothing there, and much at full size."""
    network = create("nightlift", width=6)
    for last in (network.light, network.head):
        torch.nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    objective = create_objective("nightlift", network, {})
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


def test_an_even_map_does_not_vary() -> None:
    assert relative_variation(torch.full((1, 12, 8, 8), 2.0)) == 0
    assert relative_variation(torch.rand(1, 12, 8, 8)) > 0.5
