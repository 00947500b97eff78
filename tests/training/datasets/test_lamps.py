"""Light of lamps and windows: colours of temperatures, and what becomes of a photograph in their light."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pictures import constant, scene
from training.datasets._lamps import LUMINANCE, Lamps, daylight_colour, falloff, light_by_lamps, planck_colour


def lit(seed: int = 0, value: int = 128, **words: object) -> tuple[np.ndarray, np.ndarray]:
    view = constant(value, (96, 128))
    dark, reference = light_by_lamps(view, Lamps.model_validate(words), np.random.default_rng(seed))
    assert dark.shape == reference.shape == view.shape
    assert dark.dtype == reference.dtype == np.uint8
    return dark, reference


def test_colours_of_known_temperatures() -> None:
    # 6504 K daylight is D65, the white of sRGB; illuminant A (2856 K) is 1.83 : 0.83 : 0.24 in linear sRGB.
    np.testing.assert_allclose(daylight_colour(6504), 1, atol=0.01)
    np.testing.assert_allclose(planck_colour(2856), (1.83, 0.83, 0.24), atol=0.02)


@pytest.mark.parametrize("colour", [planck_colour, daylight_colour])
def test_warmer_is_redder_and_luminance_stays(colour: object) -> None:
    colours = [colour(kelvin) for kelvin in (4000, 5000, 6500, 9000)]  # type: ignore[operator]
    ratios = [float(c[0] / c[2]) for c in colours]
    assert ratios == sorted(ratios, reverse=True)
    assert [float(c @ LUMINANCE) for c in colours] == pytest.approx([1] * 4, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_black_stays_black(seed: int) -> None:
    dark, reference = lit(seed, 0, visible=0.0)
    assert dark.max() == reference.max() == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_reference_is_never_darker_and_more_even(seed: int) -> None:
    dark, reference = lit(seed, visible=0.0, gain=(0.5, 0.5), ambient=(0.02, 0.02))
    assert (reference.astype(int) >= dark.astype(int) - 1).all()
    spread = [
        np.log2(np.quantile(view.mean(axis=2), 0.9) / (np.quantile(view.mean(axis=2), 0.1) + 1))
        for view in (dark, reference)
    ]
    assert spread[1] < spread[0]


def test_a_lamp_falls_off_with_the_square_of_the_distance() -> None:
    light = falloff(np.array([0.0, 1.0, 4.0], np.float32), 0.01)
    assert light[0] == 1
    assert light[1] / light[2] == pytest.approx(4, rel=0.01)


def test_visible_lamps_are_bright_in_both() -> None:
    dark, reference = lit(1, 20, windows=0.0, visible=1.0, count=(3, 3), gain=(0.3, 0.3))
    assert dark.max() > 200
    np.testing.assert_array_equal(dark.argmax() // 3, reference.argmax() // 3)


def test_the_same_seed_gives_the_same_light() -> None:
    view = scene(size=(64, 96))
    first, second = (light_by_lamps(view, Lamps(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
