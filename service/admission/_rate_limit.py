"""Token buckets: how much a caller may do now, given what it did before.

Why no library: `limits`, the maintained one, counts in time windows, which support neither a burst apart from the
rate nor debts, and it forgets callers by age alone; others need a database, or make callers wait instead of refusing
them. The decision is a few lines of arithmetic, written as pure functions.

A bucket may be overdrawn. The cost of a picture is known only when its header has been read; so a caller is admitted
while there is anything in its bucket, the picture is then charged in full, and the caller waits until the debt is
paid off. Over time nobody gets more than the rate, pictures larger than the bucket can still be sent, and a refusal
never has to read a body first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Rate(NamedTuple):
    """The inflow of a bucket per second, and its capacity."""

    per_second: float
    capacity: float


class Level(NamedTuple):
    """The content of a bucket at a time of `time.monotonic()`; negative if overdrawn."""

    amount: float
    at: float


def level_now(before: Level | None, rate: Rate, now: float) -> Level:
    """A bucket's level at `now`; one that has never been used is full."""
    if before is None:
        return Level(rate.capacity, now)
    return Level(min(rate.capacity, before.amount + max(0.0, now - before.at) * rate.per_second), now)


def seconds_until(level: Level, rate: Rate, wanted: float) -> float:
    """Seconds from the level's time until there is as much as `wanted`; 0 if there is."""
    return max(0.0, (wanted - level.amount) / rate.per_second)


class Buckets:
    """The levels of the `most` buckets used last, so that memory is bounded for any number of callers.

    A forgotten bucket counts as full. It is the one unused for longest, so most likely it was full.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._levels: OrderedDict[str, Level] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def level(self, caller: str, rate: Rate, now: float) -> Level:
        """See `level_now`."""
        return level_now(self._levels.get(caller), rate, now)

    def take(self, caller: str, rate: Rate, amount: float, now: float) -> None:
        """Take `amount` out of a bucket, even if that overdraws it."""
        level = self.level(caller, rate, now)
        self._levels[caller] = Level(level.amount - amount, now)
        self._levels.move_to_end(caller)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
