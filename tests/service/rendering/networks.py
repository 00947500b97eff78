"""Networks for tests, in NumPy: exact, and with known properties; and a way to show them a picture.

All take and give uint8 [N, h, w, 3].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.pictures import Picture
from service.rendering import Rendered, RenderOptions, finish, plan, prepare
from service.repository import ModelTraits, SpatialScope

Pixels = NDArray[np.uint8]
Network = Callable[[Pixels], Pixels]

POINTWISE = ModelTraits("curve", SpatialScope.LOCAL, halo=0, working_side=256, max_pixels=96 * 96)
BLURRING = ModelTraits("blur", SpatialScope.LOCAL, halo=7, working_side=256, max_pixels=96 * 96)


def curve(function: Callable[[NDArray[Any]], NDArray[Any]]) -> Network:
    """The same tone curve for every channel; `function` maps 0 to 1 to anything, and is clipped."""
    table = np.rint(255 * np.clip(function(np.linspace(0, 1, 256)), 0, 1)).astype(np.uint8)
    return lambda batch: table[batch]


def quadratic(rate: float, rounds: int = 8) -> Network:
    """Zero-DCE's curve with the same rate everywhere, -1 (brightens most) to 1."""

    def iterate(value: NDArray[Any]) -> NDArray[Any]:
        for _ in range(rounds):
            value = value + rate * (value * value - value)
        return value

    return curve(iterate)


def blurring(batch: Pixels) -> Pixels:
    """A receptive field of 15 x 15 with zero padding, as seven 3 x 3 convolutions have, and a curve on it."""
    weights = np.hanning(17)[1:-1]
    weights = weights / weights.sum()
    smooth = batch.astype(np.float64)
    for axis in (1, 2):
        smooth = ndimage.correlate1d(smooth, weights, axis=axis, mode="constant")
    return np.rint(np.clip(3 * smooth - 0.4 * batch, 0, 255)).astype(np.uint8)


def identity(batch: Pixels) -> Pixels:
    """Changes nothing."""
    return batch


def render(picture: Picture, network: Network, options: RenderOptions, traits: ModelTraits = POINTWISE) -> Rendered:
    """The whole path for a decoded picture."""
    render_plan = plan(picture.width, picture.height, picture.bits, traits, options)
    prepared = prepare(picture, render_plan)
    assert tuple(item.shape[:2] for item in prepared.items) == render_plan.item_shapes
    assert all(item.dtype == np.uint8 for item in prepared.items)
    return finish(prepared, [network(item[None])[0] for item in prepared.items], options)
