"""IPTC IIM records (IIM 4.2) and Photoshop's image resources, in which JPEG files keep them."""

from __future__ import annotations

from collections.abc import Iterator

MAX_IPTC_BYTES = 256 * 1024
"""The largest block of records that is kept."""

RESOURCES_MARK = b"Photoshop 3.0\0"
"""What a segment of image resources begins with."""

_RESOURCE, _IPTC_RESOURCE = b"8BIM", 0x0404
_RESOURCES = {_RESOURCE, b"AgHg", b"PHUT", b"DCSR", b"MeSa"}
"""Signatures of image resources: Photoshop's, and those of ImageReady, PhotoDeluxe and others between them."""

_TAG, _APPLICATION_RECORD = 0x1C, 2
# Content location code and name; city, sublocation, province, country code and name.
_LOCATION = {26, 27, 90, 92, 95, 100, 101}
_MAX_PARTS = 4096


def from_resources(resources: bytes) -> bytes | None:
    """The first IPTC block among image resources (without their mark) that is not empty, or None."""
    position = 0
    for _ in range(_MAX_PARTS):
        if resources[position : position + 4] not in _RESOURCES:
            return None
        kind = int.from_bytes(resources[position + 4 : position + 6], "big")
        name = 1 + resources[position + 6] if position + 6 < len(resources) else 1
        start = position + 6 + name + name % 2
        size = int.from_bytes(resources[start : start + 4], "big")
        content = resources[start + 4 : start + 4 + size]
        if kind == _IPTC_RESOURCE and content:
            return content if len(content) == size else None
        position = start + 4 + size + size % 2
    return None


def to_resources(block: bytes) -> bytes:
    """A segment's content that holds an IPTC block."""
    head = _RESOURCE + _IPTC_RESOURCE.to_bytes(2, "big") + b"\0\0" + len(block).to_bytes(4, "big")
    return RESOURCES_MARK + head + block + bytes(len(block) % 2)


def kept(block: bytes | None, *, with_location: bool) -> bytes | None:
    """The block, without the records that name a location unless `with_location`; None where nothing sound is
    left."""
    if not block or len(block) > MAX_IPTC_BYTES:
        return None
    records = [
        record
        for number, dataset, record in _records(block)
        if with_location or not (number == _APPLICATION_RECORD and dataset in _LOCATION)
    ]
    return b"".join(records) or None


def _records(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Record number, dataset number and bytes of each record up to the first that is damaged."""
    position = 0
    for _ in range(_MAX_PARTS):
        if position + 5 > len(block) or block[position] != _TAG:
            return
        size, start = int.from_bytes(block[position + 3 : position + 5], "big"), position + 5
        if size & 0x8000:  # an extended record: the length of the length comes first
            length = size & 0x7FFF
            if length > 4:
                return
            size, start = int.from_bytes(block[start : start + length], "big"), start + length
        end = start + size
        if end > len(block):
            return
        yield block[position + 1], block[position + 2], block[position:end]
        position = end
