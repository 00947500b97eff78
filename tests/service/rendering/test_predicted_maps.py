"""Models that predict their colour map themselves: its layouts, in every kind of picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from service.contract import MapLayout
from service.errors import EngineFailed
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, Rendered
from service.rendering._noise import _deviations
from tests import pictures
from tests.service.pictures.profiles import rgb_profile
from tests.service.rendering.networks import POINTWISE, render
from training.networks import shrink

GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


def predicted(
    coefficients: NDArray[np.float32], image: NDArray[Any] | None = None, alpha: NDArray[Any] | None = None
) -> Rendered:
    image = pictures.dark_scene("coffee", (120, 160)) if image is None else image
    layouts = {int(layout): layout for layout in MapLayout}
    traits = replace(POINTWISE, map_layout=layouts.get(coefficients.shape[-1], MapLayout.GAIN_AND_OFFSET))
    return render(Picture(image, PictureFormat.PNG, alpha), lambda batch: coefficients[None], GUIDED, traits)


def test_six_coefficients_are_slopes_then_offsets() -> None:
    image = pictures.dark_scene("coffee", (120, 160)).astype(float)
    coefficients = np.broadcast_to(np.float32([2, 1.5, 1, 0.1, 0.05, 0]), (6, 8, 6))
    expected = np.clip(image * [2, 1.5, 1] + np.array([0.1, 0.05, 0]) * 255, 0, 255)
    assert np.abs(predicted(coefficients).picture.pixels - expected).max() <= 0.51


@pytest.mark.parametrize("grid", [(6, 8), (1, 1), (120, 160)])
def test_twelve_coefficients_are_a_matrix_row_by_row(grid: tuple[int, int]) -> None:
    image = pictures.dark_scene("coffee", (120, 160)).astype(float)
    matrix = np.float32([[1.5, 0.3, 0.0, 0.1], [0.2, 1.0, 0.1, 0.0], [-0.2, 0.4, 1.2, 0.05]])
    coefficients = np.broadcast_to(matrix.ravel(), (*grid, 12))
    expected = np.clip(image @ matrix[:, :3].T + 255 * matrix[:, 3], 0, 255)
    assert np.abs(predicted(coefficients).picture.pixels - expected).max() <= 0.51


def test_a_predicted_map_is_enlarged_linearly_between_pixel_centres() -> None:
    coefficients = np.zeros((1, 2, 6), np.float32)
    coefficients[0, :, 3:] = [[0.0], [1.0]]
    row = predicted(coefficients).picture.pixels[60, :, 0] / 255
    centres = (np.arange(160) + 0.5) / 80 - 0.5
    assert np.abs(row - np.clip(centres, 0, 1)).max() < 0.003


def light_and_texture(gains: Any, offsets: Any, matrix: Any, grid: tuple[int, int] = (6, 8)) -> NDArray[np.float32]:
    """The same fifteen coefficients everywhere."""
    terms = np.concatenate([np.ravel(part) for part in (gains, offsets, matrix)]).astype(np.float32)
    return np.broadcast_to(terms, (*grid, 15))


def test_fifteen_coefficients_without_a_difference_of_light_and_texture_are_a_plain_map() -> None:
    image = pictures.dark_scene("coffee", (120, 160)).astype(float)
    gains, offsets = [2, 1.5, 1], [0.1, 0.05, 0]
    rendered = predicted(light_and_texture(gains, offsets, np.diag(gains))).picture.pixels
    assert np.abs(rendered - np.clip(image * gains + 255 * np.array(offsets), 0, 255)).max() <= 0.51


@pytest.mark.parametrize("size", [(16, 200), (100, 900), (900, 100), (3000, 16), (16, 9000)])
def test_long_pictures_get_what_the_map_says(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    gains, offsets = [0.9, 0.7, 0.5], [0.1, 0.05, 0]
    coefficients = with_clear(light_and_texture(gains, offsets, np.diag(gains), (16, 32)), 1)
    expected = np.clip(image * gains + 255 * np.array(offsets), 0, 255)
    assert np.abs(predicted(coefficients, image).picture.pixels - expected).max() <= 0.51


def test_texture_is_what_light_leaves_over_row_by_row() -> None:
    """A matrix that moves red's texture to blue leaves the means of all channels alone."""
    image = pictures.dark_scene("coffee", (120, 160))
    matrix = [[0, 0, 0], [0, 1, 0], [1, 0, 1]]
    rendered = predicted(light_and_texture([1, 1, 1], [0, 0, 0], matrix)).picture.pixels.astype(float)
    light = _light(image, (120, 160))  # a picture of 160 has one proxy of its own size: all of it is light
    assert np.abs(light - image).max() == 0
    assert np.abs(rendered - image).max() <= 1
    image = pictures.dark_scene("coffee", (480, 640))
    rendered = predicted(light_and_texture([1, 1, 1], [0, 0, 0], matrix), image).picture.pixels.astype(float)
    light = _light(image, (192, 256))
    texture = image - light
    expected = np.stack([light[..., 0], image[..., 1], image[..., 2] + texture[..., 0]], axis=2)
    assert np.abs(texture).max() > 10
    assert np.abs(rendered - np.clip(expected, 0, 255)).max() <= 1


