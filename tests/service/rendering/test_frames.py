"""Averaging effects over the frames of a video."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import (
    NEUTRAL,
    Detail,
    Effect,
    RenderOptions,
    apply_effect,
    finish,
    fit_effect,
    plan,
    prepare,
    smooth_over_time,
)
from service.repository import ModelTraits
from tests.pictures import constant, dark_scene

TRAITS = ModelTraits("test", working_side=64)
GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


def effect_of(pixels: NDArray[np.uint8], gain: float, options: RenderOptions = GUIDED) -> Effect:
    frame = Picture(pixels=pixels, format=PictureFormat.PNG)
    frame_plan = plan(frame.width, frame.height, 8, TRAITS, options)
    prepared = prepare(frame, frame_plan)
    outputs = [np.clip(item * gain, 0, 255).astype(np.uint8) for item in prepared.items]
    return fit_effect(prepared, outputs, options)


@pytest.mark.parametrize("wishes", [{}, {"exposure": 0.7}, {"shadows": 0.7}])
def test_one_frame_alone_is_what_finish_makes_of_a_picture(wishes: dict[str, float]) -> None:
    options = RenderOptions(Detail.GUIDED, 0.8, 0.5, True, 0.9, **wishes)
    frame = Picture(pixels=dark_scene(size=(120, 160)), format=PictureFormat.PNG)
    frame_plan = plan(frame.width, frame.height, 8, TRAITS, options)
    prepared = prepare(frame, frame_plan)
    outputs = [item * 2 for item in prepared.items]
    effect = fit_effect(prepared, outputs, options)
    expected = finish(prepared, outputs, options)
    np.testing.assert_array_equal(apply_effect(frame, effect, options), expected.picture.pixels)
    assert effect.gate == expected.gate


def test_a_still_scene_is_averaged() -> None:
    pixels = dark_scene(size=(120, 160))
    one, two = effect_of(pixels, 2.0), effect_of(pixels, 3.0)
    mixed = smooth_over_time(one, two, 0.25)
    np.testing.assert_allclose(mixed.affine.terms, 0.75 * one.affine.terms + 0.25 * two.affine.terms, atol=1e-5)


def test_sensor_noise_does_not_count_as_change() -> None:
    one = effect_of(dark_scene(size=(240, 320), seed=1), 2.0)
    two = effect_of(dark_scene(size=(240, 320), seed=2), 3.0)
    mixed = smooth_over_time(one, two, 0.1)
    expected = 0.9 * one.affine.terms[0] + 0.1 * two.affine.terms[0]
    assert np.abs(mixed.affine.terms[0] - expected).mean() < 0.02


def test_shadows_are_made_from_averaged_maps() -> None:
    """A network that flickers between twice and four times the light: factors jump with it, unless it is averaged."""
    options = replace(GUIDED, shadows=1)
    pixels = dark_scene(size=(120, 160))
    frame = Picture(pixels=pixels, format=PictureFormat.PNG)
    effect, steady, alone = None, [], []
    for number in range(30):
        now = effect_of(pixels, 2.0 + 2 * (number % 2), options)
        effect = smooth_over_time(effect, now, 0.05)
        steady.append(apply_effect(frame, effect, options).mean())
        alone.append(apply_effect(frame, now, options).mean())
    assert np.abs(np.diff(alone)).max() > 5
    assert np.abs(np.diff(steady)).max() < 0.05 * np.abs(np.diff(alone)).max() + 0.1


def test_after_a_cut_nothing_of_the_old_scene_is_left() -> None:
    two = effect_of(dark_scene("astronaut", (120, 160)), 3.0)
    assert smooth_over_time(effect_of(dark_scene("coffee", (120, 160)), 2.0), two, 0.1) is two
    assert smooth_over_time(None, two, 0.1) is two


def test_only_what_moves_takes_the_new_map() -> None:
    """A lamp goes on at the right; the left stays as steady as before."""
    before, after = constant(20, (64, 64)), constant(20, (64, 64))
    after[:, 48:] = 120
    mixed = smooth_over_time(effect_of(before, 2.0), effect_of(after, 3.0), 0.1)
    slopes_and_offsets = mixed.affine.terms[..., 0]
    left, right = slopes_and_offsets[:, 20, 10], slopes_and_offsets[:, 20, 58]
    assert left @ [20 / 255, 1] * 255 == pytest.approx(0.9 * 40 + 0.1 * 60, abs=1)
    assert right @ [120 / 255, 1] * 255 >= 250


def test_another_size_begins_anew() -> None:
    two = effect_of(dark_scene(size=(120, 120)), 3.0)
    assert smooth_over_time(effect_of(dark_scene(size=(120, 160)), 2.0), two, 0.1) is two


def test_frames_need_a_map() -> None:
    frame = Picture(pixels=constant(20), format=PictureFormat.PNG)
    whole = plan(frame.width, frame.height, 8, TRAITS, replace(NEUTRAL, detail=Detail.WHOLE))
    with pytest.raises(ValueError, match="detail=guided, not whole"):
        fit_effect(prepare(frame, whole), [frame.pixels], NEUTRAL)
