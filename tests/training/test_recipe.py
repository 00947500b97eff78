"""Recipes: ours are all right, wrong ones say where and why."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training import load_recipe, networks, recipe_names
from training.recipe import FOLDER


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_ours_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.title
    assert recipe.total_steps(485) > 0


@pytest.mark.parametrize("name", networks.names())
def test_every_network_has_its_recipe(name: str) -> None:
    assert load_recipe(networks.spec(name).recipe).network == name


def test_the_published_values_are_kept() -> None:
    original, improved = load_recipe("zero_dce"), load_recipe("zero_dce_improved")
    assert (original.batch_size, improved.batch_size) == (8, 4)
    assert original.objective.settings["smoothness"] == 200
    assert improved.objective.settings["smoothness"] == 300
    assert original.total_steps(2002) == 50_050
    for recipe in (original, improved, load_recipe("zero_dce_cpu"), load_recipe("zero_dce_improved_cpu")):
        assert recipe.objective.settings["exposure_target"] == 0.6
        assert recipe.optimizers["network"].clip_norm == 0.1


def _changed(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load((FOLDER / "zero_dce.yaml").read_text())
    for place, value in changes.items():
        *path, last = place.split("__")
        part = content
        for key in path:
            part = part[key]
        part[last] = value
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1}, "learning_rate: Extra inputs are not permitted"),
        ({"network": "zero_dec"}, r"network: .*no network 'zero_dec'; choose one of .*zero_dce"),
        ({"steps": 10}, "either steps or epochs"),
        ({"batch_size": 0}, "batch_size: .*greater than or equal to 1"),
        ({"optimizers__network__lr": -1}, r"optimizers\.network\.lr: .*greater than 0"),
        ({"objective__name": "magic"}, "no objective 'magic'; choose one of .*zero_reference"),
        ({"objective__settings": {"exposure_target": 60}}, "exposure_target"),
        ({"data__image__layout": "zip"}, r"data\.image\.layout: .*choose one of .*folder"),
        ({"data__image__transforms": {"rotate": 1}}, r"data\.image\.transforms\.rotate: Extra inputs"),
        ({"optimizers": {}}, "must have an entry 'network'"),
    ],
)
def test_mistakes_are_told_by_place(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe(_changed(tmp_path, **changes))


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe nope; choose a file, or one of .*zero_dce"):
        load_recipe("nope")
    (tmp_path / "a.yaml").write_text("title: [")
    with pytest.raises(ValueError, match=r"a\.yaml is no YAML"):
        load_recipe(tmp_path / "a.yaml")


def test_a_recipe_extends_another(tmp_path: Path) -> None:
    file = tmp_path / "longer.yaml"
    file.write_text("extends: zero_dce_cpu\ntitle: Longer\nsteps: 9000\noptimizers: {network: {lr: 0.5}}\n")
    base, longer = load_recipe("zero_dce_cpu"), load_recipe(file)
    assert (longer.title, longer.steps) == ("Longer", 9000)
    assert longer.optimizers["network"].lr == 0.5
    assert longer.optimizers["network"].schedule == base.optimizers["network"].schedule
    assert longer.data == base.data


@pytest.mark.parametrize("base", ["nope", "nightlift_fine", "[zero_dce]"])
def test_a_recipe_extends_only_one_of_ours_that_stands_alone(tmp_path: Path, base: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"extends: {base}\n")
    with pytest.raises(ValueError, match="name one of our recipes that extends no other"):
        load_recipe(file)