@pytest.mark.parametrize(("kept", "expected"), [(0.5, 0.5 * 4.1 * 3 / 7), (0.8, 1.0), (1.2, 1.2)])
def test_in_large_cells_more_texture_is_kept_but_no_more_than_the_gain_of_light(kept: float, expected: float) -> None:
    image = pictures.scene("coffee", (3148, 4198))  # cells of 4.1 pixels
    gains = np.array([0.5, 0.4, 0.3])
    rendered = predicted(light_and_texture(gains, [0, 0, 0], kept * np.diag(gains), (1, 1)), image).picture.pixels
    light = _light(image, (768, 1024))
    wanted = gains * (light + expected * (image - light))
    assert np.abs(rendered - np.clip(wanted, 0, 255)).max() <= 1


def with_clear(coefficients: NDArray[np.float32], clear: float) -> NDArray[np.float32]:
    """Fifteen coefficients, and the sixteenth."""
    return np.concatenate([coefficients, np.full_like(coefficients[..., :1], clear)], axis=-1)


CALM = light_and_texture([1.5, 1.4, 1.3], [0, 0, 0], np.full((3, 3), 0.1))
"""A map that lets little texture pass, and mixes its colours."""


def clean() -> NDArray[np.uint8]:
    """A scene without noise: enlarged from a smaller one."""
    return pictures.scene("coffee", (960, 1280)) // 3


@pytest.mark.parametrize("clear", [1.0, 1.7])
def test_where_a_picture_shows_no_noise_texture_gets_the_gains_and_its_luminance_more(clear: float) -> None:
    image = clean()
    rendered = predicted(with_clear(CALM, clear), image).picture.pixels
    light = _light(image, (384, 512))
    texture = image - light
    emphasis = (clear - 1) * (texture @ [0.299, 0.587, 0.114])[..., None]
    wanted = np.array([1.5, 1.4, 1.3]) * (light + texture + emphasis)
    difference = np.abs(rendered - np.clip(wanted, 0, 255))
    assert np.quantile(difference, 0.99) <= 1
    assert np.abs(rendered.astype(int) - predicted(CALM, image).picture.pixels).max() > 20


@pytest.mark.parametrize("colours", [1, 3])
def test_noise_leaves_texture_to_the_matrix(colours: int) -> None:
    """In brightness alone, which takes more to be seen, or in each channel."""
    noise = np.random.default_rng(0).normal(0, 8, (960, 1280, colours))
    image = np.clip(clean() + noise + 20, 0, 255).astype(np.uint8)
    as_told, with_share = predicted(CALM, image), predicted(with_clear(CALM, 1.7), image)
    assert np.abs(as_told.picture.pixels.astype(int) - with_share.picture.pixels).max() <= 1


