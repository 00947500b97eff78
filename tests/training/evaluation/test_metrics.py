"""Scores against values known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from tests import pictures
from training.evaluation import load_natural_statistics, match_mean, niqe, psnr, ssim


def test_psnr_of_a_constant_error() -> None:
    reference = np.full((4, 5, 3), 0.5)
    assert psnr(reference + 0.1, reference) == pytest.approx(20.0)
    assert psnr(reference, reference) == float("inf")


def test_ssim_of_equal_and_of_flat_pictures() -> None:
    scene = pictures.scene("coffee", (40, 60)) / 255
    assert ssim(scene, scene) == pytest.approx(1.0)
    # Without structure only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1), C1 = 1e-4.
    flat = np.full((20, 20, 3), 0.5)
    expected = (2 * 0.5 * 0.25 + 1e-4) / (0.5**2 + 0.25**2 + 1e-4)
    assert ssim(flat / 2, flat) == pytest.approx(expected, rel=1e-6)


def test_ssim_leaves_the_border_out() -> None:
    scene = pictures.scene("coffee", (40, 60)) / 255
    framed = scene.copy()
    framed[0] = 1 - framed[0]
    inner = ssim(framed[6:], scene[6:])
    assert inner == pytest.approx(1.0)
    assert ssim(framed, scene) < 1  # windows whose centre is five pixels inside still see the frame


def test_mean_matching_takes_brightness_out() -> None:
    reference = pictures.scene("chelsea", (32, 32)) / 255
    matched = match_mean(reference * 0.3, reference)
    np.testing.assert_allclose(matched, reference, atol=1e-12)
    assert match_mean(np.full_like(reference, 0.9), reference).max() <= 1
    black = np.zeros_like(reference)
    assert np.array_equal(match_mean(black, reference), black)


@pytest.mark.parametrize(
    ("name", "expected"), [("astronaut", 8.839), ("chelsea", 11.753), ("coffee", 8.345), ("rocket", 9.706)]
)
def test_niqe_agrees_with_scikit_video(name: str, expected: float) -> None:
    """Expected: scikit-video 1.1.11's own function on the same pictures, rounded to grey codes."""
    value = niqe(pictures.scene(name) / 255, load_natural_statistics())
    assert value == pytest.approx(expected, abs=0.02)


def test_niqe_finds_noise_unnatural_and_refuses_what_it_cannot_judge() -> None:
    statistics = load_natural_statistics()
    scene = pictures.scene("coffee") / 255
    noise = np.random.default_rng(0).normal(0, 0.1, scene.shape)
    assert niqe(np.clip(scene + noise, 0, 1), statistics) > niqe(scene, statistics) + 1
    with pytest.raises(ValueError, match="at least 192"):
        niqe(scene[:100], statistics)
    with pytest.raises(ValueError, match="not defined"):
        niqe(np.zeros((200, 200, 3)), statistics)
