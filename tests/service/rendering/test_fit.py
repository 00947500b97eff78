"""The compiled fit against the same in OpenCV and NumPy, a line a formula."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from service.rendering._affine import fit_affine
from tests import pictures

Floats = NDArray[np.float64]


def box(values: Floats) -> Floats:
    return np.asarray(cv2.blur(values, (5, 5), borderType=cv2.BORDER_REFLECT)).reshape(values.shape)


def fitted(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Slope and offset [h, w, 3] as the documents and native/fit.c define them."""
    target = np.clip(target, 0, 1)
    mean = box(source)
    covariance = box(source * target) - mean * box(target)
    variance = np.maximum(box(source * source) - mean * mean, 0)
    raw = covariance / (variance + 1e-3 * mean * mean + 1e-6)
    slope, offset = box(raw), box(box(target) - raw * mean)
    value = slope * source + offset
    limit, largest = np.full_like(slope, np.inf), np.zeros_like(slope)
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = (slice(None, -1), slice(1, None))[::step]
        run = source[tuple(there)] - source[tuple(here)]
        rise = np.sign(run) * (value[tuple(there)] - value[tuple(here)]) + 0.5 / 255
        resolved = np.abs(run) > 0.5 / 255
        steepest = np.where(resolved, rise / np.where(resolved, np.abs(run), 1), np.inf)
        limit[tuple(here)] = np.minimum(limit[tuple(here)], steepest)
        largest[tuple(here)] = np.maximum(largest[tuple(here)], np.abs(run))
    limit[largest > 4.5 / 255] = np.inf
    flat = np.minimum(slope, np.maximum(limit, 0))
    return flat, value - flat * source


@pytest.mark.parametrize("shape", [(168, 256), (1024, 1100), (16, 16), (2, 2), (1, 5), (5, 1), (1, 1)])
def test_the_fit_follows_its_formulas(shape: tuple[int, int]) -> None:
    scene = pictures.dark_scene("coffee", (max(shape[0], 16), max(shape[1], 16)))[: shape[0], : shape[1]]
    source = scene / 255
    source[: shape[0] // 4] = 0
    target = source**0.4 + np.random.default_rng(0).normal(0, 0.02, source.shape)
    slope, offset = fitted(source, target)
    terms = fit_affine(source.astype(np.float32), target.astype(np.float32)).terms
    np.testing.assert_allclose(terms[0] * source + terms[1], slope * source + offset, atol=1e-5)
    np.testing.assert_allclose(terms[0], slope, atol=2e-3, rtol=1e-3)
