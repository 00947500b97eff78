"""Image file directories (TIFF 6.0, section 2): the structure behind TIFF files and EXIF blocks alike.

Why no library: general parsers rewrite a directory, which breaks maker notes, and copy every value. Here nothing is
read unless asked for, a directory has a bounded number of entries, and all its values together may not be larger than
the file. Entries of unknown type, and those that point outside the file, are skipped, since cameras sometimes write
them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 1, 3, 4, 5, 7

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_MAX_ENTRIES = 1024

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Value:
    """A tag's value as it lies in the file: `count` items of TIFF type `type`, in the file's byte order."""

    type: int
    count: int
    raw: bytes


Tags: TypeAlias = "Mapping[int, Value | Tags]"
"""A directory to write: tag -> value, or another directory that the tag points to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag of a directory, and where its value lies."""

    type: int
    count: int
    value_position: int

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return self.count * _TYPE_SIZES[self.type]


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of `data`; the values of all its entries lie inside of it.

    Of entries of one tag the first counts, as it does in libtiff; `repeated` are the tags that have several.
    """

    data: bytes
    order: ByteOrder
    position: int
    length: int
    entries: dict[int, Entry]
    repeated: frozenset[int]
    next_position: int

    @property
    def end(self) -> int:
        """Position behind the directory: behind its `length` entries and the position of the next one."""
        return self.position + 2 + 12 * self.length + 4

    def records(self) -> list[bytes]:
        """The 12 bytes of every entry, those included that are left out of `entries`."""
        start = self.position + 2
        return [self.data[i : i + 12] for i in range(start, start + 12 * self.length, 12)]

    def raw(self, tag: int) -> bytes | None:
        """The bytes of a tag's value, or None where there is no such tag."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        return self.data[entry.value_position : entry.value_position + entry.size]

    def integers(self, tag: int, default: tuple[int, ...] = (), most: int = 1024) -> tuple[int, ...]:
        """A tag's value as unsigned integers, at most `most` of them; `default` where the tag is absent."""
        entry = self.entries.get(tag)
        raw = self.raw(tag)
        if entry is None or raw is None or entry.type not in (BYTE, SHORT, LONG, 13):
            return default
        size = _TYPE_SIZES[entry.type]
        return tuple(
            int.from_bytes(raw[i : i + size], self.order) for i in range(0, min(len(raw), most * size), size)
        )

    def integer(self, tag: int, default: int = 0) -> int:
        """The first integer of a tag's value."""
        return next(iter(self.integers(tag)), default)

    def rational(self, tag: int) -> float | None:
        """The first number of a tag's value of type RATIONAL, or None where there is none that is finite."""
        entry, raw = self.entries.get(tag), self.raw(tag)
        if entry is None or raw is None or entry.type != RATIONAL or len(raw) < 8:
            return None
        below = int.from_bytes(raw[4:8], self.order)
        return int.from_bytes(raw[:4], self.order) / below if below else None

    def value(self, tag: int) -> Value:
        """A tag's value, ready to be written again in the same byte order."""
        entry = self.entries[tag]
        return Value(entry.type, entry.count, self.raw(tag) or b"")


def byte_order(data: bytes) -> ByteOrder:
    """The byte order that a TIFF structure names in its first bytes; ValueError where it is none."""
    if data[:4] == b"II*\0":
        return "little"
    if data[:4] == b"MM\0*":
        return "big"
    raise ValueError("no TIFF structure")


def first_directory(data: bytes) -> Directory:
    """The directory that the header of a TIFF structure points to.

    Raises:
        ValueError: it is damaged, too long, or points outside of `data`.
    """
    order = byte_order(data)
    return read_directory(data, order, int.from_bytes(data[4:8], order))


def read_directory(data: bytes, order: ByteOrder, position: int) -> Directory:
    """The directory at `position`; ValueError as for `first_directory`."""

    def integer(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    count = integer(position, 2)
    end = position + 2 + 12 * count
    if position < 8 or not 0 < count <= _MAX_ENTRIES or end + 4 > len(data):
        raise ValueError(f"a directory of {count} entries at byte {position} of {len(data)}")
    entries: dict[int, Entry] = {}
    seen: set[int] = set()
    repeated: set[int] = set()
    total = 0
    records = struct.iter_unpack("<HHII" if order == "little" else ">HHII", data[position + 2 : end])
    for number, (tag, kind, items, place) in enumerate(records):
        if tag in seen:
            repeated.add(tag)
        seen.add(tag)
        if kind not in _TYPE_SIZES:
            continue
        size = items * _TYPE_SIZES[kind]
        value_position = position + 2 + 12 * number + 8 if size <= 4 else place
        if value_position + size > len(data):
            continue
        total += size
        if total > len(data):
            raise ValueError(f"the values of the directory overlap: they take more than {len(data)} bytes")
        entries.setdefault(tag, Entry(kind, items, value_position))
    return Directory(data, order, position, count, entries, frozenset(repeated), integer(end, 4))


def write_directory(tags: Tags, order: ByteOrder, position: int) -> bytes:
    """The bytes of a directory that will lie at `position`, followed by its values and directories."""
    values_position = position + 2 + 12 * len(tags) + 4
    head = bytearray(len(tags).to_bytes(2, order))
    values = bytearray()
    for tag, value in sorted(tags.items()):
        here = values_position + len(values)
        if not isinstance(value, Value):
            values += write_directory(value, order, here)
            value = Value(LONG, 1, here.to_bytes(4, order))
        elif len(value.raw) > 4:
            values += value.raw
            value = Value(value.type, value.count, here.to_bytes(4, order))
        values += bytes(len(values) % 2)
        head += tag.to_bytes(2, order) + value.type.to_bytes(2, order) + value.count.to_bytes(4, order)
        head += value.raw.ljust(4, b"\0")
    return bytes(head + bytes(4) + values)


def write_header(order: ByteOrder, directory_position: int) -> bytes:
    """The eight bytes that open a TIFF structure."""
    mark = b"II*\0" if order == "little" else b"MM\0*"
    return mark + directory_position.to_bytes(4, order)
