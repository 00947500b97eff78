"""Boxes and items of ISO base media files (ISO/IEC 14496-12), as far as AVIF's EXIF block needs them.

Pillow hands an AVIF's EXIF block to its general parser as soon as the file is opened, and a hostile block
makes that one take gigabytes. So the block is found here, and hidden from Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator

_MAX_BOXES = 1024
_MAX_ITEMS = 1024
_TIFF_OFFSET_BYTES = 4


def exif_block(data: bytes) -> bytes | None:
    """The file's EXIF block as a TIFF structure, or None where there is none or it cannot be found."""
    try:
        meta = next((start + 4, end) for kind, start, end in _boxes(data, 0, len(data)) if kind == b"meta")
        parts = {kind: (start, end) for kind, start, end in _boxes(data, *meta)}
        item = _exif_item(data, *parts[b"iinf"])
        start, length = _location(data, parts[b"iloc"][0], item)
    except (StopIteration, KeyError, IndexError, ValueError):
        return None
    skipped = _TIFF_OFFSET_BYTES + _integer(data, start, _TIFF_OFFSET_BYTES)
    return data[start + skipped : start + length] or None


def without_exif(data: bytes) -> bytes:
    """The file with its EXIF items renamed to something that no reader looks for."""
    changed = bytearray(data)
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind != b"mdat":
            changed[start:end] = changed[start:end].replace(b"Exif", b"none")
    return bytes(changed)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and start and end of the content, of the boxes that lie side by side in a stretch of the file."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, content = _integer(data, start, 4), start + 8
        if size == 1:
            size, content = _integer(data, content, 8), content + 8
        stop = min(start + size, end) if size else end
        if stop < content:
            return
        yield data[start + 4 : start + 8], content, stop
        start = stop


def _exif_item(data: bytes, start: int, end: int) -> int:
    """The identifier of the first EXIF item that an `iinf` box lists."""
    entries = start + (6 if data[start] == 0 else 8)
    for _, entry, _ in _boxes(data, entries, end):
        width = 2 if data[entry] < 3 else 4
        if data[entry + 4 + width + 2 :][:4] == b"Exif":
            return _integer(data, entry + 4, width)
    raise KeyError("Exif")


def _location(data: bytes, position: int, wanted: int) -> tuple[int, int]:
    """Start and length of an item that lies in one piece, from an `iloc` box of version 0 to 2."""
    version = data[position]
    offset_size, length_size = data[position + 4] >> 4, data[position + 4] & 15
    base_size, index_size = data[position + 5] >> 4, data[position + 5] & 15 if version else 0
    id_size = 4 if version == 2 else 2
    count = _integer(data, position + 6, id_size)
    position += 6 + id_size
    for _ in range(min(count, _MAX_ITEMS)):
        item = _integer(data, position, id_size)
        position += id_size + (4 if version else 2)
        base = _integer(data, position, base_size)
        extents = _integer(data, position + base_size, 2)
        position += base_size + 2
        if item == wanted and extents == 1:
            offset = _integer(data, position + index_size, offset_size)
            return base + offset, _integer(data, position + index_size + offset_size, length_size)
        position += extents * (index_size + offset_size + length_size)
    raise KeyError(wanted)


def _integer(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "big")
