"""Checks that an interrupted run is the one to be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FREE = frozenset({"title", "precision", "compile", "log_every", "checkpoint_every", "preview_every"})
"""Entries of a recipe that may change while it runs: they change no sample, and no weight but by rounding."""


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a manifest that identify a run: its recipe, its data, and its initial weights."""
    recipe = {name: value for name, value in manifest["recipe"].items() if name not in FREE}
    data = {
        stream: {key: value for key, value in description.items() if key != "folder"}
        for stream, description in manifest["data"].items()
    }
    return {"recipe": recipe, "data": data, "began_with": manifest["began_with"]}


def require_same(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Raise if an interrupted run cannot be resumed as the requested one.

    Args:
        then: identity of the interrupted run; None if an older version wrote none.
        now: identity of the requested run.

    Raises:
        ValueError: they differ; the message names the difference, with both values if they are short.
    """
    if then is None:
        raise ValueError("an older version wrote it, without what is needed to resume")
    found = list(_differences(then, now))
    if found:
        raise ValueError(f"it belongs to another training: {'; '.join(found)}")


def _differences(then: Any, now: Any, place: str = "") -> Iterator[str]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            yield from _differences(then.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    elif then != now:
        told = f"{then} there, {now} here"
        yield f"{place} ({told})" if len(told) < 60 else place