def test_noise_counts_by_the_gain_that_it_gets() -> None:
    noise = np.random.default_rng(0).normal(0, 0.8, (960, 1280, 3))
    image = np.clip(pictures.constant(20, (960, 1280)) + noise, 0, 255).round().astype(np.uint8)
    kept = []
    for gain in (1.0, 2.5, 6.0):
        coefficients = light_and_texture([gain] * 3, [0, 0, 0], np.zeros((3, 3)))
        rendered = predicted(with_clear(coefficients, 1), image).picture.pixels
        kept.append(_texture(rendered) / _texture(image) / gain)
    assert kept[0] == pytest.approx(1, abs=0.1)
    assert 0.2 < kept[1] < 0.9
    assert kept[2] < 0.1


def test_noise_in_one_half_does_not_calm_the_other() -> None:
    image = clean()
    image[:, :640] = np.clip(image[:, :640] + np.random.default_rng(0).normal(20, 8, (960, 640, 3)), 0, 255)
    coefficients = np.broadcast_to(CALM[0, 0], (192, 256, 15))
    crisp, calm = predicted(with_clear(coefficients, 1.7), image), predicted(coefficients, image)
    difference = np.abs(crisp.picture.pixels.astype(int) - calm.picture.pixels)
    assert difference[:, :400].max() <= 1
    assert difference[:, 800:].max() > 20


def test_noise_is_measured_alike_in_sixteen_bits() -> None:
    noise = np.random.default_rng(0).normal(20, 1.5, (960, 1280, 3))
    image = np.clip(clean() + noise, 0, 255).astype(np.uint8)
    coefficients = with_clear(CALM, 1.7)
    eight, deep = predicted(coefficients, image), predicted(coefficients, image.astype(np.uint16) * 257)
    assert np.abs(deep.picture.pixels / 257 - eight.picture.pixels).max() < 1


@pytest.mark.parametrize("size", [(400, 600), (2400, 3200)])
def test_the_measure_of_noise_is_its_deviation(size: tuple[int, int]) -> None:
    """Of white noise, whether every pixel is looked at or one in thirty-six."""
    pixels = np.random.default_rng(0).normal(120, 5, (*size, 3)).round().astype(np.uint8)
    measured = _deviations(pixels, (192, 256), (24, 32))
    assert measured.shape == (24, 32, 2)
    assert measured.mean(axis=(0, 1)) == pytest.approx([5, 5], rel=0.02)
    assert measured == pytest.approx(5, rel=0.3)


def test_noise_is_measured_where_it_is() -> None:
    pixels = np.full((400, 600, 3), 90, np.uint8)
    pixels[100:200, 300:450] += np.random.default_rng(0).integers(0, 9, (100, 150, 3)).astype(np.uint8)
    measured = _deviations(pixels, (160, 240), (20, 30))
    inside = measured[6:9, 16:22]
    assert inside == pytest.approx(2.58, rel=0.4)
    measured[4:11, 14:24] = 0
    assert not measured.any()


@pytest.mark.parametrize(("size", "grid"), [((900, 1200), (384, 512)), ((1500, 2000), (576, 768))])
def test_light_of_large_pictures_is_finer_than_the_proxy(size: tuple[int, int], grid: tuple[int, int]) -> None:
    image = pictures.dark_scene("coffee", size)
    rendered = predicted(light_and_texture([3, 3, 3], [0, 0, 0], np.zeros((3, 3)), (1, 1)), image).picture.pixels
    assert np.abs(rendered - np.clip(3 * _light(image, grid), 0, 255)).max() <= 1.5


def _light(image: NDArray[np.uint8], grid: tuple[int, int]) -> NDArray[np.float32]:
    """Area means on a grid, enlarged linearly, in torch."""
    small = shrink(torch.tensor(image).permute(2, 0, 1)[None].float(), *grid)
    enlarged = torch.nn.functional.interpolate(small, size=image.shape[:2], mode="bilinear", align_corners=False)
    return enlarged[0].permute(1, 2, 0).numpy()


def test_wholly_transparent_places_lend_no_light() -> None:
    """What is hidden under them is blue, and nothing of it comes to their visible neighbours."""
    pixels = pictures.constant(40, (480, 640))
    alpha = np.full((480, 640), 255, np.uint8)
    pixels[:, :100], alpha[:, :100] = (0, 0, 255), 0
    coefficients = light_and_texture([2, 2, 2], [0, 0, 0], np.zeros((3, 3)))
    rendered = predicted(coefficients, pixels, alpha).picture.pixels[:, 100:]
    assert np.abs(rendered.astype(int) - 80).max() <= 1


