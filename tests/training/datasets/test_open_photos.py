"""Views of environment maps, masks without a network, and the layouts of freely licensed pictures, on made ones."""

from __future__ import annotations

import base64
import csv
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from tests.open_pictures import source
from tests.pictures import constant, scene
from training import load_recipe
from training._holdout import split_samples
from training._inputs import Inputs
from training._validation import Validation
from training.datasets import find_samples, make_open, open_photos, open_sources, read_picture
from training.datasets._environment import KEY, look, random_pair, read_map, shoot
from training.datasets._masks import find_masks


def sphere(height: int = 64) -> np.ndarray:
    """A map with dim ground, a sky eight times as bright, and a lamp straight ahead of yaw 0."""
    light = np.full((height, 2 * height, 3), 0.05, np.float32)
    light[: height // 2] = 0.4
    light[height // 2 - 2 : height // 2 + 2, height - 2 : height + 2] = 50
    return light


def exr(path: Path, light: np.ndarray) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": light}).write(str(path))
    return path


def test_a_map_is_read_from_a_file_and_from_a_script(tmp_path: Path) -> None:
    file = exr(tmp_path / "hall.exr", sphere())
    (tmp_path / "hall.exr.js").write_text(
        f"export default 'data:application/exr;base64,{base64.b64encode(file.read_bytes()).decode()}'"
    )
    np.testing.assert_array_equal(read_map(file), sphere())
    np.testing.assert_array_equal(read_map(tmp_path / "hall.exr.js"), sphere())
    (tmp_path / "none.js").write_text("export default 1")
    with pytest.raises(ValueError, match="no data URL"):
        read_map(tmp_path / "none.js")


def test_the_view_looks_where_it_is_told() -> None:
    ahead = look(sphere(), 0.0, 0.0, np.radians(60), (48, 64))
    assert ahead.shape == (48, 64, 3)
    np.testing.assert_allclose(np.argwhere(ahead[..., 0] > 10).mean(axis=0), (23.5, 31.5), atol=1)
    assert ahead[5].mean() == pytest.approx(0.4, abs=0.01)
    assert ahead[-5].mean() == pytest.approx(0.05, abs=0.01)
    aside = look(sphere(), np.radians(20), 0.0, np.radians(60), (48, 64))
    # 20 of 60 degrees to the left of the middle: tan 20 / tan 30 of half the width.
    lamp = np.argwhere(aside[..., 0] > 10).mean(axis=0)[1]
    assert lamp == pytest.approx(31.5 - 32 * np.tan(np.radians(20)) / np.tan(np.radians(30)), abs=2)
    up = look(sphere(), np.pi, np.radians(60), np.radians(40), (48, 64))
    assert up.min() == pytest.approx(0.4, abs=0.01)  # across the seam, nothing but sky


def test_exposure_is_true_and_black_stays_black() -> None:
    light = np.array([[[0.0, 0.001, 0.002]]], np.float32)
    dark = shoot(light, 0, 1e6, 1.0) / 255
    brighter = shoot(light, 4, 1e6, 1.0) / 255
    assert dark[0, 0, 0] == brighter[0, 0, 0] == 0
    assert brighter[0, 0, 2] == pytest.approx(16 * 0.002 / (1 + 16 * 0.002), abs=0.003)
    assert shoot(np.full((1, 1, 3), 4.0, np.float32), 0, 4.0, 2.2).min() == 255  # the light that gives white


def test_a_pair_is_dark_and_well_exposed() -> None:
    dark, reference = random_pair(sphere(), np.random.default_rng(2))
    assert dark.shape == reference.shape
    assert dark.mean() < 0.6 * reference.mean()
    assert 60 < reference.mean() < 190
    assert KEY == 0.18


def test_masks_find_a_subject_and_what_stands_before_the_sky() -> None:
    view = constant(0, (120, 160)).copy()
    view[:70] = (110, 160, 230)
    view[70:] = (60, 90, 30)
    rng = np.random.default_rng(0)
    view = np.clip(view + rng.normal(0, 3, view.shape), 0, 255).astype(np.uint8)
    masks = find_masks(view, rng)
    assert masks["sky"].shape == (120, 160)
    assert (masks["sky"][:64] == 0).mean() > 0.95
    assert (masks["sky"][76:] == 255).mean() > 0.95
    assert 0.05 < (masks["regions"] > 0).mean() < 0.9

    view[:] = (90, 120, 60)
    view[35:85, 50:110] = (200, 60, 50)
    view = np.clip(view + rng.normal(0, 3, view.shape), 0, 255).astype(np.uint8)
    subject = find_masks(view, rng)["subject"] > 0
    assert subject[40:80, 55:105].mean() > 0.95
    assert subject[:25].mean() < 0.05


def test_pictures_of_one_colour_have_no_subject() -> None:
    assert set(find_masks(constant(90, (64, 64)), np.random.default_rng(0))) <= {"regions"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three made photographs, of which one is held out and one is copyleft, and a map."""
    root = tmp_path / "open"
    (root / "originals").mkdir(parents=True)
    rows = []
    for name, picture, changes in [
        ("kept.png", scene("coffee", (96, 128)), {}),
        ("shared.png", scene("chelsea", (96, 128)), {"copyleft": "yes", "licence": "GPL-2.0-or-later"}),
        ("apart.png", scene("astronaut", (96, 128)), {}),
        ("night.png", scene("rocket", (96, 128)), {"exposure": "dark"}),
    ]:
        Image.fromarray(picture).save(root / "originals" / name)
        rows.append(source(name, (root / "originals" / name).read_bytes(), **changes))
    for name, light in [("hall.exr", sphere()), ("attic.exr", 0.5 * sphere())]:
        body = exr(root / "originals" / name, light).read_bytes()
        rows.append(source(name, body, kind="environment", exposure="linear"))
    with (tmp_path / "sources.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].model_dump().keys())
        writer.writeheader()
        writer.writerows(row.model_dump() | {"copyleft": "yes" if row.copyleft else "no"} for row in rows)
    (tmp_path / "holdout.csv").write_text("scene\napart\nattic\n")
    monkeypatch.setattr(open_sources, "LIST", tmp_path / "sources.csv")
    monkeypatch.setattr(open_photos, "HELD_OUT", tmp_path / "holdout.csv")
    monkeypatch.setattr(make_open, "VIEWS_OF_A_MAP", 2)
    return root


def test_layouts_read_what_was_made_and_keep_held_out_scenes_apart(data: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"make_open .* makes it"):
        find_samples("open_pairs", data, "test")
    counts = make_open.make(data)
    assert counts["held_out"] == 1
    assert counts["environment"] == 4
    assert counts["masks"] >= 2

    def names(layout: str, split: str) -> set[str]:
        return {sample.name.partition(".")[0] for sample in find_samples(layout, data, split)}

    assert names("open_photos", "train") == {"kept", "shared"}
    assert names("open_all_photos", "train") == {"kept", "shared", "night"}
    assert names("open_photos", "test") == names("open_pairs", "test") == {"apart"}
    assert "apart" not in names("open_objects", "train")
    assert names("environment", "train") == {"hall"}
    assert names("environment", "test") == {"attic"}
    (pair,) = find_samples("open_pairs", data, "test")
    dark, reference = (read_picture(pair.files[field]) for field in ("low", "high"))
    assert dark.mean() < 0.8 * reference.mean()
    for sample in find_samples("open_objects", data, "train"):
        longest = load_recipe("nightlift_open").data["objects"].transforms.longest
        assert longest == make_open.MASK_LONGEST
        image, mask = (read_picture(sample.files[field], longest=longest) for field in ("image", "mask"))
        assert image.shape == mask.shape


def test_the_recipe_finds_all_that_its_objective_compares(data: Path) -> None:
    make_open.make(data)
    recipe = load_recipe("nightlift_open")
    split = split_samples(recipe, dict.fromkeys(recipe.data, data))
    trained = {sample.scene for samples in split.streams.values() for sample in samples}
    held_out = {sample.scene for samples in split.validation.values() for sample in samples}
    assert (trained, held_out) == ({"kept", "shared", "hall"}, {"apart", "attic"})
    inputs = Inputs(recipe, split.streams, 0)
    batch = inputs.batch(0, 0, 1)
    for pair in recipe.objective.settings["pairs"]:
        low, high = batch[pair["low"]], batch[pair["high"]]
        assert low.shape == high.shape
        assert low.float().mean() <= high.float().mean() + 1
    Validation(recipe, split.validation, inputs.fields)


def test_made_again_it_is_the_same(data: Path) -> None:
    make_open.make(data)
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    make_open.make(data)
    assert {path: path.read_bytes() for path in data.rglob("*.png")} == before


def test_large_pictures_are_shrunk_when_they_are_read(tmp_path: Path) -> None:
    Image.fromarray(scene(size=(240, 360))).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", longest=120).shape == (80, 120, 3)
    assert read_picture(tmp_path / "a.png", longest=500).shape == (240, 360, 3)
