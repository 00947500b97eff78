"""Decides when to form a batch, and of which items: a pure function of the queue, so that it can be tested as a
table.

Work-conserving: a free engine never waits while an item is queued, unless another picture of the same bucket is being
decoded and the oldest item is younger than the model's delay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from service.contract import pixels_of
from service.inference._contract import Tensors

PIXELS = np.dtype(np.uint8)


class InputKind(NamedTuple):
    """What one input of an item is: its name, its shape behind the batch axis, and the type of its elements."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Bucket(NamedTuple):
    """What two items must have in common to share a batch: inputs, sorted by name, and requested outputs."""

    inputs: tuple[InputKind, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Tensors, outputs: tuple[str, ...]) -> Bucket:
        """The bucket of an item with these inputs."""
        return cls(
            tuple(sorted(InputKind(name, array.shape[1:], array.dtype) for name, array in inputs.items())), outputs
        )

    @classmethod
    def of_kinds(cls, kinds: Mapping[str, tuple[tuple[int, ...], type[np.generic]]], output: str) -> Bucket:
        """The bucket of an item whose inputs have these shapes and types, and of which one output is requested."""
        inputs = sorted(InputKind(name, shape, np.dtype(dtype)) for name, (shape, dtype) in kinds.items())
        return cls(tuple(inputs), (output,))

    @property
    def pixels(self) -> int:
        """Pixels of one item; see `pixels_of`."""
        return pixels_of(kind.shape for kind in self.inputs)


class ClosedBy(StrEnum):
    """Why a batch was cut, a label of `nightlift_batches_total`."""

    FULL = "full"
    PIXELS = "pixels"
    DELAY = "delay"
    DEADLINE = "deadline"
    IDLE = "idle"


@dataclass(frozen=True)
class Waiting:
    """What the decision needs to know of a queued item; times are seconds of one monotonic clock."""

    bucket: Bucket
    count: int
    since: float
    deadline: float | None = None

    @cached_property
    def pixels(self) -> int:
        """Pixels that this item adds to a batch."""
        return self.count * self.bucket.pixels


@dataclass(frozen=True)
class BatchPolicy:
    """Limits of one batch, and of all concurrent batches; a single item is always allowed.

    Attributes:
        max_count: most pictures in a batch.
        max_pixels: most pixels in a batch.
        max_delay: longest wait for further items, in seconds.
        max_running_pixels: most pixels in all the batches that run at once.
    """

    max_count: int = 1
    max_pixels: int = 16_000_000
    max_delay: float = 0.0
    max_running_pixels: float = math.inf


@dataclass(frozen=True)
class Cut:
    """Send the items at these indices of the queue now."""

    indices: tuple[int, ...]
    closed_by: ClosedBy


@dataclass(frozen=True)
class Wait:
    """Send nothing before this time, or before the queue changes."""

    until: float


def decide(queue: Sequence[Waiting], expected: Mapping[Bucket, int], policy: BatchPolicy, now: float) -> Cut | Wait:
    """Choose the next batch for a free engine.

    Args:
        queue: waiting items, in the order of service; not empty.
        expected: how many pictures of each bucket are being decoded at this moment.
        policy: the model's limits.
        now: the present time on the items' clock.

    Returns:
        The bucket of the first item is served first, so that a rare shape does not starve.
    """
    leader = queue[0]
    indices: list[int] = []
    count = pixels = 0
    for index, item in enumerate(queue):
        if item.bucket != leader.bucket:
            continue
        if indices and count + item.count > policy.max_count:
            return Cut(tuple(indices), ClosedBy.FULL)
        if indices and pixels + item.pixels > policy.max_pixels:
            return Cut(tuple(indices), ClosedBy.PIXELS)
        indices.append(index)
        count, pixels = count + item.count, pixels + item.pixels
    if count >= policy.max_count:
        return Cut(tuple(indices), ClosedBy.FULL)
    if not expected.get(leader.bucket):
        return Cut(tuple(indices), ClosedBy.IDLE)
    oldest = min(queue[index].since for index in indices)
    if now >= oldest + policy.max_delay:
        return Cut(tuple(indices), ClosedBy.DELAY)
    deadlines = [queue[index].deadline for index in indices]
    due = min((deadline for deadline in deadlines if deadline is not None), default=float("inf"))
    if due - now <= _urgent(policy):
        return Cut(tuple(indices), ClosedBy.DEADLINE)
    return Wait(min(oldest + policy.max_delay, due - _urgent(policy)))


def _urgent(policy: BatchPolicy) -> float:
    """How close, in seconds, a deadline must be to end the wait for further items: it leaves room for one pass."""
    return max(0.1, 2 * policy.max_delay)
