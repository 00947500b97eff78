"""API keys and the file that they are kept in, hashed.

A key is `nightlift_ID_SECRET`: an id of 8 hex digits by which it is found, and a secret of 256 random bits in 43
letters. The prefix lets scanners for leaked secrets recognise it. The file is JSON:

    {"keys": [{"name": "phone", "id": "5f0c1a2b", "sha256": "...", "scopes": ["enhance"],
               "created": "2026-01-31T12:00:00Z", "requests_per_second": 5}]}

`sha256` is that of the whole key. A slow, salted hash protects secrets that people choose, because these can be
guessed; 256 random bits cannot, however quick the guesses are. It would only cost tens of milliseconds of CPU at
every request, which whoever sends wrong keys could make the service spend.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

KEY = re.compile(r"nightlift_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may be used for."""

    ENHANCE = "enhance"
    """Enhance pictures, run models, and read about models."""
    ADMIN = "admin"
    """Load and unload models, where that is turned on; nothing else."""
    METRICS = "metrics"
    """Read `/metrics`, where that is not open to everybody."""


class Key(BaseModel):
    """One key as it is kept: everything but the key itself. Limits that are None are those of the settings."""

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
    """A new key, to be shown once, and what is kept of it.

    Raises:
        ValueError: if the name or a limit is out of what is allowed.
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
        ValueError: if it cannot be read, or is not as it should be; the message has nothing of its contents.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"the keys file {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ValueError(f"the keys file {path} is not as it should be: {_explain(error)}") from None


def find(presented: str, keys: dict[str, tuple[bytes, Key]]) -> Key | None:
    """The key that was presented; None for an unknown one.

    Args:
        presented: what the caller sent.
        keys: id -> (SHA-256, key).
    """
    match = KEY.fullmatch(presented)
    kept = keys.get(match[1]) if match else None
    if kept is None:
        return None
    digest, key = kept
    return key if hmac.compare_digest(_digest(presented), digest) else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _explain(error: ValidationError) -> str:
    """Where and why, without the values: these may be secrets."""
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
