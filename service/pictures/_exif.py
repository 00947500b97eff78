"""EXIF blocks (EXIF 2.32, section 4.6): read the orientation, take it out, take the location out.

Blocks are changed in place, so that maker notes, whose offsets are undocumented, survive. A block that cannot be
parsed, or has more than 1 MiB, counts as absent: it neither turns the picture nor reaches the answer.
"""

from __future__ import annotations

from service.pictures._directories import (
    SHORT,
    ByteOrder,
    Directory,
    Tags,
    Value,
    first_directory,
    read_directory,
    write_directory,
    write_header,
)
from service.pictures._header import Density

ORIENTATION, EXIF_DIRECTORY, GPS_DIRECTORY = 0x0112, 0x8769, 0x8825

X_RESOLUTION, Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
# XMP, IPTC and Photoshop's image resources, which some programs put into the first directory.
_INNER_BLOCKS = (0x02BC, 0x83BB, 0x8649)

# Cameras' blocks fit into a segment of JPEG, 64 KiB; every change of a block copies it.
_MAX_BYTES = 1024 * 1024
_PREFIX = b"Exif\0\0"
_INTEROPERABILITY_DIRECTORY, _INTEROPERABILITY_INDEX = 0xA005, 1
_WIDTH_AND_HEIGHT = ((0x0100, 0x0101), (0xA002, 0xA003))
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
DESCRIPTIVE = {
    0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D,
    0x9C9E, 0x9C9F,
}  # fmt: skip
"""Tags of a TIFF's first directory that describe the photo; all others describe how the file stores it."""


def bare(block: bytes | None) -> bytes | None:
    """The block without the "Exif" prefix that some containers put before it; None where nothing usable is left."""
    if not block or len(block) > _MAX_BYTES:
        return None
    return block.removeprefix(_PREFIX) or None


def orientation(block: bytes | None) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    directory = _parsed(block)
    value = directory.integer(ORIENTATION, 1) if directory else 1
    return value if 1 <= value <= 8 else 1


def upright(block: bytes | None) -> bytes | None:
    """The block of the picture once it is turned upright: no orientation, and sides swapped where they are.

    The thumbnail, which shows the picture as it was before, is taken out. None where nothing sound is left.
    """
    directory = _parsed(block)
    if directory is None:
        return None
    changed = bytearray(directory.data)
    if orientation(block) >= 5:
        for part in filter(None, (directory, _linked(directory, EXIF_DIRECTORY))):
            for width, height in _WIDTH_AND_HEIGHT:
                _swap(changed, part, width, height)
    _drop_thumbnail(changed, directory)
    return without_orientation(bytes(changed))


def with_size(block: bytes | None, width: int, height: int) -> bytes | None:
    """The block with the sizes that it names changed to `width` x `height` pixels; an unreadable block stays."""
    directory = _parsed(block)
    if directory is None:
        return block
    changed = bytearray(directory.data)
    for part in filter(None, (directory, _linked(directory, EXIF_DIRECTORY))):
        for tags in _WIDTH_AND_HEIGHT:
            for tag, value in zip(tags, (width, height), strict=True):
                if part.integer(tag):
                    _set_integer(changed, part, tag, value)
    return bytes(changed)


def without_orientation(block: bytes) -> bytes | None:
    """A block, or a whole TIFF file, without its orientation; None where nothing sound is left."""
    return _without(ORIENTATION, block)


def without_location(block: bytes) -> bytes | None:
    """The block without its GPS directory, values included; None where nothing sound is left.

    Blocks of XMP and IPTC that lie inside of it go as well, for they may name the location. A block that has several
    GPS directories is given up: to clear them all could take a thousand times as long.
    """
    for tag in (GPS_DIRECTORY, *_INNER_BLOCKS):
        left = _without(tag, block)
        if left is None:
            return None
        block = left
    return block


def is_adobe_rgb(block: bytes | None) -> bool:
    """Whether a camera says that the colours are Adobe RGB, as DCF 2.0 has it: by the interoperability index R03."""
    directory = _parsed(block)
    for link in (EXIF_DIRECTORY, _INTEROPERABILITY_DIRECTORY):
        directory = _linked(directory, link) if directory else None
    return directory is not None and (directory.raw(_INTEROPERABILITY_INDEX) or b"").rstrip(b"\0") == b"R03"


def density(block: bytes | None) -> Density | None:
    """The print resolution in pixels an inch, across and down, or None."""
    directory = _parsed(block)
    return resolution(directory) if directory else None


