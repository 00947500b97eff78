"""Light that is moved along the contours of a mask: who loses it, who keeps it, and what the reference says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.pictures import constant, scene
from training.datasets import Transforms
from training.datasets._relighting import BRIGHT, GAMMA, Relighting, relight
from training.datasets._transforms import transform

Pixels = NDArray[np.uint8]

EVEN = {"loss": (3.0, 3.0), "surroundings": (0.0, 0.0), "softness": (0.6, 0.6), "spotlight": 0.0, "uneven": 0.0}


def words(**changes: object) -> Relighting:
    return Relighting.model_validate(EVEN | changes)


def mask(size: tuple[int, int] = (64, 96)) -> Pixels:
    """The right half stands before the left one."""
    result = np.zeros((*size, 3), np.uint8)
    result[:, size[1] // 2 :] = 255
    return result


def relit(view: Pixels, **changes: object) -> tuple[Pixels, Pixels]:
    result = relight(view, mask(view.shape[:2]), words(**changes), np.random.default_rng(1))  # type: ignore[arg-type]
    assert result is not None
    return result


def stops(part: Pixels, other: Pixels) -> float:
    return GAMMA * float(np.log2(part.mean() / other.mean()))


def test_the_subject_loses_its_light_and_the_reference_keeps_it() -> None:
    view = constant(180, (64, 96))
    dark, reference = relit(view)
    assert stops(dark[:, 60:], reference[:, 60:]) == pytest.approx(-3, abs=0.05)
    np.testing.assert_array_equal(reference[:, 60:], view[:, 60:])
    assert np.abs(dark[:, :40].astype(int) - reference[:, :40]).max() <= 1


def test_the_contour_stays_where_it_is() -> None:
    dark, reference = relit(constant(180, (64, 96)))
    loss = GAMMA * np.log2(dark[32, :, 0] / reference[32, :, 0].astype(float))
    assert loss[44] > -0.2
    assert loss[51] < -2.8


def test_surroundings_become_bright_in_both() -> None:
    dark, reference = relit(constant(80, (64, 96)))
    assert (reference[:, :40].mean() / 255) ** GAMMA == pytest.approx(BRIGHT, abs=0.01)
    np.testing.assert_array_equal(dark[:, :40], reference[:, :40])
    assert np.abs(reference[:, 60:].astype(int) - 80).max() <= 1


def test_in_a_spotlight_the_subject_keeps_its_light() -> None:
    dark, reference = relit(constant(180, (64, 96)), spotlight=1.0)
    assert np.abs(dark[:, 60:].astype(int) - reference[:, 60:]).max() <= 1
    assert stops(dark[:, :40], reference[:, :40]) == pytest.approx(-3, abs=0.05)


def test_at_night_surroundings_are_black_in_the_reference_too() -> None:
    dark, reference = relit(constant(180, (64, 96)), night=1.0)
    assert reference[:, :40].max() == dark[:, :40].max() == 0
    assert np.abs(reference[:, 60:].astype(int) - 180).max() <= 1
    assert stops(dark[:, 60:], reference[:, 60:]) == pytest.approx(-1.5, abs=0.05)


def test_unevenness_changes_the_dark_side_alone_and_never_brightens_it() -> None:
    dark, reference = relit(scene("coffee", (64, 96)), uneven=1.0)
    plain, _ = relit(scene("coffee", (64, 96)))
    assert np.abs(dark[:, 60:].astype(int) - plain[:, 60:]).mean() > 1
    assert (dark <= reference).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_without_two_sides_relights_nothing(value: int) -> None:
    flat = np.full((64, 96, 3), value, np.uint8)
    assert relight(constant(120, (64, 96)), flat, words(), np.random.default_rng(0)) is None


def test_a_recipe_relights_its_share_and_leaves_the_mask_alone() -> None:
    view = scene("coffee", (64, 96))
    recipe = Transforms.model_validate({"relighting": {"probability": 0.5, "spotlight": 0.0}})
    changed = 0
    for seed in range(40):
        views = {"dark": view, "reference": view, "mask": mask()}
        result = transform(views, recipe, np.random.default_rng(seed))
        np.testing.assert_array_equal(result["mask"], mask())
        changed += not np.array_equal(result["dark"], view)
        again = transform(views, recipe, np.random.default_rng(seed))
        np.testing.assert_array_equal(result["dark"], again["dark"])
    assert 10 <= changed <= 30
