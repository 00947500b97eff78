"""Token buckets: how much a caller may do now, from how much it did before.

Not a library: `limits`, the kept one, counts in windows of time, which know no burst apart from the rate and no
debts, and it bounds the callers that it remembers by time alone; others need a database, or make callers wait
instead of refusing them. The decision is a few lines of arithmetic, written as pure functions.

A bucket may be overdrawn. What a picture costs is known only when its header was read; so a caller is let in while
there is anything in its bucket, the picture is then charged in full, and who overdrew waits until that is paid off.
Over time nobody gets more than the rate, pictures larger than the bucket can still be sent, and a refusal never has
to read a body first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class Rate(NamedTuple):
    """What flows into a bucket: so much a second, until it is full."""

    per_second: float
    capacity: float


class Level(NamedTuple):
    """What was in a bucket at a time of `time.monotonic()`; below 0 it is overdrawn."""

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
    """The levels of the `most` buckets used last, so that memory is bounded however many callers come.

    One that is forgotten counts as full. It is the one that has been resting longest, so most likely it was.
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
        """Take `amount` out of a bucket, be it there or not."""
        level = self.level(caller, rate, now)
        self._levels[caller] = Level(level.amount - amount, now)
        self._levels.move_to_end(caller)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
