"""Medians with bootstrap intervals, ratios of paired measurements, and percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % confidence interval."""

    median: float
    low: float
    high: float

    def at_least(self, bar: float) -> str:
        """For a table: whether the value is at or above `bar`; open if `bar` lies within the interval."""
        return "yes" if self.low >= bar else "**no**" if self.high < bar else "open"

    def at_most(self, bar: float) -> str:
        """The same for at or below `bar`."""
        return "yes" if self.high <= bar else "**no**" if self.low > bar else "open"

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def bootstrap_median(samples: Sequence[float], seed: int = 0) -> Interval:
    """The median of `samples` with its 95 % interval by the percentile bootstrap (Efron 1979).

    With fewer than some ten samples the interval is a little too narrow.

    Raises:
        ValueError: if there are no samples.
    """
    if not samples:
        raise ValueError("there is nothing to take a median of")
    values = np.asarray(samples, float)
    drawn = np.random.default_rng(seed).integers(0, values.size, (RESAMPLES, values.size))
    low, high = np.percentile(np.median(values[drawn], axis=1), [2.5, 97.5])
    return Interval(float(np.median(values)), float(low), float(high))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The median of the ratios of paired measurements, with its 95 % interval.

    Raises:
        ValueError: if the lengths differ, or there are no measurements.
    """
    return bootstrap_median([one / other for one, other in zip(ours, theirs, strict=True)])


def percentile(samples: ArrayLike, share: float) -> float:
    """The percentile `share` (0 to 100) of the samples, linearly interpolated; NaN if there are none."""
    values = np.asarray(samples, float)
    return float(np.percentile(values, share)) if values.size else float("nan")
