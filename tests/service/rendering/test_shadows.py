"""Shadows: dark parts alone, without halos, without haze, and no tones that swap places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, RenderOptions, render_array
from tests import pictures
from tests.service.rendering.networks import BLURRING, POINTWISE, Network, blurring, curve, identity, render

MIDDLE_GREY = 118
"""The sRGB code value of 18 % of white's light."""

LARGE = replace(POINTWISE, max_pixels=10**7)
LIFTED, DARKENED = 1.0, -1.0


def shaded(
    pixels: NDArray[np.uint8], shadows: float, detail: Detail = Detail.WHOLE, network: Network = identity
) -> NDArray[np.int64]:
    options = replace(NEUTRAL, detail=detail, shadows=shadows)
    return render_array(pixels, network, LARGE, options).astype(np.int64)


def factor(code: float, shadows: float) -> float:
    """The documented formula."""

    def smoothstep(value: float, start: float, end: float) -> float:
        part = min(max((value - start) / (end - start), 0.0), 1.0)
        return part * part * (3 - 2 * part)

    value = code / 255
    return 2 ** (shadows * 1.5 / 2.2 * smoothstep(value, 0, 0.08) * (1 - smoothstep(value, 0.1, 0.4614)))


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
@pytest.mark.parametrize("shadows", [LIFTED, DARKENED, 0.3])
def test_even_pictures_follow_the_formula(shadows: float, detail: Detail) -> None:
    for code in (0, 4, 10, 20, 40, 60, 90, 110, 118, 140, 200, 255):
        expected = factor(code, shadows) * code
        assert np.abs(shaded(pictures.constant(code), shadows, detail) - expected).max() <= 0.6


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_dark_places_get_one_and_a_half_stops_and_bright_ones_nothing(detail: Detail) -> None:
    for shadows in (LIFTED, DARKENED, 0.5):
        most = 2 ** (1.5 * shadows / 2.2)
        for code in (21, 25):
            assert np.abs(shaded(pictures.constant(code), shadows, detail) - most * code).max() <= 0.6
        for code in (0, MIDDLE_GREY + 1, 180, 255):
            assert (shaded(pictures.constant(code), shadows, detail) == code).all()


@pytest.mark.parametrize("shadows", [LIFTED, DARKENED])
def test_tones_keep_their_order_from_picture_to_picture(shadows: float) -> None:
    line = np.array([shaded(pictures.constant(code, (16, 16)), shadows)[0, 0, 0] for code in range(256)])
    assert np.diff(line).min() >= 0
    assert ((line - np.arange(256)) * shadows).min() >= 0


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
@pytest.mark.parametrize("shadows", [LIFTED, DARKENED])
def test_what_is_brighter_than_middle_grey_stays_in_any_surroundings(shadows: float, detail: Detail) -> None:
    """Single pixels, too, which no small picture shows: stars, lamps, print."""
    random = np.random.default_rng(0)
    image = np.full((240, 360, 3), 20, np.uint8)
    bright = random.random((240, 360)) < 0.02
    image[bright] = random.integers(MIDDLE_GREY + 1, 256, (int(bright.sum()), 1))
    result = shaded(image, shadows, Detail.WHOLE)
    assert np.abs(result - image)[bright].max() <= 1
    plain = shaded(image, 0.0, detail)
    result = shaded(image, shadows, detail)
    still_bright = plain.max(axis=-1) > MIDDLE_GREY
    assert still_bright.any()
    assert np.abs(result - plain)[still_bright].max() <= 1
    assert np.abs(result - plain)[~bright].mean() > 5


