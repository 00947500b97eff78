"""Gamma, strength, gate, protection, and what exposure and shadows do to ramps: formulas, and what they promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, RenderOptions, finish, plan, prepare, render_array
from tests import pictures
from tests.service.rendering.networks import POINTWISE, Network, curve, quadratic

WHOLE = replace(NEUTRAL, detail=Detail.WHOLE)
GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


def gate_of(pixels: NDArray[np.uint8]) -> float:
    """The gate that a picture meets, by a network that changes nothing."""
    picture = Picture(pixels, PictureFormat.PNG)
    render_plan = plan(pixels.shape[1], pixels.shape[0], 8, POINTWISE, RenderOptions())
    prepared = prepare(picture, render_plan)
    return finish(prepared, prepared.items, RenderOptions()).gate


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strength": 0.4},
        {"protect": 0.7},
        {"gamma": 0.6},
        {"gamma": 2.2},
        {"strength": 0.8, "protect": 0.5, "gamma": 1.3},
    ],
)
def test_whole_follows_the_formula_within_half_a_code(options: dict[str, float]) -> None:
    wishes = replace(WHOLE, **options)
    image = pictures.dark_scene("coffee", (60, 90))
    network = quadratic(-0.6)
    x, y = image / 255.0, network(image) / 255.0
    light = (x @ [0.2126, 0.7152, 0.0722])[..., None]
    protection = wishes.protect * 0.15 / np.sqrt((1 - light) ** 2 + 0.15**2)
    expected = 255 * (x + wishes.strength * (1 - protection) * (y**wishes.gamma - x))
    rendered = render_array(image, network, POINTWISE, wishes)
    assert np.abs(rendered - expected).max() <= 0.501


def test_neutral_whole_is_the_networks_own_picture() -> None:
    image = pictures.dark_scene("astronaut", (80, 80))
    network = quadratic(-0.8)
    assert np.array_equal(render_array(image, network, POINTWISE, WHOLE), network(image))


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_strength_zero_is_the_source(detail: Detail) -> None:
    image = pictures.dark_scene("astronaut", (80, 80))
    options = RenderOptions(detail=detail, strength=0.0)
    assert np.array_equal(render_array(image, quadratic(-1.0), POINTWISE, options), image)


@st.composite
def monotone_networks(draw: st.DrawFn) -> Network:
    """Any non-decreasing tone curve at all: steps, clipping, darkening included."""
    knots = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=8)))
    places = sorted(draw(st.lists(st.floats(0, 1), min_size=len(knots), max_size=len(knots))))
    return curve(lambda value: np.interp(value, places, knots))


unit = st.floats(0, 1)
wishes = st.builds(
    RenderOptions,
    detail=st.just(Detail.WHOLE),
    strength=unit,
    protect=unit,
    gate=st.booleans(),
    gamma=st.floats(0.3, 3),
)
stops = st.floats(-2, 2)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(network=monotone_networks(), options=wishes)
def test_a_grey_ramp_stays_monotone_for_every_setting(network: Network, options: RenderOptions) -> None:
    ramp = pictures.grey_ramp((16, 256))
    rendered = render_array(ramp, network, replace(POINTWISE, max_pixels=10**6), options).astype(int)
    assert np.diff(rendered, axis=1).min() >= 0
    assert np.ptp(rendered, axis=2).max() == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(network=monotone_networks(), options=wishes, exposure=stops)
def test_a_grey_ramp_stays_monotone_for_every_exposure(
    network: Network, options: RenderOptions, exposure: float
) -> None:
    ramp = pictures.grey_ramp((16, 256))
    options = replace(options, exposure=exposure)
    rendered = render_array(ramp, network, replace(POINTWISE, max_pixels=10**6), options).astype(int)
    assert np.diff(rendered, axis=1).min() >= 0
    assert np.ptp(rendered, axis=2).max() == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(network=monotone_networks(), options=wishes, exposure=stops, shadows=st.floats(-1, 1))
def test_a_grey_ramp_stays_monotone_for_all_shadows(
    network: Network, options: RenderOptions, exposure: float, shadows: float
) -> None:
    ramp = pictures.grey_ramp((16, 256))
    options = replace(options, exposure=exposure, shadows=shadows)
    rendered = render_array(ramp, network, replace(POINTWISE, max_pixels=10**6), options).astype(int)
    # The factors vary over the ramp: one code before exposure, which stretches it.
    line = rendered[8, :, 0]
    assert (np.maximum.accumulate(line) - line).max() <= np.ceil(2 ** abs(exposure))
    assert np.ptp(rendered, axis=2).max() == 0


@st.composite
def slow_ramps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Grey, rising between any two codes over any width; the slowest stay on one code for a dozen proxy pixels."""
    width = draw(st.integers(200, 3000))
    row = np.round(np.linspace(draw(st.integers(0, 30)), draw(st.integers(34, 255)), width)).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (max(64, width // 8 + 1), width, 3)).copy()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(rate=st.floats(-1, 1), ramp=slow_ramps(), options=wishes)  # up to 256 times as bright
def test_a_grey_ramp_stays_monotone_through_the_map(
    rate: float, ramp: NDArray[np.uint8], options: RenderOptions
) -> None:
    options = replace(options, detail=Detail.GUIDED)
    line = render_array(ramp, quadratic(rate), POINTWISE, options)[len(ramp) // 2, :, 0].astype(int)
    # The map varies over the ramp, and codes are rounded: one code before gamma, which stretches it.
    assert (np.maximum.accumulate(line) - line).max() <= np.ceil(max(1.0, options.gamma))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rate=st.floats(-1, 1), ramp=slow_ramps(), options=wishes, exposure=stops, shadows=st.floats(-1, 1))
def test_a_grey_ramp_stays_monotone_through_map_and_field(
    rate: float, ramp: NDArray[np.uint8], options: RenderOptions, exposure: float, shadows: float
) -> None:
    options = replace(options, detail=Detail.GUIDED, exposure=exposure, shadows=shadows)
    line = render_array(ramp, quadratic(rate), POINTWISE, options)[len(ramp) // 2, :, 0].astype(int)
    # Map and factors vary over the ramp: one code each, before gamma and exposure, which stretch them.
    most = np.ceil((max(1.0, options.gamma) + 1) * 2 ** abs(exposure))
    assert (np.maximum.accumulate(line) - line).max() <= most


def test_protection_keeps_lamps_and_lets_shadows_rise() -> None:
    image = pictures.constant(30, (64, 64))
    image[20:30, 20:30] = 200
    free = render_array(image, quadratic(-0.7), POINTWISE, WHOLE).astype(int)
    kept = render_array(image, quadratic(-0.7), POINTWISE, replace(WHOLE, protect=1.0)).astype(int)
    lamp_free, lamp_kept = free[25, 25, 0] - 200, kept[25, 25, 0] - 200
    shadow_free, shadow_kept = free[0, 0, 0] - 30, kept[0, 0, 0] - 30
    assert lamp_kept < 0.5 * lamp_free
    assert shadow_kept > 0.8 * shadow_free


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_the_gate_leaves_well_lit_photos_alone_and_opens_for_dark_ones(name: str) -> None:
    assert gate_of(pictures.scene(name, (200, 300))) < 0.5
    assert gate_of(pictures.dark_scene(name, (200, 300))) > 0.95


def test_a_mid_grey_photo_changes_by_less_than_one_decibel() -> None:
    noise = np.random.default_rng(0).normal(0, 12, (120, 160, 1))
    image = np.clip(118 + noise + np.zeros(3), 0, 255).astype(np.uint8)
    for detail in (Detail.WHOLE, Detail.GUIDED):
        rendered = render_array(image, quadratic(-0.8), POINTWISE, RenderOptions(detail=detail))
        assert abs(20 * np.log10(rendered.mean() / image.mean())) < 1


def test_a_dark_room_with_a_bright_window_counts_as_dark() -> None:
    image = pictures.constant(12, (120, 160))
    image[:, :70] = 240
    assert image.mean() / 255 > 0.4
    assert gate_of(image) > 0.9


def test_the_gate_falls_smoothly_and_is_measured_but_not_applied_when_off() -> None:
    gates = [gate_of(pictures.constant(value)) for value in range(256)]
    assert gates[0] == 1.0
    assert gates[-1] == 0.0
    assert np.diff(gates).max() <= 0
    assert np.diff(gates).min() > -0.2
    picture = Picture(pictures.constant(200), PictureFormat.PNG)
    render_plan = plan(96, 64, 8, POINTWISE, NEUTRAL)
    prepared = prepare(picture, render_plan)
    rendered = finish(prepared, [item + 50 for item in prepared.items], NEUTRAL)
    assert rendered.gate == 0.0
    assert (rendered.picture.pixels == 250).all()
