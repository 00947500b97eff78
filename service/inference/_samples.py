"""Inputs made up to warm a model and to time it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference._contract import Tensors
from service.repository import ModelConfig, WarmupSample


def made_up(config: ModelConfig, side: int, random: np.random.Generator | None = None) -> Tensors:
    """A batch of one for a model: every free axis has `side` places, or what the model takes at least.

    Args:
        config: says what the inputs are.
        side: places of an axis that may have any number.
        random: fills them; None leaves them 0.
    """
    side = max(side, config.traits.smallest_side)
    inputs = {}
    for spec in config.inputs:
        count, *sides = config.wire_shape(spec)
        shape = (max(1, count), *(side if length == -1 else length for length in sides))
        inputs[spec.name] = _filled(shape, spec.dtype, random)
    return inputs


def of_warmup(sample: WarmupSample, config: ModelConfig, random: np.random.Generator) -> Tensors:
    """The batch that a sample of a configuration's warm-up describes."""
    dtypes = {spec.name: spec.dtype for spec in config.inputs}
    return {
        tensor.name: _filled(tensor.shape, dtypes[tensor.name], random if tensor.random else None)
        for tensor in sample.inputs
    }


def _filled(shape: tuple[int, ...], dtype: np.dtype[Any], random: np.random.Generator | None) -> NDArray[Any]:
    """Zeros; or random values, of integers all that there are, of floats those in [0, 1)."""
    if random is None:
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return random.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype.type, endpoint=True)