def resolution(directory: Directory) -> Density | None:
    """The print resolution that a directory names, in pixels an inch, or None."""
    scale = {2: 1.0, 3: 2.54}.get(directory.integer(_RESOLUTION_UNIT, 2))
    across, down = (directory.rational(tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
    return (across * scale, down * scale) if scale and across and down else None


def from_tiff(directory: Directory) -> bytes | None:
    """An EXIF block of what a TIFF's first directory says about the photo, or None where it says nothing.

    Of a directory that says more than fits into a block only the orientation is taken.
    """
    tags = descriptive_tags(directory) if _descriptive_bytes(directory) <= _MAX_BYTES else {}
    if ORIENTATION in directory.entries:
        value = min(directory.integer(ORIENTATION), 0xFFFF)
        tags = {**tags, ORIENTATION: Value(SHORT, 1, value.to_bytes(2, directory.order))}
    if not tags:
        return None
    return write_header(directory.order, 8) + write_directory(tags, directory.order, 8)


def descriptive_tags(directory: Directory) -> Tags:
    """The tags of a directory that describe the photo, with the EXIF and GPS directories that it points to."""
    tags: dict[int, Value | Tags] = {tag: directory.value(tag) for tag in directory.entries if tag in DESCRIPTIVE}
    for link in (EXIF_DIRECTORY, GPS_DIRECTORY):
        linked = _linked(directory, link)
        if linked is not None:
            tags[link] = {tag: linked.value(tag) for tag in linked.entries if tag != _INTEROPERABILITY_DIRECTORY}
    return tags


def _descriptive_bytes(directory: Directory) -> int:
    """The size of the values that `descriptive_tags` would copy."""
    entries = [entry for tag, entry in directory.entries.items() if tag in DESCRIPTIVE]
    for link in (EXIF_DIRECTORY, GPS_DIRECTORY):
        linked = _linked(directory, link)
        entries += linked.entries.values() if linked else ()
    return sum(entry.size for entry in entries)


def _parsed(block: bytes | None) -> Directory | None:
    try:
        return first_directory(block) if block else None
    except ValueError:
        return None


def _linked(directory: Directory, link: int) -> Directory | None:
    """The directory that a tag points to, or None where there is none or it is damaged."""
    return _read(directory, directory.integer(link))


def _read(directory: Directory, position: int) -> Directory | None:
    try:
        return read_directory(directory.data, directory.order, position) if position else None
    except ValueError:
        return None


def _swap(block: bytearray, directory: Directory, first: int, second: int) -> None:
    one, other = directory.integer(first), directory.integer(second)
    if one and other:
        _set_integer(block, directory, first, other)
        _set_integer(block, directory, second, one)


def _set_integer(block: bytearray, directory: Directory, tag: int, value: int) -> None:
    entry = directory.entries[tag]
    size = entry.size // entry.count
    order: ByteOrder = directory.order
    block[entry.value_position : entry.value_position + size] = (value % 256**size).to_bytes(size, order)


def _without(tag: int, block: bytes) -> bytes | None:
    directory = _parsed(block)
    if directory is None:
        return None
    mark = tag.to_bytes(2, directory.order)
    kept = [record for record in directory.records() if not record.startswith(mark)]
    if len(kept) == directory.length:
        return block
    if not kept or (tag != ORIENTATION and tag in directory.repeated):
        return None
    return _with_records(kept, directory, _spans(directory, tag))


def _spans(directory: Directory, tag: int) -> list[tuple[int, int]]:
    """Where a tag's value lies, and for the GPS tag the directory that it points to with all its values."""
    entry = directory.entries.get(tag)
    spans = [(entry.value_position, entry.size)] if entry else []
    linked = _linked(directory, tag) if tag == GPS_DIRECTORY else None
    if linked is not None:
        spans += [(value.value_position, value.size) for value in linked.entries.values()]
        spans.append((linked.position, linked.end - linked.position))
    return spans


def _with_records(kept: list[bytes], directory: Directory, blank: list[tuple[int, int]]) -> bytes:
    """The block with these records alone in its first directory, and other parts of it blanked."""
    block = bytearray(directory.data)
    for position, size in blank:
        block[position : position + size] = bytes(size)
    start, end = directory.position, directory.end
    records = len(kept).to_bytes(2, directory.order) + b"".join(kept) + directory.data[end - 4 : end]
    block[start:end] = records.ljust(end - start, b"\0")
    return bytes(block)


def _drop_thumbnail(block: bytearray, directory: Directory) -> None:
    """Unlink the second directory, and cut or blank the thumbnail that it points to."""
    second = _read(directory, directory.next_position)
    if second is not None:
        start, length = second.integer(_THUMBNAIL_OFFSET), second.integer(_THUMBNAIL_LENGTH)
        if second.position < start and start + length == len(block):
            del block[start:]
        elif start and start + length <= len(block):
            block[start : start + length] = bytes(length)
    block[directory.end - 4 : directory.end] = bytes(4)
