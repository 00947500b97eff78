"""Lit parts of a pair: alike where there is light, untouched elsewhere. Coloured light, blacks: alike everywhere."""

from __future__ import annotations

import numpy as np

from training.datasets._transforms import Blacks, ColouredLight, Illumination, Transforms, transform


def _lit(**settings: object) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    views = {
        "low": np.full((48, 64, 3), 12, np.uint8),
        "high": np.full((48, 64, 3), 110, np.uint8),
        "image": np.full((48, 64, 3), 7, np.uint8),
    }
    words = Transforms(illumination=Illumination.model_validate({"probability": 1.0} | settings))
    return views, transform(views, words, np.random.default_rng(5))


def test_lit_parts_are_the_same_in_both_views() -> None:
    _, lit = _lit(share=(0.4, 0.5), gain=(1.5, 1.5), tint=0.0)
    same = (lit["low"] == lit["high"]).all(axis=2)
    assert 0.2 < same.mean() < 0.6
    assert (lit["low"][same] == 165).all()


def test_dark_parts_stay_as_they_were() -> None:
    views, lit = _lit(share=(0.1, 0.2))
    dark = (lit["low"] == views["low"]).all(axis=2)
    assert dark.mean() > 0.5
    assert (lit["high"][dark] == views["high"][dark]).all()
    assert (lit["image"] == views["image"]).all()


def test_light_is_clipped_and_may_have_a_colour() -> None:
    _, lit = _lit(share=(0.5, 0.5), gain=(2.3, 2.3), tint=0.5)
    brightest = lit["low"].reshape(-1, 3).max(axis=0)
    assert brightest.max() == 255
    assert len(set(brightest)) > 1


def test_the_callers_pictures_are_not_changed() -> None:
    views, _ = _lit()
    assert (views["low"] == 12).all()
    assert (views["high"] == 110).all()


def test_without_it_nothing_happens() -> None:
    views, same = _lit(probability=0.0)
    assert all((same[name] == view).all() for name, view in views.items())


def test_coloured_light_has_the_same_factors_on_all_views_and_the_strongest_channel_its_gain() -> None:
    views = {"low": np.full((8, 8, 3), 40, np.uint8), "high": np.full((8, 8, 3), 160, np.uint8)}
    light = ColouredLight(probability=1.0, spread=0.6, gain=(1.2, 1.2))
    for seed in range(5):
        seen = transform(views, Transforms(coloured_light=light), np.random.default_rng(seed))
        low, high = (seen[name][0, 0] / value for name, value in (("low", 40), ("high", 160)))
        assert np.abs(low - high).max() <= 0.5 / 40 + 0.5 / 160
        assert np.isclose(high.max(), 1.2, atol=0.5 / 160)
        assert high.min() < 1.1


def test_coloured_light_is_clipped() -> None:
    light = ColouredLight(probability=1.0, spread=0.0, gain=(2.0, 2.0))
    views = {"image": np.full((8, 8, 3), 200, np.uint8)}
    assert (transform(views, Transforms(coloured_light=light), np.random.default_rng(0))["image"] == 255).all()


def test_blacks_take_a_share_of_the_pixels_and_leave_white() -> None:
    ramp = np.repeat(np.arange(1, 256, dtype=np.uint8), 8).reshape(-1, 8, 1).repeat(3, axis=2)
    words = Transforms(blacks=Blacks(probability=1.0, share=(0.25, 0.25)))
    seen = transform({"darkened": ramp, "original": ramp}, words, np.random.default_rng(1))
    assert (seen["darkened"] == seen["original"]).all()
    assert np.isclose((seen["original"] == 0).mean(), 0.25, atol=0.01)
    assert seen["original"].max() == 255
    assert (np.diff(np.sort(seen["original"][:, 0, 0].astype(int))) <= 2).all()


def test_a_white_picture_may_be_told_to_have_blacks() -> None:
    white = np.full((8, 8, 3), 255, np.uint8)
    words = Transforms(blacks=Blacks(probability=1.0))
    assert (transform({"image": white}, words, np.random.default_rng(0))["image"] == 255).all()
