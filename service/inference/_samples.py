"""Synthetic inputs to warm up and time a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference._contract import Tensors
from service.repository import ModelConfig, WarmupSample


def made_up(config: ModelConfig, side: int, random: np.random.Generator | None = None) -> Tensors:
    """A batch of one for a model; free axes have the size `side`, or the smallest that the model accepts.

    Args:
        config: describes the inputs.
        side: size of free axes.
        random: source of values; None: zeros.
    """
    side = max(side, config.traits.smallest_side)
    inputs = {}
    for spec in config.inputs:
        count, *sides = config.wire_shape(spec)
        shape = (max(1, count), *(side if length == -1 else length for length in sides))
        inputs[spec.name] = _filled(shape, spec.dtype, random)
    return inputs


def of_warmup(sample: WarmupSample, config: ModelConfig, random: np.random.Generator) -> Tensors:
    """The batch for one warm-up sample of a configuration."""
    dtypes = {spec.name: spec.dtype for spec in config.inputs}
    return {
        tensor.name: _filled(tensor.shape, dtypes[tensor.name], random if tensor.random else None)
        for tensor in sample.inputs
    }


def _filled(shape: tuple[int, ...], dtype: np.dtype[Any], random: np.random.Generator | None) -> NDArray[Any]:
    """Zeros; or random values, over the whole range of integers, or in [0, 1) for floats."""
    if random is None:
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return random.random(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype.type, endpoint=True)
