"""Pictures through networks: guided against whole, tiles, depth, colour, transparency, hard pictures."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from service.pictures import Picture, PictureFormat
from service.rendering import (
    NEUTRAL,
    Answer,
    Detail,
    Rendered,
    RenderOptions,
    _answer,
    plan,
    prepare,
    render_array,
)
from service.repository import ModelTraits, SpatialScope
from tests import pictures
from tests.service.pictures.profiles import grey_profile, rgb_profile
from tests.service.rendering.networks import (
    BLURRING,
    POINTWISE,
    Network,
    blurring,
    curve,
    identity,
    quadratic,
    render,
)
from training.networks import create, spec

WHOLE = replace(NEUTRAL, detail=Detail.WHOLE)
GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)
TILES = replace(NEUTRAL, detail=Detail.TILES)


def luminance(pixels: NDArray[Any]) -> float:
    """Mean luminance of code values, 0 to 1."""
    mean = pixels.reshape(-1, 3).mean(axis=0) / np.iinfo(pixels.dtype).max
    return float(mean @ [0.2126, 0.7152, 0.0722])


# guided against whole


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_guided_is_close_to_whole(name: str) -> None:
    image = pictures.dark_scene(name, (400, 600))
    network = quadratic(-0.3)
    whole = render_array(image, network, POINTWISE, WHOLE)
    guided = render_array(image, network, POINTWISE, GUIDED)
    assert structural_similarity(whole, guided, channel_axis=2) > 0.95
    assert abs(whole.mean() - guided.mean()) < 4


@pytest.mark.parametrize("size", [(333, 500), (500, 333), (97, 400), (16, 16), (23, 41)])
def test_an_affine_effect_is_carried_over_at_any_size(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    image = random.integers(0, 100, (*size, 3)).astype(np.uint8)
    rendered = render_array(image, curve(lambda value: 2 * value + 0.1), POINTWISE, GUIDED)
    assert np.abs(rendered - (2.0 * image + 25.5)).mean() < 3


def test_the_identity_stays_the_identity() -> None:
    image = pictures.scene("coffee", (300, 451))
    guided = render_array(image, identity, POINTWISE, GUIDED).astype(int)
    assert np.abs(guided - image).mean() < 1.5
    assert np.array_equal(render_array(image, identity, POINTWISE, WHOLE), image)
    assert np.array_equal(render_array(image, identity, POINTWISE, TILES), image)


def test_strips_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    from service.rendering import _strips

    image = pictures.dark_scene("astronaut", (301, 407))
    options = RenderOptions(detail=Detail.GUIDED, gamma=0.8)
    together = render_array(image, quadratic(-0.7), POINTWISE, options)
    monkeypatch.setattr(_strips, "PIXELS_PER_THREAD", 4096)
    assert np.array_equal(render_array(image, quadratic(-0.7), POINTWISE, options), together)


def test_several_threads_render_at_once() -> None:
    image = pictures.dark_scene("astronaut", (900, 1200))
    expected = render_array(image, quadratic(-0.7), POINTWISE, GUIDED)
    results: list[NDArray[np.uint8]] = []
    threads = [
        threading.Thread(target=lambda: results.append(render_array(image, quadratic(-0.7), POINTWISE, GUIDED)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(np.array_equal(result, expected) for result in results)


# the proxy


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.501), (16, 1.0)], ids=["rounded", "dithered"])
def test_the_proxy_is_the_exact_area_mean(bits: int, tolerance: float) -> None:
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = np.random.default_rng(0).integers(0, 2**bits, (128 * 3, 256 * 3, 3)).astype(dtype)
    render_plan = plan(768, 384, bits, POINTWISE, GUIDED)
    expected = pixels.reshape(128, 3, 256, 3, 3).mean(axis=(1, 3)) * (255 / (2**bits - 1))
    difference = prepare(Picture(pixels, PictureFormat.PNG), render_plan).items[0] - expected
    assert np.abs(difference).max() < tolerance
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.01


def test_the_proxy_keeps_the_mean_at_odd_sizes() -> None:
    image = pictures.scene("coffee", (397, 593))
    render_plan = plan(593, 397, 8, POINTWISE, GUIDED)
    proxy = prepare(Picture(image, PictureFormat.PNG), render_plan).items[0]
    assert np.abs(proxy.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 0.05


# what is reported


@pytest.mark.parametrize("detail", list(Detail))
@pytest.mark.parametrize("bits", [8, 16])
def test_luminance_before_and_after(detail: Detail, bits: int) -> None:
    image = pictures.dark_scene("astronaut", (180, 240))
    pixels = image if bits == 8 else image.astype(np.uint16) * 257
    rendered = render(Picture(pixels, PictureFormat.PNG), quadratic(-0.6), RenderOptions(detail=detail))
    assert rendered.luminance_before == pytest.approx(luminance(pixels), abs=1e-4)
    assert rendered.luminance_after == pytest.approx(luminance(rendered.picture.pixels), abs=0.01)
    assert rendered.luminance_after > rendered.luminance_before + 0.1
    assert rendered.gate > 0.9


def test_everything_but_the_pixels_is_kept() -> None:
    picture = Picture(pictures.dark_scene("coffee", (64, 64)), PictureFormat.JPEG, exif=b"exif", subsampling="420")
    before = picture.pixels.copy()
    rendered = render(picture, quadratic(-0.5), RenderOptions()).picture
    assert replace(rendered, pixels=picture.pixels).exif == b"exif"
    assert rendered.subsampling == "420"
    assert np.array_equal(picture.pixels, before)


# tiles


@pytest.mark.parametrize("size", [(240, 320), (97, 331), (64, 64)])
def test_tiles_of_a_local_network_equal_the_whole(size: tuple[int, int]) -> None:
    image = pictures.dark_scene("astronaut", size)
    tiled = render_array(image, blurring, BLURRING, TILES)
    assert np.array_equal(tiled, render_array(image, blurring, BLURRING, WHOLE))


def test_a_halo_one_pixel_too_small_shows() -> None:
    image = pictures.scene("astronaut", (240, 320))
    tiled = render_array(image, blurring, replace(BLURRING, halo=5), TILES)
    assert not np.array_equal(tiled, render_array(image, blurring, BLURRING, WHOLE))


@pytest.mark.parametrize("name", ["zero_dce", "zero_dce_improved"])
def test_tiles_of_the_local_networks_equal_the_whole(name: str) -> None:
    torch.manual_seed(0)
    network = create(name).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # so that the untrained curves bend visibly

    @torch.no_grad()
    def run(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = torch.from_numpy(batch.copy()).permute(0, 3, 1, 2).float() / 255
        return (network(image).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()

    traits = ModelTraits(name, SpatialScope.LOCAL, halo=spec(name).halo, max_pixels=96 * 96)
    image = pictures.dark_scene("astronaut", (150, 203))
    tiled = render_array(image, run, traits, TILES).astype(int)
    whole = render_array(image, run, traits, WHOLE)
    assert np.abs(whole.astype(int) - image).max() > 10
    assert np.abs(tiled - whole).max() <= 1


def test_tiles_of_sixteen_bits_equal_the_whole() -> None:
    picture = Picture(pictures.dark_scene("coffee", (200, 150)).astype(np.uint16) * 257, PictureFormat.PNG)
    tiled = render(picture, blurring, TILES, BLURRING)
    whole = render(picture, blurring, WHOLE, BLURRING)
    assert (tiled.detail, whole.detail) == ("tiles-affine", "whole-affine")
    assert np.array_equal(tiled.picture.pixels, whole.picture.pixels)


@pytest.mark.parametrize("profile", [None, rgb_profile()], ids=["sRGB", "P3"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pictures_are_converted_in_strips_without_seams(
    monkeypatch: pytest.MonkeyPatch, depth: type, profile: bytes | None
) -> None:
    alpha = np.full((203, 150), np.iinfo(depth).max, depth)
    alpha[:20, :30] = 0
    scene = pictures.dark_scene("coffee", alpha.shape).astype(depth) * (np.iinfo(depth).max // 255)
    for alone in (Picture(scene, PictureFormat.PNG, alpha, profile), Picture(scene, PictureFormat.PNG, icc=profile)):
        together = render(alone, quadratic(-0.5), TILES).picture.pixels
        with monkeypatch.context() as changed:
            changed.setattr(_answer, "STRIP_PIXELS", 1000)
            assert np.array_equal(render(alone, quadratic(-0.5), TILES).picture.pixels, together)


@pytest.mark.parametrize(("depth", "most"), [(np.uint8, 40), (np.uint16, 60)])
def test_a_colour_profile_takes_little_memory_at_full_size(
    monkeypatch: pytest.MonkeyPatch, depth: type, most: float
) -> None:
    """NumPy's alone, in bytes a pixel; the pool's, which has what is of full size, is no part of it."""
    monkeypatch.setattr(_answer, "STRIP_PIXELS", 1 << 15)
    scene = pictures.dark_scene("coffee", (400, 500)).astype(depth) * (np.iinfo(depth).max // 255)
    prepared = prepare(
        Picture(scene, PictureFormat.PNG, icc=rgb_profile()), plan(500, 400, 8 * scene.itemsize, POINTWISE, TILES)
    )
    answer = Answer(prepared, [quadratic(-0.5)(item[None])[0] for item in prepared.items])
    tracemalloc.start()
    try:
        answer.pixels()
        assert tracemalloc.get_traced_memory()[1] < most * 400 * 500
    finally:
        tracemalloc.stop()


# depth


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_a_sixteen_bit_ramp_darkened_sixteen_times_keeps_its_levels(detail: Detail) -> None:
    row = np.round(np.linspace(0, 65535 / 16, 4096)).astype(np.uint16)
    pixels = np.broadcast_to(row[None, :, None], (512, 4096, 3)).copy()
    traits = replace(POINTWISE, max_pixels=10**7)
    rendered = render(Picture(pixels, PictureFormat.TIFF), quadratic(-0.7), replace(NEUTRAL, detail=detail), traits)
    result = rendered.picture.pixels
    assert result.dtype == np.uint16
    assert len(np.unique(result)) > 1000
    assert result[256, -1, 0] > 3 * row[-1]
    assert np.diff(result[256, :, 0].astype(int)).min() >= -64  # a quarter of an 8-bit code


# colour


def test_grey_pictures_stay_grey() -> None:
    grey = np.repeat(pictures.dark_scene("coffee", (120, 160))[..., :1], 3, axis=2)
    tinting: Network = lambda batch: np.minimum(batch * [2.5, 2.0, 1.5] + [5, 10, 30], 255).astype(np.uint8)  # noqa: E731
    for icc in (None, grey_profile()):
        picture = Picture(grey, PictureFormat.PNG, icc=icc, is_grey=True)
        for detail in (Detail.WHOLE, Detail.GUIDED, Detail.TILES):
            pixels = render(picture, tinting, RenderOptions(detail=detail)).picture.pixels
            assert np.ptp(pixels, axis=2).max() == 0
            assert pixels.mean() > 1.5 * grey.mean()


LINEAR_P3 = rgb_profile(gamma=1.0)
PROPHOTO_LIKE = rgb_profile(((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)), gamma=1.8)


@pytest.mark.parametrize("icc", [rgb_profile(), PROPHOTO_LIKE, LINEAR_P3], ids=["p3", "prophoto", "linear"])
@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_under_a_profile_the_effect_is_the_same_seen_in_srgb(icc: bytes, detail: Detail) -> None:
    # Desaturated colours, so that none lie outside sRGB, where nothing can be compared.
    scene = pictures.dark_scene("coffee", (160, 240)).astype(float)
    pixels = np.rint(0.6 * scene.mean(axis=2, keepdims=True) + 0.4 * scene + 10).astype(np.uint8)
    picture = Picture(pixels, PictureFormat.PNG, icc=icc)
    network = quadratic(-0.5)
    seen = picture.srgb(pixels)
    expected = render_array(seen, network, POINTWISE, replace(NEUTRAL, detail=detail)).astype(int)
    rendered = render(picture, network, replace(NEUTRAL, detail=detail)).picture
    assert rendered.icc == icc
    shown = rendered.srgb(rendered.pixels).astype(int)
    assert np.abs(shown - expected).mean() < 2.5
    assert np.abs(shown.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 2


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_colours_outside_srgb_keep_their_saturation(detail: Detail) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 1] = np.linspace(180, 255, 64).astype(np.uint8)
    picture = Picture(pixels, PictureFormat.PNG, icc=rgb_profile())
    rendered = render(picture, identity, replace(NEUTRAL, detail=detail)).picture.pixels
    assert np.abs(rendered.astype(int) - pixels).max() <= 2


def test_sixteen_bits_under_a_profile() -> None:
    pixels = pictures.dark_scene("coffee", (64, 96)).astype(np.uint16) * 257
    picture = Picture(pixels, PictureFormat.TIFF, icc=rgb_profile())
    rendered = render(picture, quadratic(-0.5), NEUTRAL).picture.pixels
    assert rendered.dtype == np.uint16
    assert rendered.mean() > 1.5 * pixels.mean()


# transparency


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_hidden_colours_do_not_leak(detail: Detail) -> None:
    image = pictures.dark_scene("astronaut", (120, 160))
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:60, :100] = 0

    def result(hidden: int) -> Rendered:
        pixels = image.copy()
        pixels[alpha == 0] = hidden
        return render(Picture(pixels, PictureFormat.PNG, alpha), blurring, RenderOptions(detail=detail), BLURRING)

    black, white = result(0), result(255)
    assert np.array_equal(black.picture.pixels[alpha > 0], white.picture.pixels[alpha > 0])
    assert (black.gate, black.luminance_before) == (white.gate, white.luminance_before)
    assert black.luminance_before == pytest.approx(luminance(image[alpha > 0]), abs=1e-4)
    assert black.picture.alpha is alpha


def test_half_transparent_pixels_count_half() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = 100
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:, 32:] = 51
    rendered = render(Picture(pixels, PictureFormat.PNG, alpha), identity, GUIDED)
    assert rendered.luminance_before == pytest.approx(100 / 255 / 6, rel=1e-3)


def test_wholly_transparent_pictures_pass() -> None:
    picture = Picture(pictures.constant(90), PictureFormat.PNG, np.zeros((64, 96), np.uint8))
    for detail in (Detail.WHOLE, Detail.GUIDED):
        rendered = render(picture, quadratic(-0.5), RenderOptions(detail=detail))
        assert rendered.luminance_before == 0.0
        assert np.isfinite(rendered.luminance_after)


# hard pictures


@pytest.mark.parametrize("detail", list(Detail))
@pytest.mark.parametrize("value", [0, 1, 40, 128, 254, 255])
def test_constant_pictures_follow_the_curve(value: int, detail: Detail) -> None:
    network = quadratic(-0.7)
    rendered = render_array(pictures.constant(value), network, POINTWISE, replace(NEUTRAL, detail=detail))
    assert np.abs(rendered.astype(int) - int(network(np.array([value]))[0])).max() <= 1


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_black_bars_stay_black(detail: Detail) -> None:
    image = pictures.letterboxed("coffee", (320, 480), bar=64)
    rendered = render_array(image, quadratic(-0.2), POINTWISE, replace(NEUTRAL, detail=detail))
    # Two windows of 5 x 5 proxy pixels reach four proxy pixels, here 8 rows, into the bars, and fade there.
    for bar in (rendered[:64], rendered[:-65:-1]):
        assert bar[:55].max() == 0
        assert bar[:62].mean(axis=(1, 2)).max() <= 3
        assert bar.mean(axis=(1, 2)).max() <= 10
    assert rendered[80:-80].mean() > 2 * image[80:-80].mean()


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_a_single_lamp_has_no_halo(detail: Detail) -> None:
    image = pictures.single_lamp((480, 720))
    network = quadratic(-0.5)
    rendered = render_array(image, network, POINTWISE, replace(NEUTRAL, detail=detail)).astype(int)
    assert rendered[160, 360].min() == 255
    line = rendered[160, 360:, 0]
    assert np.diff(line).max() <= 3  # from the lamp outwards it only gets darker
    whole = network(image).astype(int)
    distance = np.hypot(*np.ogrid[-160:320, -360:360])
    assert np.abs(rendered - whole)[distance > 24].max() <= 12


def test_noise_in_the_dark_does_not_blow_up() -> None:
    image = np.random.default_rng(0).integers(0, 4, (256, 384, 3)).astype(np.uint8)
    network = quadratic(-1.0)
    guided = render_array(image, network, POINTWISE, GUIDED).astype(float)
    whole = render_array(image, network, POINTWISE, WHOLE).astype(float)
    assert guided.std() <= 1.1 * whole.std()
