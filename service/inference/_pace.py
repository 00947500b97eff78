"""How long those who wait in a queue will take, by what was done before."""

from __future__ import annotations

import math

MEMORY = 0.9
"""What the rate of a queue keeps of the past with every pass that ends."""


class Pace:
    """How fast a queue is worked off: time in which anything ran, by what came out of it; old passes are forgotten.

    Passes that run side by side share the cores, so how long one of them takes does not tell.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._pixels = 0.0
        self._entries = 0.0
        self._until = -math.inf

    def ran(self, started: float, ended: float, pixels: int, entries: int) -> None:
        """Count a pass, by `time.monotonic()`; of its time, what was not counted with a pass beside it."""
        self._seconds = MEMORY * self._seconds + max(0.0, ended - max(started, self._until))
        self._pixels = MEMORY * self._pixels + pixels
        self._entries = MEMORY * self._entries + entries
        self._until = max(ended, self._until)

    def seconds(self, pixels: int, unknown: int) -> float:
        """How long so many pixels will take, and entries of unknown size as large as others were; 0 before a pass."""
        if not self._pixels:
            return 0.0
        return self._seconds / self._pixels * (pixels + unknown * self._pixels / self._entries)
