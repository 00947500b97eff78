"""The sensor model: light, noise, colour and rounding as its words say, and the same for the same seed."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tests.pictures import constant, scene
from training.datasets import Transforms
from training.datasets._darkening import Darkening, darken, darken_twice
from training.datasets._transforms import transform

QUIET = {
    "tone": (2.2, 2.2),
    "balance": 0.0,
    "electrons": (1e9, 1e9),
    "read_noise": (0.0, 0.0),
    "jpeg": 0.0,
}


def words(**changes: object) -> Darkening:
    return Darkening.model_validate(QUIET | changes)


def test_the_light_is_a_share_of_the_linear_light() -> None:
    dark = darken(constant(200, (32, 32)), words(gain=(0.2, 0.2)), np.random.default_rng(0))
    assert np.unique(dark).tolist() == [round(200 * 0.2 ** (1 / 2.2))]


def test_a_backlit_photo_keeps_its_bright_parts_and_loses_the_shadows() -> None:
    view = constant(60, (64, 96))
    view[:, 48:] = 230
    dark = darken(view, words(gain=(0.04, 0.04), backlit=1.0), np.random.default_rng(0))
    assert np.unique(dark[:, :24]).tolist() == [round(60 * 0.2 ** (1 / 2.2))]
    assert np.abs(dark[:, 72:].astype(int) - 230).max() <= 1
    # The contour stays where it was: no halo that is wider than it is deep.
    assert dark[:, 47].max() < 60
    assert dark[:, 48].min() > 180


def test_texture_of_a_backlit_photo_keeps_its_contrast() -> None:
    random = np.random.default_rng(4)
    view = np.repeat(random.integers(60, 120, (96, 96, 1)), 3, axis=2).astype(np.uint8)
    plain = darken(view, words(gain=(0.2, 0.2)), np.random.default_rng(0)).astype(float)
    backlit = darken(view, words(gain=(0.04, 0.04), backlit=1.0), np.random.default_rng(0)).astype(float)
    relative = [picture.std() / picture.mean() for picture in (plain, backlit)]
    assert relative[1] < 1.2 * relative[0]


def test_how_many_are_backlit_is_a_share() -> None:
    view = constant(60, (16, 16))
    view[:, 8:] = 250
    drawn = words(gain=(0.04, 0.04), backlit=0.5)
    kept = [darken(view, drawn, np.random.default_rng(seed))[0, 15, 0] > 200 for seed in range(200)]
    assert 70 < sum(kept) < 130


def test_shot_noise_follows_the_electrons() -> None:
    """At gain 1 and n electrons at white, the linear light's deviation is the root of light / n."""
    view = constant(128, (200, 200))
    light = (128 / 255) ** 2.2
    noisy = darken(view, words(gain=(1.0, 1.0), electrons=(2000.0, 2000.0)), np.random.default_rng(0))
    deviation = ((noisy / 255.0) ** 2.2).std()
    assert deviation == pytest.approx(np.sqrt(light / 2000), rel=0.05)


def test_read_noise_stays_where_there_is_no_light() -> None:
    black = constant(0, (64, 64))
    assert darken(black, words(), np.random.default_rng(0)).max() == 0
    assert darken(black, words(electrons=(1000.0, 1000.0), read_noise=(5.0, 5.0)), np.random.default_rng(0)).max() > 0


def test_the_white_balance_moves_red_and_blue_only() -> None:
    dark = darken(constant(200, (8, 8)), words(gain=(0.2, 0.2), balance=0.3), np.random.default_rng(3))
    red, green, blue = dark[0, 0].tolist()
    assert green == round(200 * 0.2 ** (1 / 2.2))
    assert red != green != blue


def test_compression_changes_a_photo_and_keeps_its_look() -> None:
    view = scene("coffee", (64, 96))
    changed = words(gain=(0.5, 0.5), jpeg=1.0, quality=(75, 75))
    plain = darken(view, words(gain=(0.5, 0.5)), np.random.default_rng(0)).astype(int)
    compressed = darken(view, changed, np.random.default_rng(0)).astype(int)
    assert 0 < np.abs(compressed - plain).mean() < 8


def test_a_recipe_darkens_the_named_view_and_leaves_its_share_alone() -> None:
    view = scene("coffee", (48, 64))
    recipe = Transforms.model_validate({"darkening": {"probability": 0.5, "gain": [0.05, 0.1], "fields": ["dark"]}})
    means = []
    for seed in range(40):
        result = transform({"dark": view, "bright": view}, recipe, np.random.default_rng(seed))
        assert np.array_equal(result["bright"], view)
        means.append(result["dark"].mean() / view.mean())
    assert 10 <= sum(mean == 1 for mean in means) <= 30
    assert max(mean for mean in means if mean < 1) < 0.5


def test_without_light_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        words(gain=(0.0, 0.5))


