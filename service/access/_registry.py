"""Changing the keys file: in one step, as running services see it, and one change after the other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.access._keys import KeyFile, Scope, make_key, read_keys


def add_key(path: Path, name: str, scopes: frozenset[Scope], **limits: float | None) -> str:
    """Make a key and keep its hash; the file is made, for its owner alone, if absent.

    Args:
        path: the keys file.
        name: what the key is called in listings, metrics and logs.
        scopes: what it may be used for.
        limits: `requests_per_second`, `burst`, `megapixels_per_minute`, where they differ from the settings'.

    Returns:
        The key, which cannot be had again.

    Raises:
        ValueError: if the name is taken or not allowed, or the file cannot be read or written.
    """
    with _locked(path):
        known = read_keys(path).keys if path.exists() else ()
        if name in {key.name for key in known}:
            raise ValueError(f"there is a key {name!r} already; revoke it first, or choose another name")
        text, key = make_key(name, scopes, **limits)
        _write(path, KeyFile(keys=(*known, key)))
    return text


def revoke_key(path: Path, name: str) -> None:
    """Take a key out of the file.

    Raises:
        ValueError: if there is no such key, or the file cannot be read or written.
    """
    with _locked(path):
        known = read_keys(path).keys
        left = tuple(key for key in known if key.name != name)
        if len(left) == len(known):
            raise ValueError(f"there is no key {name!r}; there are: {', '.join(key.name for key in known) or 'none'}")
        _write(path, KeyFile(keys=left))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others from changing the file meanwhile: a revocation must not be undone by whoever read before it."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise ValueError(f"the keys file {path} cannot be changed: {error.strerror}") from None


def _write(path: Path, keys: KeyFile) -> None:
    """Replace the file, which keeps its owner and mode."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as part:
            part.write(keys.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")
            part.flush()
            os.fsync(part.fileno())
            if path.exists():
                state = path.stat()
                os.fchmod(part.fileno(), state.st_mode & 0o777)
                if (state.st_uid, state.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(part.fileno(), state.st_uid, state.st_gid)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
