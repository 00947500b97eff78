"""Records the options that a folder's pictures were made with, so that a run with other options makes them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.enhancement import EnhanceOptions

NAME = ".nightlift.jsonl"
"""Name of the file in the output folder: one line per result; the last line of a picture counts."""


class Records:
    """The records of a folder; results without a record may have been made with any options.

    Args:
        folder: of the results; None keeps no records.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known = dict(_lines(folder / NAME)) if folder else {}

    def is_other(self, target: Path, options: Mapping[str, Any]) -> bool:
        """Whether a result was made with other options than these.

        Options that did not exist when it was made count as their default.
        """
        known = self._known.get(self._name(target))
        if known is None:
            return False
        fields = EnhanceOptions.model_fields
        return {name: fields[name].default for name in options.keys() - known.keys()} | known != dict(options)

    def note(self, target: Path, options: Mapping[str, Any]) -> None:
        """Record that a result was made with these options."""
        if self._folder is None or self._known.get(self._name(target)) == dict(options):
            return
        self._known[self._name(target)] = dict(options)
        line = json.dumps({"name": self._name(target), "options": dict(options)}, sort_keys=True)
        with suppress(OSError), (self._folder / NAME).open("a", encoding="utf-8") as file:  # records may be lost
            file.write(line + "\n")

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix() if self._folder else target.as_posix()


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The lines of a file; a line that a killed process left incomplete is skipped."""
    found = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            record = json.loads(line)
            found.append((str(record["name"]), dict(record["options"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found
