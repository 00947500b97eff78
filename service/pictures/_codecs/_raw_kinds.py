"""Which files are camera raw, by their first bytes and directories: many are TIFFs whose first page is small."""

from __future__ import annotations

from collections.abc import Iterator

from service.pictures._codecs._tiff_tags import STRIP_OFFSETS, STRIP_SIZES, TILE_OFFSETS, TILE_SIZES
from service.pictures._directories import Directory, first_directory, read_directory

_SIGNATURES = (
    b"FUJIFILMCCD-RAW",  # RAF
    b"IIRO",  # ORF
    b"IIRS",
    b"MMOR",
    b"IIU\0",  # RW2
    b"\0MRM",  # MRW
    b"FOVb",  # X3F
)
_TIFF = (b"II*\0", b"MM\0*")
_CR3 = b"ftypcrx "
_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG = 254, 259, 262, 330, 50706
_OF_CAMERAS = {271, _SUB_DIRECTORIES}
"""Tags beside a small first page that other files have not: the maker, and directories of further pictures."""
_SENSOR_COLOURS = {32803, 34892}
"""Photometric interpretations: a colour filter array, and linear raw."""
_MAKERS_COMPRESSIONS = {32767, 32769, 32770, 34713, 65000, 65535}
"""Of Sony, Epson, Samsung, Nikon, Kodak and Pentax."""
_MAX_DIRECTORIES = 16
_MAX_PIECES = 65_536


def may_be_raw(head: bytes) -> bool:
    """Whether a file that begins so can be camera raw: every TIFF can. A dozen bytes are enough."""
    return head.startswith((*_SIGNATURES, *_TIFF)) or head[4:12] == _CR3


def is_raw(data: bytes) -> bool:
    """Whether a file is a camera's raw data, of whatever maker; a TIFF that cannot be parsed is not."""
    if data.startswith(_SIGNATURES):
        return True
    if data[4:12] == _CR3:
        return True
    if not data.startswith(_TIFF):
        return False
    if data[8:10] == b"CR":  # CR2
        return True
    try:
        first = first_directory(data)
    except ValueError:
        return False
    has_thumbnail = bool(first.integer(_NEW_SUBFILE_TYPE) & 1) and not first.entries.keys().isdisjoint(_OF_CAMERAS)
    if _DNG in first.entries or has_thumbnail:
        return True
    return any(
        directory.integer(_PHOTOMETRIC) in _SENSOR_COLOURS or directory.integer(_COMPRESSION) in _MAKERS_COMPRESSIONS
        for directory in (first, *_others(first))
    )


def is_cut_short(data: bytes, pixels: int) -> bool:
    """Whether a camera raw file of so many pixels lacks data; LibRaw develops what is missing as black, or noise.

    By where its strips and tiles lie, and by its length: no camera writes 256 pixels into a byte.
    """
    if 256 * len(data) < pixels:
        return True
    try:
        first = first_directory(data)
    except ValueError:
        return False
    ends_count = _DNG in first.entries  # other makers count in ways of their own
    return any(
        max(starts, default=0) >= len(data)
        or (ends_count and any(start + size > len(data) for start, size in zip(starts, sizes, strict=False)))
        for directory in (first, *_others(first))
        for starts, sizes in _pieces(directory)
    )


def _pieces(directory: Directory) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Where strips and tiles of a sensor's data begin, and how long they are."""
    if directory.integer(_PHOTOMETRIC) in _SENSOR_COLOURS:
        for starts, sizes in ((STRIP_OFFSETS, STRIP_SIZES), (TILE_OFFSETS, TILE_SIZES)):
            yield directory.integers(starts, most=_MAX_PIECES), directory.integers(sizes, most=_MAX_PIECES)


def _others(first: Directory) -> list[Directory]:
    """The directories that the first one points to, and those that follow it."""
    found = []
    for position in first.integers(_SUB_DIRECTORIES, most=_MAX_DIRECTORIES):
        try:
            found.append(read_directory(first.data, first.order, position))
        except ValueError:
            continue
    position = first.next_position
    while position and len(found) < 2 * _MAX_DIRECTORIES:
        try:
            found.append(read_directory(first.data, first.order, position))
        except ValueError:
            break
        position = found[-1].next_position
    return found
