"""The measure of noise and texture tells smoothing from gain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.noise import kept


def _night() -> np.ndarray:
    """A dark picture: noise everywhere, texture in its right half."""
    random = np.random.default_rng(0)
    level = np.full((320, 320, 3), 20.0)
    level[:, 160:] += 8 * np.sign(np.sin(np.arange(160) * 0.25))[None, :, None]
    return np.clip(np.rint(level + random.normal(0, 2, level.shape)), 0, 255).astype(np.uint8)


def test_gain_keeps_everything() -> None:
    night = _night()
    result = kept(night, 4 * night)
    assert tuple(vars(result).values()) == pytest.approx((1, 1, 1, 1), abs=0.02)


def test_smoothing_takes_noise_and_texture_apart() -> None:
    night = _night()
    smooth = cv2.bilateralFilter(night, 9, 12, 5)
    result = kept(night, smooth)
    assert result.noise < 0.5 < result.texture
    grey = np.repeat(night.mean(axis=2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    assert kept(night, grey).colour_noise < 0.05


def test_a_veil_takes_detail() -> None:
    """Half of the picture's own blur in its place: what is fine stays."""
    night = _night().astype(np.float32)
    veiled = np.rint(4 * (night - 0.5 * (cv2.blur(night, (5, 5)) - cv2.blur(night, (65, 65))))).astype(np.uint8)
    result = kept(night.astype(np.uint8), veiled)
    assert result.noise == pytest.approx(1, abs=0.1)
    assert result.detail == pytest.approx(0.5, abs=0.1)


def test_bright_photos_are_told() -> None:
    with pytest.raises(ValueError, match="no dark parts"):
        kept(np.full((320, 320, 3), 200, np.uint8), np.full((320, 320, 3), 200, np.uint8))
