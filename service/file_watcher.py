"""Files that may be replaced while the service runs."""

from __future__ import annotations

from pathlib import Path


class FileWatcher:
    """Notices that any of some files was replaced or written since it was last asked.

    A file that has gone is no change: half a replacement is not worth reading.
    """

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._seen = self._stamps()

    def changed(self) -> bool:
        """Whether there is something new to read; takes some microseconds."""
        stamps = self._stamps()
        if stamps is None or stamps == self._seen:
            return False
        self._seen = stamps
        return True

    def _stamps(self) -> tuple[tuple[int, int, int], ...] | None:
        try:
            states = [path.stat() for path in self._paths]
        except OSError:
            return None
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
