"""Exposure: stops of light in the dark, white that stays white, and the same look in every colour space."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, RenderOptions, finish, plan, prepare, render_array
from service.rendering._colour import grey_tones
from service.rendering._exposure import exposure_curve
from service.rendering._grade import grade, with_shadows
from service.rendering._shadows import shadow_factors
from tests import pictures
from tests.service.pictures.profiles import grey_profile, rgb_profile
from tests.service.rendering.networks import POINTWISE, identity, quadratic, render

STOPS = (-2.0, -1.0, -0.3, 0.3, 1.0, 2.0)
RAMP = pictures.grey_ramp((16, 256))
LINEAR = rgb_profile(gamma=1.0)
PROPHOTO_LIKE = rgb_profile(((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)), gamma=1.8)


def light(codes: NDArray[np.generic]) -> NDArray[np.float64]:
    """Light of 8-bit sRGB code values, 0 to 1 (IEC 61966-2-1)."""
    code = codes / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def exposed(stops: float, detail: Detail = Detail.WHOLE, pixels: NDArray[np.uint8] = RAMP) -> NDArray[np.uint8]:
    traits = replace(POINTWISE, max_pixels=10**6)
    return render_array(pixels, identity, traits, replace(NEUTRAL, detail=detail, exposure=stops))


@pytest.mark.parametrize("stops", STOPS)
def test_dark_parts_get_so_many_stops(stops: float) -> None:
    codes = np.arange(8, 30)
    asked = light(codes) * 2**stops
    given = light(exposed(stops)[0, codes, 0])
    step = light(exposed(stops)[0, codes, 0] + 0.5) - given  # what rounding may cost
    assert np.abs(given - asked).max() < step.max() + 0.02 * asked.max()


@pytest.mark.parametrize("stops", STOPS)
def test_black_and_white_stay_and_nothing_between_is_clipped(stops: float) -> None:
    line = exposed(stops)[0, :, 0].astype(int)
    assert (line[0], line[255]) == (0, 255)
    assert np.diff(line).min() >= 0
    assert line[200] < 253
    assert (np.sign(line[1:255] - np.arange(1, 255)) * np.sign(stops)).min() >= 0


@pytest.mark.parametrize("stops", [-1.0, 1.0])
def test_middle_grey_gets_nearly_the_stop(stops: float) -> None:
    assert np.log2(light(exposed(stops)[0, 118, 0]) / light(np.array(118))) == pytest.approx(0.87 * stops, abs=0.03)


def test_colours_get_the_same_curve_in_every_channel() -> None:
    image = pictures.scene("coffee", (64, 96))
    np.testing.assert_array_equal(exposed(0.7, pixels=image), exposed(0.7)[0, :, 0][image])


@pytest.mark.parametrize("detail", list(Detail))
def test_a_picture_that_the_gate_leaves_alone_is_exposed_all_the_same(detail: Detail) -> None:
    bright = pictures.constant(150)
    options = RenderOptions(detail=detail, protect=0, exposure=-1)
    rendered = render(Picture(bright, PictureFormat.PNG), quadratic(-0.7), options)
    assert rendered.gate == 0
    assert np.abs(rendered.picture.pixels - exposed(-1)[0, 150, 0].astype(int)).max() <= 1


def test_exposure_follows_what_the_gate_lets_through() -> None:
    image = np.full((64, 96, 3), 130, np.uint8)
    image[:, :24] = 20  # a quarter is dark: the gate is half open
    plain = render(Picture(image, PictureFormat.PNG), quadratic(-0.5), RenderOptions(protect=0))
    assert 0.2 < plain.gate < 0.8
    wished = render(Picture(image, PictureFormat.PNG), quadratic(-0.5), RenderOptions(protect=0, exposure=1))
    expected = exposed(1)[0, :, 0][plain.picture.pixels].astype(int)
    assert np.abs(wished.picture.pixels - expected).max() <= 2  # half a code, rounded before the curve
    assert wished.gate == plain.gate


def test_who_asks_for_neither_gets_the_plain_formula() -> None:
    picture = Picture(pictures.dark_scene("astronaut", (80, 80)), PictureFormat.PNG)
    plain = grade(RenderOptions(strength=0.5), 0.3, picture)
    assert (plain.blend, plain.curve.size, plain.shadows.field.size) == (np.float32(0.15), 0, 0)
    assert with_shadows(plain, RenderOptions(strength=0.5), picture, lambda: pytest.fail("nobody asked")) is plain


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
@pytest.mark.parametrize("wish", ["exposure", "shadows"])
def test_from_nothing_on_all_changes_are_small(wish: str, detail: Detail) -> None:
    image = pictures.dark_scene("astronaut", (120, 160))
    plain, little = (
        render_array(image, quadratic(-0.6), POINTWISE, RenderOptions(detail=detail, gamma=0.9, **options))
        for options in ({}, {wish: 0.001})
    )
    assert np.abs(plain.astype(int) - little).max() <= 1
    assert (plain != little).mean() < 0.1


def test_no_buffer_of_the_pictures_size_is_needed() -> None:
    pixels = pictures.dark_scene("coffee", (1200, 1800))
    traits = replace(POINTWISE, max_pixels=10**7)
    for bits in (8, 16):
        picture = Picture(pixels if bits == 8 else pixels.astype(np.uint16) * 257, PictureFormat.PNG)
        for detail in (Detail.WHOLE, Detail.GUIDED):
            peaks = []
            for wishes in ({}, {"exposure": 1.0, "shadows": 1.0}):
                options = RenderOptions(detail=detail, **wishes)
                prepared = prepare(picture, plan(1800, 1200, bits, traits, options))
                outputs = [np.minimum(item, 120) * np.uint8(2) for item in prepared.items]
                tracemalloc.start()
                finish(prepared, outputs, options)
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            assert peaks[0] > 0
            assert peaks[1] < peaks[0] + pixels.nbytes / 2, "of floats it would be four times that of the pixels"


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_no_strength_no_change(detail: Detail) -> None:
    image = pictures.dark_scene("astronaut", (80, 80))
    options = RenderOptions(detail=detail, strength=0, exposure=2, shadows=1)
    np.testing.assert_array_equal(render_array(image, quadratic(-1.0), POINTWISE, options), image)


@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
@pytest.mark.parametrize("options", [{"exposure": 1.0}, {"exposure": -1.0}, {"shadows": 1.0}, {"shadows": -1.0}])
def test_sixteen_bits_give_what_eight_give(detail: Detail, options: dict[str, float]) -> None:
    scene = np.rint(0.3 * pictures.scene("coffee", (96, 144))).astype(np.uint8)
    wishes = replace(NEUTRAL, detail=detail, **options)
    eight, sixteen = (
        render(Picture(pixels, PictureFormat.PNG), quadratic(-0.5), wishes).picture.pixels
        for pixels in (scene, scene.astype(np.uint16) * 257)
    )
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 257 - eight).mean() < (1 if detail is Detail.GUIDED else 4)  # whole: through a fitted map


@pytest.mark.parametrize("icc", [rgb_profile(), PROPHOTO_LIKE, LINEAR], ids=["p3", "prophoto", "linear"])
@pytest.mark.parametrize("options", [{"exposure": 1.0}, {"exposure": -1.0}, {"shadows": 1.0}, {"shadows": -1.0}])
def test_under_a_profile_it_looks_the_same(icc: bytes, options: dict[str, float]) -> None:
    scene = pictures.scene("coffee", (160, 240)).astype(float)
    pixels = np.rint(0.2 * (0.9 * scene.mean(axis=2, keepdims=True) + 0.1 * scene) + 5).astype(np.uint8)
    picture = Picture(pixels, PictureFormat.PNG, icc=icc)
    wishes = replace(NEUTRAL, detail=Detail.WHOLE, **options)
    traits = replace(POINTWISE, max_pixels=10**6)
    expected = render_array(picture.srgb(pixels), identity, traits, wishes).astype(int)
    rendered = render(picture, identity, wishes, traits).picture
    difference = rendered.srgb(rendered.pixels).astype(int) - expected
    change = np.abs(expected - picture.srgb(pixels)).mean()
    assert change > 5
    # The brightest channel of a colour is another one's share in another gamut; greys differ by rounding alone.
    assert np.abs(difference).mean() < 1 + 0.1 * change
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.1 * change


def test_the_tones_of_a_profile_are_a_smooth_curve() -> None:
    picture = Picture(pictures.constant(0), PictureFormat.PNG, icc=PROPHOTO_LIKE)
    tones = 255 * grey_tones(picture)
    power = (np.arange(256) / 255) ** 1.8
    expected = 255 * np.where(power <= 0.0031308, 12.92 * power, 1.055 * power ** (1 / 2.4) - 0.055)
    assert (tones[0], tones[255]) == (0, 255)
    assert np.abs(tones - expected)[20:].mean() < 0.15  # rounded to whole codes it would be 0.25
    assert np.abs(np.diff(tones, 2))[20:].max() < 0.6  # and here 1


@pytest.mark.parametrize("wish", [{"exposure": 2.0}, {"exposure": -2.0}, {"shadows": 1.0}, {"shadows": -1.0}])
def test_greys_that_a_profile_shows_as_black_stay_what_they_are(wish: dict[str, float]) -> None:
    """A black point of 16, as in video; brighter greys are changed all the same."""
    black = np.clip((np.arange(256) - 16) / 239, 0, 1)
    nodes = np.arange(256) / 255
    table = exposure_curve(wish["exposure"], black, 256) if "exposure" in wish else None
    for code in range(0, 16, 5):
        if table is not None:
            assert table[code] == pytest.approx(nodes[code], abs=1e-6)
        else:
            factors = shadow_factors(np.full((16, 16, 3), nodes[code], np.float32), wish["shadows"], black)
            slope, offset, _ = factors.field[8, 8]
            assert slope * nodes[code] + offset == pytest.approx(1, abs=1e-5)
    if table is not None:
        assert abs(table[60] - nodes[60]) > 0.05
        assert np.diff(table).min() >= 0


@pytest.mark.parametrize("icc", [None, grey_profile()])
@pytest.mark.parametrize("detail", [Detail.WHOLE, Detail.GUIDED])
def test_grey_stays_grey(icc: bytes | None, detail: Detail) -> None:
    grey = np.repeat(pictures.dark_scene("coffee", (120, 160))[..., :1], 3, axis=2)
    picture = Picture(grey, PictureFormat.PNG, icc=icc, is_grey=True)
    plain, wished = (
        render(picture, quadratic(-0.5), RenderOptions(detail=detail, **options)).picture.pixels
        for options in ({}, {"exposure": 0.5, "shadows": 0.5})
    )
    assert np.ptp(wished, axis=2).max() == 0
    assert wished.mean() > plain.mean() + 10
