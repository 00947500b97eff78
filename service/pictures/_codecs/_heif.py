"""Reads the boxes that AVIF and HEIC share to describe their main picture (HEIF, ISO/IEC 23008-12).

Decoders handle most of them, but Pillow ignores the clean aperture and colours given by number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from service.errors import UnreadablePicture
from service.pictures._codecs._hevc import Units, configured_pixels
from service.pictures._codecs._iso_media import Boxes, Fields, kinds
from service.pictures._matrix_profiles import Colours, by_codes

_MAX_ASSOCIATIONS = 4096
_MAX_PARTS = 20_000
"""References between pictures, and decodings that they lead to: a large grid has a thousand."""
_HEAD = 64  # as much of a description as any reader of them wants
_HEVC = b"hvc1"
_DERIVED = {b"grid", b"iovl", b"iden", b"tmap"}


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Item:
    """The main picture: its coding, such as b"av01", and the boxes that describe it, in their order."""

    kind: bytes
    properties: tuple[tuple[bytes, bytes], ...]

    def all(self, kind: bytes) -> Iterator[bytes]:
        """The contents of its boxes of a type."""
        return (content for name, content in self.properties if name == kind)


def coding(data: bytes) -> bytes:
    """How the main picture, or what it is made of, is coded: b"av01", b"hvc1", ...; b"" where nothing says."""
    boxes = Boxes()
    for meta in boxes.at(memoryview(data), b"meta"):
        coded = kinds(boxes, meta[4:])
        main = coded.get(main_number(boxes, meta[4:]), b"")
        if main not in _DERIVED:
            return main
        return next((kind for kind in coded.values() if kind in (b"av01", b"hvc1")), main)
    return b""


def main_item(data: bytes) -> Item | None:
    """The main picture of the file, or None where there is none, as in sequences."""
    boxes = Boxes()
    for meta in boxes.at(memoryview(data), b"meta"):
        inside = meta[4:]
        item = main_number(boxes, inside)
        properties = [
            (kind, bytes(content[:_HEAD]))
            for table in boxes.at(inside, b"iprp", b"ipco")
            for kind, content in boxes.inside(table)
        ]
        places = next((places for number, places in associations(boxes, inside) if number == item), [])
        chosen = (properties[number - 1] for _, number in places if 0 < number <= len(properties))
        return Item(kinds(boxes, inside).get(item, b""), tuple(chosen))
    return None


def has_gain_map(data: bytes) -> bool:
    """Whether a picture of the file says how the main one looks on HDR displays: ISO 21496-1's, or Apple's."""
    boxes = Boxes()
    for meta in boxes.at(memoryview(data), b"meta"):
        kinds_of = boxes.at(meta[4:], b"iprp", b"ipco", b"auxC")
        if b"tmap" in kinds(boxes, meta[4:]).values() or any(b"hdrgainmap" in bytes(kind) for kind in kinds_of):
            return True
    return False


def colours(item: Item | None, *, grey: bool) -> Colours:
    """The colour space that a picture names by numbers; sRGB where it names none."""
    for content in item.all(b"colr") if item else ():
        if content[:4] == b"nclx" and len(content) >= 10:
            return by_codes(int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big"), grey=grey)
    return Colours(None)


def clean_aperture(item: Item | None, width: int, height: int) -> Crop | None:
    """The part of a picture that is meant to be shown (section 6.5.9); None where that is all, or makes no sense."""
    content = next(item.all(b"clap"), b"") if item else b""
    if len(content) < 32:
        return None
    numbers = [int.from_bytes(content[i : i + 4], "big", signed=i >= 16 and not i % 8) for i in range(0, 32, 4)]
    if 0 in numbers[1::2]:
        return None
    across, down, right, below = (numbers[i] / numbers[i + 1] for i in range(0, 8, 2))
    left, top = (width - across) / 2 + right, (height - down) / 2 + below
    if not all(number.is_integer() for number in (across, down, left, top)):
        return None
    crop = Crop(int(left), int(top), int(across), int(down))
    fits = 0 <= crop.left <= width - crop.width and 0 <= crop.top <= height - crop.height
    return crop if fits and min(crop.width, crop.height) > 0 else None


def hevc_pixels(data: bytes, units: Units) -> list[int]:
    """The pixels of every HEVC picture that the main one is made of, each by its largest parameter set.

    Raises:
        ValueError or IndexError: the file is damaged, has too many units, or a picture has no parameter set.
        UnreadablePicture: the picture is put together of very many others.
    """
    boxes, found = Boxes(), []
    for meta in boxes.at(memoryview(data), b"meta"):
        inside = meta[4:]
        properties = [content for table in boxes.at(inside, b"iprp", b"ipco") for content in boxes.inside(table)]
        places, coded = dict(associations(boxes, inside)), kinds(boxes, inside)
        parts = _parts(boxes, inside)
        configured = {
            number: configured_pixels(bytes(box), units)
            for number, (kind, box) in enumerate(properties, 1)
            if kind == b"hvcC"
        }
        for item in parts:
            if coded.get(item) == _HEVC:
                chosen = {number for _, number in places.get(item, ())} & configured.keys()
                found.append(max(pixels for number in chosen for pixels in configured[number]) * parts[item])
    return found


def _parts(boxes: Boxes, meta: memoryview) -> Counter[int]:
    """The main picture, what it is put together of, and what lies over either, such as alpha; each with how often.

    Raises:
        UnreadablePicture: there are very many, or one is made of itself by way of others.
    """
    needed: dict[int, list[int]] = {}
    left = _MAX_PARTS
    for references in boxes.at(meta, b"iref"):
        size = 4 if references[0] > 0 else 2
        for kind, content in boxes.inside(references[4:]):
            fields = Fields(content)
            source, count = fields.take(size), fields.take(2)
            left -= count
            if left < 0:
                raise UnreadablePicture(f"The HEIC has more than {_MAX_PARTS} references between its pictures.")
            for target in (fields.take(size) for _ in range(count)):
                if kind in (b"dimg", b"auxl") and source != target:
                    whole, part = (source, target) if kind == b"dimg" else (target, source)
                    needed.setdefault(whole, []).append(part)
    parts: Counter[int] = Counter()
    waiting, left = [main_number(boxes, meta)], _MAX_PARTS
    while waiting:  # as decoders do: what is referred to twice is decoded twice
        item = waiting.pop()
        parts[item] += 1
        more = needed.get(item, [])
        left -= len(more)
        if left < 0:
            raise UnreadablePicture(
                f"The HEIC's picture is put together of more than {_MAX_PARTS} others, or of itself."
            )
        waiting += more
    return parts


def associations(boxes: Boxes, meta: memoryview) -> Iterator[tuple[int, list[tuple[bool, int]]]]:
    """Items, and for each the boxes of `ipco` that describe it: whether they must be understood, and their number."""
    for table in boxes.at(meta, b"iprp", b"ipma"):
        yield from read_associations(table)


def read_associations(table: memoryview) -> Iterator[tuple[int, list[tuple[bool, int]]]]:
    """The content of one box `ipma` (ISO/IEC 14496-12, section 8.11.14)."""
    fields = Fields(table)
    version, is_wide = fields.take(1), bool(fields.take(3) & 1)
    bits = 15 if is_wide else 7
    for _ in range(min(fields.take(4), _MAX_ASSOCIATIONS)):
        item, count = fields.take(4 if version else 2), fields.take(1)
        marks = [fields.take(2 if is_wide else 1) for _ in range(count)]
        yield item, [(bool(mark >> bits), mark & (1 << bits) - 1) for mark in marks]


def main_number(boxes: Boxes, meta: memoryview) -> int:
    """The number of the main picture (section 8.11.4), or 0."""
    for content in boxes.at(meta, b"pitm"):
        return int.from_bytes(content[4 : 6 if content[0] == 0 else 8], "big")
    return 0
