"""Answers that wait to be read: how many bytes of them may be here at one time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from service.errors import Unavailable

STALLED_SECONDS = 2.0
"""How long a client must not have read before its answer is dropped to make room for another."""


class Unread(Protocol):
    """Something that waits to be read."""

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        ...

    def last_progress(self, now: float) -> float:
        """`time.monotonic()` at which the client was last seen to read as quickly as it must."""
        ...

    def drop(self) -> None:
        """Hang up, and give back what is held."""
        ...


class AnswerLimiter:
    """Counts the bytes of answers that clients have not read yet.

    Args:
        limit: bytes that they may have together; one that is longer is let through alone.
        seconds: after which a client that reads nothing is hung up on.
        dropped: called for each answer that is dropped.
    """

    def __init__(self, limit: int, seconds: float, dropped: Callable[[], object] = lambda: None) -> None:
        self.limit = limit
        self.seconds = seconds
        self.dropped = dropped
        self.held = 0
        self.waiting: set[Unread] = set()

    def take(self, size: int) -> None:
        """So many bytes are held from now on; those that have not been read for longest are dropped if need be.

        Raises:
            Unavailable: if there is no room, and all clients are reading.
        """
        if not self._has_room(size):
            self._make_room(size)
        self.held += size

    def give_back(self, size: int) -> None:
        """So many bytes were read, or dropped."""
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
        raise Unavailable("too many bytes of answers wait for their clients to read them")
