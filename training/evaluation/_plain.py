"""Brightening without a network, as baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TARGET_MEAN = 0.47
"""Mean code value, of 1, of the references of LOL's training split (our485/high); never taken from eval15."""

WHITE_PERCENTILE = 99.5


def constant_gain(picture: Pixels) -> Pixels:
    """Multiplied so that the mean would be `TARGET_MEAN` without clipping; uint8 [H, W, 3]."""
    values = picture / 255
    return _codes(values * (TARGET_MEAN / max(float(values.mean()), 1 / 255)))


def global_gamma(picture: Pixels) -> Pixels:
    """Raised to the power that takes the mean code value to `TARGET_MEAN`; uint8 [H, W, 3]."""
    return _codes(_to_mean(picture / 255))


def stretch_and_gamma(picture: Pixels) -> Pixels:
    """Divided by its 99.5th percentile and clipped, then `global_gamma`; uint8 [H, W, 3]."""
    values = picture / 255
    white = max(float(np.percentile(values, WHITE_PERCENTILE)), 1 / 255)
    return _codes(_to_mean(np.clip(values / white, 0, 1)))


PLAIN: Mapping[str, Callable[[Pixels], Pixels]] = {
    "constant gain": constant_gain,
    "global gamma": global_gamma,
    "stretch and gamma": stretch_and_gamma,
}
"""The plain rows of every table, by name."""


def _to_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = float(np.clip(values.mean(), 1 / 255, 254 / 255))
    return values ** (np.log(TARGET_MEAN) / np.log(mean))


def _codes(values: NDArray[np.float64]) -> Pixels:
    return np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
