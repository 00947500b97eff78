"""What the weights of a training may be used for: a grant only where all data of all stages allows it."""

from __future__ import annotations

from typing import Any

import pytest

from export._card import RESEARCH_ONLY, licence_line
from export._families import data_sets, grant
from training import load_recipe

FREE = {"views": "environment", "photos": "open_photos", "objects": "open_objects"}


def training(streams: dict[str, str], began_with: dict[str, Any] | None = None) -> dict[str, Any]:
    stage: dict[str, Any] = {"recipe": {"data": {name: {"layout": layout} for name, layout in streams.items()}}}
    return stage | ({"began_with": began_with} if began_with else {})


def test_weights_of_free_pictures_are_granted_with_reasons() -> None:
    text = grant(training(FREE))
    assert text.startswith("The weights are under the Apache License 2.0")
    assert "not settled in law" in text
    assert text.count("\n\n") == 1  # two paragraphs
    assert licence_line(training(FREE), "nightlift").startswith("Code and weights Apache-2.0.")


def test_the_recipe_of_free_pictures_is_granted() -> None:
    recipe = load_recipe("nightlift_open")
    assert grant(training({name: stream.layout for name, stream in recipe.data.items()}))


@pytest.mark.parametrize(
    "mixed",
    [
        training(FREE | {"pairs": "lolv1"}),
        training(FREE | {"mine": "folder"}),
        training(FREE, began_with=training({"pairs": "lolv1"})),
        training(FREE, began_with={"source": "published checkpoint", "files": ["a.pth"]}),
        training({}),
    ],
)
def test_nothing_is_granted_where_any_data_is_for_research_or_unknown(mixed: dict[str, Any]) -> None:
    assert grant(mixed) == ""
    assert "no grant of commercial use" in licence_line(mixed, "nightlift")


def test_research_data_stays_for_research() -> None:
    assert all(not data.is_free for data in data_sets(training({"pairs": "lolv1", "sice": "zero_dce_train"})))
    assert "no grant" in RESEARCH_ONLY


def test_a_folder_that_nobody_knows_is_named_beside_those_that_are_known() -> None:
    manifest = training({"pairs": "lolv1", "mine": "folder"}) | {
        "data": {"pairs": {"folder": "data/LOLv1"}, "mine": {"folder": "/home/me/holidays"}}
    }
    titles = [data.title for data in data_sets(manifest)]
    assert titles == ["LOLv1, the 485 training pairs (our485)", "Data in a folder called holidays"]


def test_a_folder_that_is_known_says_more_than_its_layout() -> None:
    """Exposure sequences of SICE, read by the layout that is called as another set is."""
    manifest = training({"shots": "brackets"}) | {"data": {"shots": {"folder": "data/zero_dce_train"}}}
    assert [data.title.split(",")[0] for data in data_sets(manifest)] == ["SICE part 1"]


def test_all_data_of_the_house_network_is_known() -> None:
    """Its card names every set that the documented command trains on."""
    layouts = {name: stream.layout for name, stream in load_recipe("nightlift").data.items()}
    folders = {"pairs": "LOLv1", "fused": "zero_dce_train", "brackets": "brackets", "objects": "objects"}
    manifest = training(layouts) | {"data": {name: {"folder": f"data/{name}"} for name in folders.values()}}
    titles = [data.title.split(",")[0] for data in data_sets(manifest)]
    assert titles[:2] == ["SICE part 1", "LOLv1"]
    assert [title.split()[0] for title in titles[2:]] == ["Exposure", "COCO", "Freely"]
