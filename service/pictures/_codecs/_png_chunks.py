"""Finds the chunks of a PNG (W3C, third edition), bounds them, and reads those that describe the picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from isal import isal_zlib

from service.errors import UnreadablePicture
from service.pictures import _iptc
from service.pictures._colour import MAX_PROFILE_BYTES
from service.pictures._header import Density
from service.pictures._matrix_profiles import SRGB, SRGB_CURVE, Colours, Curve, Primaries, by_codes, by_numbers
from service.pictures._xmp import MAX_XMP_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHUNK_HEAD = struct.Struct(">I4s")
_MAX_CHUNKS = 100_000
_MAX_CHUNKS_OF_HEADER = 20_000  # those of 64 MB of pixels that are written in pieces of 4 KiB, and more
_OF_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_MAX_TEXTS = 64
_INCH = 0.0254
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column and row, and steps, of the passes of interlaced files.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MAX_RATIO = 1032  # of deflate (RFC 1951): 258 bytes by two bits
_PIECE = 16 * 1024
_SLACK = 1024 * 1024
# Raw profiles are hexadecimal, two digits a byte and line ends.
_MAX_TEXT_BYTES = 3 * max(MAX_XMP_BYTES, _iptc.MAX_IPTC_BYTES)


class CutShort(ValueError):
    """A chunk claims more bytes than the file has."""


def chunks(data: bytes, *, until: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and start and end of the content, of the chunks before the first of a kind.

    Raises:
        CutShort: a chunk leaves the file.
        ValueError: there are very many.
    """
    position, size = len(SIGNATURE), len(data)
    for _ in range(_MAX_CHUNKS):
        if position + 8 > size:
            raise CutShort("the file is cut short")
        length, kind = _CHUNK_HEAD.unpack_from(data, position)
        if kind == until:
            return
        end = position + 8 + length
        if end + 4 > size:
            raise CutShort("the file is cut short")
        yield kind, position + 8, end
        position = end + 4
    raise ValueError(f"more than {_MAX_CHUNKS} chunks")


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk with its length and checksum."""
    checksum = zlib.crc32(payload, zlib.crc32(kind))
    return b"".join((len(payload).to_bytes(4, "big"), kind, payload, checksum.to_bytes(4, "big")))


def bare_picture(data: bytes) -> tuple[bytes, list[memoryview]]:
    """The file with nothing but what its pixels need, and the pixels' chunks.

    Decoders would inflate texts and profiles, look through animations, and complain of every fault to standard error.

    Raises:
        ValueError: there are no pixels, a chunk leaves the file, or there are very many.
    """
    view, last = memoryview(data), len(SIGNATURE)
    kept, pixels = [view[:last]], []
    for kind, start, end in chunks(data, until=b"IEND"):
        last = end + 4
        if kind in _OF_PIXELS:
            kept.append(view[start - 8 : last])
        if kind == b"IDAT":
            pixels.append(view[start:end])
    if not pixels:
        raise ValueError("there are no pixels")
    is_bare = sum(map(len, kept)) == last
    return data if is_bare else b"".join((*kept, chunk(b"IEND", b""))), pixels


@dataclass
class Gathered:
    """A file's chunks beside its pixels: the first one of every kind, and the texts of interest by keyword."""

    first: dict[bytes, memoryview] = field(default_factory=dict)
    texts: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def xmp(self) -> bytes | None:
        """The XMP packet."""
        return self.texts.get(_XMP_KEYWORD)

    @property
    def iptc(self) -> bytes | None:
        """The IPTC block, as ImageMagick and ExifTool write it."""
        block = self.raw_profile(b"iptc", b"8bim")
        if block is None:
            return None
        block = block.removeprefix(_iptc.RESOURCES_MARK)
        return _iptc.from_resources(block) if block.startswith(b"8BIM") else block

    def raw_profile(self, *names: bytes) -> bytes | None:
        """A block that is written as text: its name, its length, and its bytes in hexadecimal."""
        text = next((self.texts[_RAW_PROFILE + name] for name in names if _RAW_PROFILE + name in self.texts), None)
        if text is None:
            return None
        try:
            _, _, digits = text.lstrip().split(None, 2)
            return bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            return None


def gathered(data: bytes) -> Gathered:
    """What lies before and behind the pixels. A file cut short gives what it has: decoding will complain."""
    found = Gathered()
    with suppress(CutShort):
        texts, view = 0, memoryview(data)
        for kind, start, end in islice(chunks(data, until=b"IEND"), _MAX_CHUNKS_OF_HEADER):
            if kind not in found.first:
                found.first[kind] = view[start:end]
            if kind in _TEXTS and texts < _MAX_TEXTS:
                texts += 1
                _note_text(found, kind, view[start:end])
    return found


