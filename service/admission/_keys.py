"""API keys and the file that stores their hashes.

A key is `nightlift_ID_SECRET`: an id of 8 hex digits by which it is found, and a secret of 256 random bits in 43
letters. The prefix lets scanners for leaked secrets recognise it. The file is JSON:

    {"keys": [{"name": "phone", "id": "5f0c1a2b", "sha256": "...", "scopes": ["enhance"],
               "created": "2026-01-31T12:00:00Z", "requests_per_second": 5}]}

`sha256` is the hash of the whole key. A slow, salted hash protects secrets that people choose, because these can be
guessed; 256 random bits cannot, however fast the guesses are. A slow hash would only cost tens of milliseconds of CPU
per request, which anybody could make the service spend by sending wrong keys.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from service.file_watcher import FileWatcher

logger = logging.getLogger("nightlift")

POLL_SECONDS = 1.0
"""Shortest time between two checks of the file; a revoked key stays valid for at most this long."""

KEY = re.compile(r"nightlift_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may be used for."""

    ENHANCE = "enhance"
    """Enhance pictures, run models, and read about models."""
    ADMIN = "admin"
    """Load and unload models, if that is enabled; nothing else."""
    METRICS = "metrics"
    """Read `/metrics`, where that is not open to everybody."""


class Key(BaseModel):
    """One key as it is stored: everything but the key itself. Limits that are None are those of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    id: str = Field(pattern=r"^[0-9a-f]{8}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = Field(min_length=1)
    created: datetime
    requests_per_second: float | None = Field(None, gt=0)
    burst: int | None = Field(None, ge=1)
    megapixels_per_minute: float | None = Field(None, gt=0)

    @field_serializer("scopes")
    def _in_order(self, scopes: frozenset[Scope]) -> list[str]:
        return sorted(scopes)


class KeyFile(BaseModel):
    """All keys, in the order in which they were made. Names and ids are unique."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _check_unique(self) -> KeyFile:
        for values in ([key.name for key in self.keys], [key.id for key in self.keys]):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ValueError(f"{twice[0]!r} is there twice")
        return self


def make_key(name: str, scopes: frozenset[Scope], **limits: float | None) -> tuple[str, Key]:
    """A new key, to be shown once, and its stored form.

    Raises:
        ValueError: if the name or a limit is not allowed.
    """
    id = secrets.token_hex(4)
    text = f"nightlift_{id}_{secrets.token_urlsafe(32)}"
    try:
        kept = Key.model_validate(
            {
                "name": name,
                "id": id,
                "sha256": _digest(text).hex(),
                "scopes": scopes,
                "created": datetime.now(UTC).replace(microsecond=0),
                **limits,
            }
        )
    except ValidationError as error:
        raise ValueError(_explain(error)) from None
    return text, kept


def read_keys(path: Path) -> KeyFile:
    """The keys of a file.

    Raises:
        ValueError: if it cannot be read, or is invalid; the message shows nothing of its contents.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"the keys file {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ValueError(f"the keys file {path} is invalid: {_explain(error)}") from None


def add_key(path: Path, name: str, scopes: frozenset[Scope], **limits: float | None) -> str:
    """Make a key and store its hash; a missing file is created, readable by its owner only.

    Args:
        path: the keys file.
        name: what the key is called in listings, metrics and logs.
        scopes: what it may be used for.
        limits: `requests_per_second`, `burst`, `megapixels_per_minute`, where they differ from the settings'.

    Returns:
        The key, which cannot be retrieved again.

    Raises:
        ValueError: if the name is taken or not allowed, or the file cannot be read or written.
    """
    with _locked(path):
        known = read_keys(path).keys if path.exists() else ()
        if name in {key.name for key in known}:
            raise ValueError(f"a key named {name!r} already exists; revoke it first, or choose another name")
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
            raise ValueError(
                f"key {name!r} not found; the keys are: {', '.join(key.name for key in known) or 'none'}"
            )
        _write(path, KeyFile(keys=left))


class Keyring:
    """Finds keys.

    If the file becomes unreadable or invalid, the keys read last stay valid, and this is logged.

    Raises:
        ValueError: if the file cannot be read at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watcher = FileWatcher(path)
        self._keys: dict[str, tuple[bytes, Key]] = {}
        self._read()
        self._next_look = time.monotonic() + POLL_SECONDS

    def find(self, presented: str) -> Key | None:
        """The key that was presented; None for an unknown one."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + POLL_SECONDS
            self._poll()
        match = KEY.fullmatch(presented)
        kept = self._keys.get(match[1]) if match else None
        return kept[1] if kept and hmac.compare_digest(_digest(presented), kept[0]) else None

    def _poll(self) -> None:
        if not self._watcher.changed():
            return
        try:
            self._read()
        except ValueError as error:
            if self._watcher.reject():
                logger.error("%s; the keys read before stay valid until it can be read", error)
        else:
            self._watcher.accept()
            logger.info("API keys reloaded: %s", ", ".join(key.name for _, key in self._keys.values()) or "none")

    def _read(self) -> None:
        self._keys = {key.id: (bytes.fromhex(key.sha256), key) for key in read_keys(self._path).keys}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _explain(error: ValidationError) -> str:
    """The location and reason of each error, without values, which may be secrets."""
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the file against other writers, which might undo a revocation that they have not read."""
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