def test_sixteen_bits_keep_their_depth_through_light_and_texture() -> None:
    fine = np.linspace(2000, 4000, 640).astype(np.uint16)
    pixels = np.ascontiguousarray(np.broadcast_to(fine[None, :, None], (480, 640, 3)))
    rendered = predicted(light_and_texture([2, 2, 2], [0, 0, 0], np.eye(3)), pixels).picture.pixels[0, :, 0]
    assert np.abs(rendered[10:-10].astype(int) - 2 * fine[10:-10]).max() <= 16
    assert len(np.unique(rendered)) > 600


@pytest.mark.parametrize(
    "coefficients",
    [
        [2, 2, 2, 0.1, 0.05, 0],
        [2, 2, 2, 0.1, 0.05, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
        [2, 2, 2, 0.1, 0.05, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1.5],
    ],
)
def test_a_predicted_map_serves_grey_and_profiled_pictures(coefficients: list[float]) -> None:
    traits = replace(POINTWISE, map_layout=MapLayout(len(coefficients)))
    coefficients = np.broadcast_to(np.float32(coefficients), (1, 6, 8, len(coefficients)))
    grey = np.repeat(pictures.dark_scene("coffee", (120, 160))[..., :1], 3, axis=2)
    for picture in (
        Picture(grey, PictureFormat.PNG, is_grey=True),
        Picture(grey, PictureFormat.PNG, icc=rgb_profile()),
    ):
        rendered = render(picture, lambda batch: coefficients, GUIDED, traits).picture.pixels
        assert rendered.mean() > 1.5 * grey.mean()
        assert not picture.is_grey or np.ptp(rendered, axis=2).max() == 0


@pytest.mark.parametrize("count", [6, 12, 15, 16])
def test_a_map_that_is_not_finite_is_the_engines_fault(count: int) -> None:
    coefficients = np.ones((4, 4, count), np.float32)
    coefficients[1, 2, 3] = np.nan
    with pytest.raises(EngineFailed, match="not finite"):
        predicted(coefficients)


def test_a_map_of_another_layout_is_the_engines_fault() -> None:
    with pytest.raises(EngineFailed, match="6, 12, 15, 16 are allowed"):
        predicted(np.ones((4, 4, 7), np.float32))


def test_profiled_pictures_keep_the_difference_of_light_and_texture() -> None:
    """As in sRGB: light is doubled, and of texture a half is left."""
    pixels = pictures.dark_scene("coffee", (480, 640))
    coefficients = light_and_texture([2, 2, 2], [0, 0, 0], 0.5 * np.eye(3))
    plain = predicted(coefficients, pixels).picture.pixels.astype(float)
    traits = replace(POINTWISE, map_layout=MapLayout.BASE_AND_DETAIL)
    profiled = Picture(pixels, PictureFormat.PNG, icc=rgb_profile())
    seen = profiled.srgb(render(profiled, lambda batch: coefficients[None], GUIDED, traits).picture.pixels)
    in_srgb = predicted(coefficients, profiled.srgb(pixels)).picture.pixels.astype(float)
    grey = np.repeat(pixels[..., 1:2], 3, axis=2)
    as_grey = render(Picture(grey, PictureFormat.PNG, is_grey=True), lambda batch: coefficients[None], GUIDED, traits)
    assert np.abs(seen - in_srgb).mean() < 3  # sRGB clips some of the coffee's reds
    assert _texture(seen) == pytest.approx(_texture(in_srgb), rel=0.25)
    assert _texture(in_srgb) < 0.6 * _texture(
        predicted(light_and_texture([2, 2, 2], [0, 0, 0], 2 * np.eye(3)), pixels).picture.pixels
    )
    assert np.abs(as_grey.picture.pixels[..., 0] - plain[..., 1]).max() <= 1


def _texture(pixels: NDArray[Any]) -> float:
    """Deviation from the means of 3 x 3 pixels, which noise dominates."""
    return float(
        (pixels[1:-1, 1:-1].astype(float) - uniform_filter(pixels.astype(float), (3, 3, 0))[1:-1, 1:-1]).std()
    )