def colours(first: dict[bytes, memoryview], *, is_grey: bool) -> Colours:
    """The colour space by the chunk that wins: cICP, iCCP, sRGB, or gAMA and cHRM (section 12.1)."""
    if (codes := first.get(b"cICP")) and len(codes) >= 2:
        return by_codes(codes[0], codes[1], grey=is_grey)
    if (packed := first.get(b"iCCP")) is not None:
        return Colours(_profile(packed))
    if b"sRGB" in first:
        return Colours(None)
    curve: Curve = SRGB_CURVE
    if (
        (gamma := first.get(b"gAMA"))
        and (value := int.from_bytes(gamma[:4], "big"))
        and not 45_000 <= value <= 46_000
    ):
        curve = 100_000 / value
    primaries = SRGB
    if (points := first.get(b"cHRM")) and len(points) >= 32:
        x = [int.from_bytes(points[i : i + 4], "big") / 100_000 for i in range(0, 32, 4)]
        primaries = Primaries((x[2], x[3]), (x[4], x[5]), (x[6], x[7]), (x[0], x[1]))
    return Colours(by_numbers(primaries, curve, grey=is_grey))


def transparent_color(data: bytes) -> bytes:
    """The content of tRNS, b"" where there is none: of a grey picture the level that is transparent."""
    return next((data[start:end] for kind, start, end in chunks(data, until=b"IDAT") if kind == b"tRNS"), b"")


def density(content: memoryview | None) -> Density | None:
    """The print resolution by pHYs, where it has a unit."""
    if content is None or len(content) < 9 or content[8] != 1:
        return None
    across, down = (int.from_bytes(content[i : i + 4], "big") for i in (0, 4))
    return (across * _INCH, down * _INCH) if across and down else None


def density_chunk(value: Density) -> bytes:
    """A chunk pHYs of pixels an inch."""
    across, down = (round(number / _INCH) for number in value)
    return chunk(b"pHYs", across.to_bytes(4, "big") + down.to_bytes(4, "big") + b"\1")


def xmp_chunk(packet: bytes) -> bytes:
    """An XMP packet as Adobe lays it into PNG (XMP Specification, part 3)."""
    return chunk(b"iTXt", _XMP_KEYWORD + bytes(5) + packet)


def iptc_chunk(block: bytes) -> bytes:
    """An IPTC block as ImageMagick and ExifTool lay it into PNG, which has no place of its own for it."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = b"\niptc\n%8d\n%b\n" % (len(block), lines)
    return chunk(b"zTXt", _RAW_PROFILE + b"iptc\0\0" + zlib.compress(text))


def check_inflation(pixels: Sequence[memoryview], data: bytes) -> None:
    """Refuse pixels that inflate to more than twice what the header implies: libpng would inflate all of it.

    A few bytes too many are allowed, and pixels too short to inflate that far are not checked.
    """
    most = 2 * _raw_bytes(data) + _SLACK
    if sum(map(len, pixels)) * _MAX_RATIO <= most:
        return
    try:
        inflated = _inflated(pixels, most, isal_zlib)
    except isal_zlib.IsalError:  # type: ignore[misc]  # as strict as libpng only zlib is
        with suppress(zlib.error):
            inflated = _inflated(pixels, most, zlib)
            _refuse_beyond(inflated, most)
        return
    _refuse_beyond(inflated, most)


def _refuse_beyond(inflated: int, most: int) -> None:
    if inflated > most:
        raise UnreadablePicture("The PNG's pixels inflate to more than twice the size that its header announces.")


def _inflated(pixels: Sequence[memoryview], most: int, library: Any) -> int:
    """Bytes that the pixels inflate to, counted up to `most`."""
    inflater, total = library.decompressobj(), 0
    for content in pixels:
        for start in range(0, len(content), _PIECE):
            rest = content[start : start + _PIECE]
            while len(rest) and not inflater.eof:
                total += len(inflater.decompress(rest, 16 * _PIECE))
                rest = inflater.unconsumed_tail
                if total > most:
                    return total
    return total


def _raw_bytes(data: bytes) -> int:
    """Bytes of all rows with their filter bytes, as the header implies."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits = data[24] * _CHANNELS[data[25]]

    def size(columns: int, rows: int) -> int:
        return rows * (1 + (columns * bits + 7) // 8) if columns else 0

    if not data[28]:
        return size(width, height)
    return sum(
        size((width - left + across - 1) // across, (height - top + down - 1) // down)
        for left, top, across, down in _ADAM7
    )


def _profile(content: memoryview) -> bytes | None:
    """The unpacked profile of an iCCP chunk, or None where it is damaged or absurdly large."""
    _, _, rest = bytes(content).partition(b"\0")
    return _unpacked(rest[1:], MAX_PROFILE_BYTES)


def _note_text(found: Gathered, kind: bytes, content: memoryview) -> None:
    """Keep a text if it is XMP or a raw profile."""
    if not bytes(content[: len(_RAW_PROFILE)]).startswith((_XMP_KEYWORD[: len(_RAW_PROFILE)], _RAW_PROFILE)):
        return
    keyword, _, text = bytes(content).partition(b"\0")
    if keyword in found.texts:
        return
    is_packed = kind == b"zTXt"
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        is_packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    unpacked = _unpacked(text, _MAX_TEXT_BYTES) if is_packed else text
    if unpacked:
        found.texts[keyword] = unpacked


def _unpacked(packed: bytes, most: int) -> bytes | None:
    """Inflated bytes; None where they are damaged, or more than `most`."""
    try:
        inflater = zlib.decompressobj()
        unpacked = inflater.decompress(packed, most)
    except zlib.error:
        return None
    return unpacked if inflater.eof else None
