"""Whether one more may wait for a model: by number, by time, and beside those that have just come."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import QueueFull
from service.inference._pace import Pace

ALWAYS = 8
"""Requests that may wait however long it takes: the wait is a reason to refuse only where more than that wait."""

SOON = 0.05
"""Seconds in which a request that has come has been read, routed and admitted, or refused for other reasons."""

MOST_ARRIVALS = 1024
"""Arrivals that are remembered; the oldest are forgotten, since nobody counts those that `let_in` never sees."""


class Expectation:
    """A picture on its way to a queue; it ends when the picture is submitted, or when it is given up."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end: Callable[[], None] | None = end

    def end(self) -> bool:
        """Stop being expected; whether that was news."""
        end, self._end = self._end, None
        if end is not None:
            end()
        return end is not None


class Room:
    """The places of a queue.

    Args:
        max_size: requests that may wait; 0 is unbounded.
        max_wait: seconds that they may take, as far as can be told; beyond, who comes is refused at once.

    Attributes:
        pace: how fast the model is, which the queue tells it.
        inside: requests that have a place, or had: there may be more of their pictures to come.
    """

    def __init__(self, max_size: int, max_wait: float) -> None:
        self.pace = Pace()
        self.inside = 0
        self._max_size = max_size
        self._max_wait = max_wait
        self._places = 0  # kept for requests whose pictures are not here yet
        self._arrived: deque[float] = deque(maxlen=MOST_ARRIVALS)  # and when

    def check(self, waiting: int, pixels: int, free: int, coming: int = 0) -> None:
        """See whether one more may wait; nothing is kept for it yet.

        Args:
            waiting: requests that wait.
            pixels: theirs together.
            free: requests that would be run at once.
            coming: requests that come beside it and have no place yet.

        Raises:
            QueueFull: if as many wait as may, or those who wait will take longer than `max_wait`.
        """
        coming = max(0, coming + self._places - free)
        wait = self.pace.seconds(pixels, coming)
        waiting += coming
        is_full = self._max_size and waiting >= self._max_size
        if is_full or (waiting >= ALWAYS and wait > self._max_wait):
            error = QueueFull(f"{waiting} requests are waiting for this model, and no more may")
            error.retry_after = float(max(1, math.ceil(wait)))
            raise error

    @contextmanager
    def kept(self) -> Iterator[Expectation]:
        """Keep a place, until the expectation ends."""
        self._places += 1
        self.inside += 1

        def end() -> None:
            self._places -= 1

        place = Expectation(end)
        try:
            yield place
        finally:
            place.end()
            self.inside -= 1

    def arrived(self) -> None:
        """All bytes of a request have come; for a short time there is less room for the next."""
        self._arrived.append(time.monotonic())

    def take_arrival(self) -> None:
        """One of the requests that have come is seen to now."""
        if self._arrived:
            self._arrived.popleft()

    def arrivals(self) -> int:
        """Requests that have just come, and that nobody has seen to."""
        now = time.monotonic()
        while self._arrived and self._arrived[0] < now - SOON:
            self._arrived.popleft()
        return len(self._arrived)