@pytest.mark.parametrize(("dark", "bright"), [(5, 250), (20, 200), (30, 150), (20, 80), (60, 110), (70, 100)])
@pytest.mark.parametrize("size", [(96, 96), (300, 450), (900, 1350)])
@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
@pytest.mark.parametrize("shadows", [LIFTED, DARKENED])
def test_an_edge_has_no_halo(dark: int, bright: int, size: tuple[int, int], detail: Detail, shadows: float) -> None:
    height, width = size
    image = np.full((*size, 3), dark, np.uint8)
    image[:, width // 2 + 1 :] = bright
    line = shaded(image, shadows, detail)[height // 2, :, 0]
    # A guided map rounds an edge off where a small pixel lies across it. A halo is what lies beyond both sides.
    assert line.min() > line[0] - 2
    assert line.max() < line[-1] + 2


def test_texture_of_dark_places_gets_one_factor() -> None:
    random = np.random.default_rng(0)
    image = np.clip(np.rint(random.normal(60, 2, (256, 384, 1))) + np.zeros(3), 0, 255).astype(np.uint8)
    image[:, 192:] = 220
    before, after = image[:, :160], shaded(image, LIFTED)[:, :160]
    lift = after.mean() / before.mean()
    assert lift > 1.3
    assert after.std() / before.std() > 0.85 * lift  # f alone, as a tone curve, would leave half of it


def test_black_stays_black_and_noise_stays_small() -> None:
    night = np.random.default_rng(0).integers(0, 4, (256, 384, 3)).astype(np.uint8)
    lifted = shaded(night, LIFTED)
    assert lifted[night == 0].max() == 0
    assert lifted.mean() < 1.2 * night.mean()
    assert lifted.max() <= 4


def test_coloured_lights_keep_their_colour() -> None:
    image = np.full((96, 144, 3), 15, np.uint8)
    image[40:50, 60:80] = (30, 20, 230)  # of little luminance
    assert np.abs(shaded(image, LIFTED)[40:50, 60:80] - image[40:50, 60:80]).max() <= 1
    blue = np.full((64, 96, 3), (10, 20, 100), np.uint8)  # by its brightest channel it is nearly middle grey
    for detail in (Detail.WHOLE, Detail.GUIDED):
        assert np.abs(shaded(blue, LIFTED, detail) - factor(100, LIFTED) * blue).max() <= 0.7


def test_factors_follow_the_finished_picture_and_not_the_photo() -> None:
    for network, code in ((curve(lambda value: 8 * value), 3), (curve(lambda value: 2 * value), 30)):
        finished = int(network(np.array([code]))[0])
        assert abs(factor(finished, LIFTED) - factor(code, LIFTED)) > 0.2
        for detail in (Detail.WHOLE, Detail.GUIDED):
            result = shaded(pictures.constant(code), LIFTED, detail, network)
            assert np.abs(result - factor(finished, LIFTED) * finished).max() <= 1


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_factors_follow_what_the_gate_lets_through(detail: Detail) -> None:
    image = np.full((64, 96, 3), 130, np.uint8)
    image[:, :24] = 20  # a quarter is dark: the gate is half open
    network = curve(lambda value: value + 0.45 * (value < 0.2))
    plain, lifted = (
        render(Picture(image, PictureFormat.PNG), network, RenderOptions(detail, protect=0, shadows=shadows))
        for shadows in (0.0, LIFTED)
    )
    assert 0.2 < plain.gate < 0.8
    between, result = (float(one.picture.pixels[32, 8, 0]) for one in (plain, lifted))
    assert abs(result - factor(between, LIFTED) * between) <= 2
    assert abs(factor(between, LIFTED) - factor(20 + 0.45 * 255, LIFTED)) > 0.2


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_a_photo_has_the_same_field_small_and_large(detail: Detail) -> None:
    image = pictures.dark_scene("coffee", (200, 300))
    large = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    small, shrunk = shaded(image, LIFTED), shaded(large, LIFTED, detail)[1::3, 1::3]
    assert np.abs(small - shrunk).mean() < 1.5


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_hidden_colours_do_not_leak(detail: Detail) -> None:
    image = pictures.dark_scene("astronaut", (120, 160))
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:60, :100] = 0

    def result(hidden: int) -> NDArray[np.uint8]:
        pixels = image.copy()
        pixels[alpha == 0] = hidden
        options = RenderOptions(detail=detail, shadows=1)
        picture = Picture(pixels, PictureFormat.PNG, alpha)
        return render(picture, blurring, options, BLURRING).picture.pixels[alpha > 0]

    np.testing.assert_array_equal(result(0), result(255))


@pytest.mark.parametrize("size", [(16, 16), (16, 128), (23, 41)])
@pytest.mark.parametrize("detail", list(Detail))
def test_small_and_long_pictures(size: tuple[int, int], detail: Detail) -> None:
    image = np.full((*size, 3), 25, np.uint8)
    options = replace(NEUTRAL, detail=detail, shadows=1)
    assert np.abs(render_array(image, identity, POINTWISE, options) - 40).max() <= 1