def darkened_as_ever(view: np.ndarray, drawn: Darkening, random: np.random.Generator) -> np.ndarray:
    """The sensor model as it was before noise could be a camera's, without backlight."""
    curve = (np.linspace(0, 1, 256) ** random.uniform(*drawn.tone)).astype(np.float32)
    light = cv2.LUT(view, curve)
    light *= np.float32(float(np.exp(random.uniform(*np.log(drawn.gain)))))
    light *= np.exp(random.normal(0, drawn.balance, 3) * (1, 0, 1)).astype(np.float32)
    electrons = float(np.exp(random.uniform(*np.log(drawn.electrons))))
    deviation = np.sqrt(light * electrons + random.uniform(*drawn.read_noise) ** 2) / electrons
    light += deviation * random.standard_normal(view.shape, np.float32)
    codes = cv2.pow(np.clip(light, 0, 1), 1 / random.uniform(*drawn.tone))
    dark = np.round(255 * codes).astype(np.uint8)
    if random.random() >= drawn.jpeg:
        return dark
    file = io.BytesIO()
    lowest, highest = drawn.quality
    Image.fromarray(dark).save(file, "JPEG", quality=int(random.integers(lowest, highest + 1)))
    return np.asarray(Image.open(file))


def test_without_a_camera_noise_is_what_it_always_was() -> None:
    """So that trainings of before repeat to the bit."""
    view = scene("coffee", (48, 64))
    for changes in ({}, {"electrons": (2000.0, 200000.0), "read_noise": (0.5, 6.0), "balance": 0.2}):
        drawn = Darkening.model_validate(changes)
        for seed in range(6):
            expected = darkened_as_ever(view, drawn, np.random.default_rng(seed))
            np.testing.assert_array_equal(darken(view, drawn, np.random.default_rng(seed)), expected)


def noise(electrons: float = 3000.0, **changes: object) -> np.ndarray:
    """What is left of a grey wall, in light, less its mean: [H, W, 3]."""
    drawn = words(gain=(1.0, 1.0), electrons=(electrons, electrons), **changes)
    dark = darken(constant(128, (240, 240)), drawn, np.random.default_rng(2))
    light = (dark / 255.0) ** 2.2
    return light - light.mean(axis=(0, 1))


def neighbours_share(plane: np.ndarray, distance: int = 1) -> float:
    """Correlation of pixels that lie so far apart, along rows and columns."""
    across = (plane[:, distance:] * plane[:, :-distance]).mean()
    down = (plane[distance:] * plane[:-distance]).mean()
    return float((across + down) / 2 / plane.var())


def test_grain_has_the_width_that_was_asked_for() -> None:
    """Correlation falls to a half at about 0.6 of the grain's width: linear decay over one, less the cubic's dip."""
    half = {}
    for width in (1.5, 3.0, 6.0):
        plane = noise(grain=(width, width)).mean(axis=2)
        shares = [1.0, *(neighbours_share(plane, distance) for distance in range(1, 12))]
        half[width] = float(np.interp(-0.5, -np.array(shares), np.arange(12)))
    for width, distance in half.items():
        assert 0.4 * width < distance < 0.8 * width
    assert neighbours_share(noise().mean(axis=2)) == pytest.approx(0, abs=0.03)


def test_a_mosaic_shares_noise_between_neighbours_and_not_between_channels() -> None:
    plane = noise(mosaic=1.0)
    for channel, least in ((0, 0.4), (1, 0.15), (2, 0.4)):
        assert neighbours_share(plane[..., channel]) > least
    assert abs(np.corrcoef(plane[..., 0].ravel(), plane[..., 2].ravel())[0, 1]) < 0.1


def test_smoothed_colour_leaves_luminance_its_noise() -> None:
    # So much noise that what smoothing leaves is more than what rounding to codes adds.
    sharp, smooth = noise(60.0), noise(60.0, chroma_blur=(3.0, 3.0))
    grey, colour = smooth.mean(axis=2), smooth[..., 0] - smooth[..., 1]
    assert neighbours_share(grey) < 0.1
    assert neighbours_share(colour) > 0.75
    assert colour.std() < 0.3 * (sharp[..., 0] - sharp[..., 1]).std()
    assert grey.std() == pytest.approx(sharp.mean(axis=2).std(), rel=0.1)


@pytest.mark.parametrize("changes", [{}, {"grain": (2.0, 2.0), "mosaic": 1.0}])
def test_the_clean_version_is_the_dark_one_without_noise(changes: dict[str, object]) -> None:
    view = scene("coffee", (96, 144))
    drawn = words(gain=(0.2, 0.2), electrons=(2000.0, 2000.0), **changes)
    noisy, clean = darken_twice(view, drawn, np.random.default_rng(5))
    np.testing.assert_array_equal(noisy, darken(view, drawn, np.random.default_rng(5)))
    assert clean.dtype == np.uint16
    light = (view / 255.0) ** 2.2
    np.testing.assert_allclose(clean / 65535, (0.2 * light) ** (1 / 2.2), atol=1e-4)
    apart = noisy / 255 - clean / 65535
    assert apart.std() > 0.005
    assert abs(apart.mean()) < 0.005
