"""Bounds the bytes of answers that wait for their clients to read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from service.errors import Unavailable

STALLED_SECONDS = 2.0
"""Seconds without reading after which a client's answer may be dropped to make room for another."""


class Unread(Protocol):
    """Something that waits to be read."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        ...

    def last_progress(self, now: float) -> float:
        """`time.monotonic()` when the client last read fast enough."""
        ...

    def drop(self) -> None:
        """Close the connection, and release the bytes."""
        ...


class AnswerLimiter:
    """Counts the bytes of answers that clients have not read yet.

    Args:
        limit: most bytes in all; a single longer answer is allowed.
        seconds: after which the connection of a client that reads nothing is closed.
        dropped: called for each answer that is dropped.
    """

    def __init__(self, limit: int, seconds: float, dropped: Callable[[], object] = lambda: None) -> None:
        self.limit = limit
        self.seconds = seconds
        self.dropped = dropped
        self.held = 0
        self.waiting: set[Unread] = set()

    def take(self, size: int) -> None:
        """Count `size` more bytes; if necessary, drop the answers that have gone unread for longest.

        Raises:
            Unavailable: if there is no room, and all clients are reading.
        """
        if not self._has_room(size):
            self._make_room(size)
        self.held += size

    def give_back(self, size: int) -> None:
        """Count `size` bytes as read or dropped."""
        self.held -= size

    def _has_room(self, size: int) -> bool:
        return not self.held or self.held + size <= self.limit

    def _make_room(self, size: int) -> None:
        now = time.monotonic()
        holding = [one for one in self.waiting if one.size]
        for one in sorted(holding, key=lambda one: one.last_progress(now)):
            if now - one.last_progress(now) < STALLED_SECONDS:
                break
            one.drop()
            if self._has_room(size):
                return
        raise Unavailable("too many bytes of answers are waiting for their clients to read them")
