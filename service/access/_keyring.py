"""The keys of a file as the running service knows them: a changed file is read anew, a broken one is not believed."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from service.access._keys import Key, find, read_keys
from service.access._watched import Watched

logger = logging.getLogger("nightlift")

LOOK_SECONDS = 1.0
"""How often the file is looked at, at most; a key that was revoked is good for so long."""


class Keyring:
    """Finds keys.

    If the file cannot be read any more, or is broken, the keys read last stay, and the log says so.

    Raises:
        ValueError: if the file cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watched = Watched(path)
        self._keys: dict[str, tuple[bytes, Key]] = {}
        self._read()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def find(self, presented: str) -> Key | None:
        """The key that was presented; None for an unknown one."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look()
        return find(presented, self._keys)

    def _look(self) -> None:
        if not self._watched.changed():
            return
        try:
            self._read()
        except ValueError as error:
            logger.error("%s; the keys read before stay good", error)
        else:
            logger.info("API keys read anew: %s", ", ".join(key.name for _, key in self._keys.values()) or "none")

    def _read(self) -> None:
        self._keys = {key.id: (bytes.fromhex(key.sha256), key) for key in read_keys(self._path).keys}
