"""Files that may be replaced while the service runs."""

from __future__ import annotations

import time
from pathlib import Path

RETRY_SECONDS = 1.0
"""Seconds after which unusable files are tried again even if they are unchanged."""

Stamps = tuple[tuple[int, int, int, int], ...]


class FileWatcher:
    """Notices when any of several files was replaced, written or made readable since it was last read with success.

    A missing file does not count as changed: it is about to be replaced. Files that changed and could not be read
    stay changed; the caller reports the outcome by `accept` or `reject`.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._read = self._found = self._stamps()
        self._rejected: Stamps | None = None
        self._next_try = 0.0

    def changed(self) -> bool:
        """Whether there is something new to read; takes some microseconds."""
        stamps = self._stamps()
        if stamps is None or stamps == self._read:
            return False
        if stamps == self._rejected and time.monotonic() < self._next_try:
            return False
        self._found = stamps
        return True

    def accept(self) -> None:
        """The changed files were read with success."""
        self._read, self._rejected = self._found, None

    def reject(self) -> bool:
        """The changed files could not be used, and are tried again later; returns whether this is a new failure."""
        is_new = self._rejected != self._found
        self._rejected, self._next_try = self._found, time.monotonic() + RETRY_SECONDS
        return is_new

    def _stamps(self) -> Stamps | None:
        try:
            states = [path.stat() for path in self._paths]
        except OSError:
            return None
        # The time of the last change of owner and mode, too: a file may be replaced first and made readable later.
        return tuple((state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino) for state in states)
