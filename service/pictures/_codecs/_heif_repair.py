"""Repairs formal faults of valid AVIF files that libavif refuses; the pictures do not change.

It requires its own brand, although the standard allows "mif1" alone, and a size for every coded picture, which older
writers left out for alpha.
"""

from __future__ import annotations

from service.pictures._codecs._heif import associations, main_number, read_associations
from service.pictures._codecs._iso_media import Boxes, kinds

_BRAND = slice(8, 12)
_CODED = b"av01"


def with_brand(data: bytes, brand: bytes) -> bytes:
    """The file with this as its major brand."""
    return data if data[_BRAND] == brand else b"".join((data[: _BRAND.start], brand, data[_BRAND.stop :]))


def with_sizes(data: bytes) -> bytes:
    """The file with a size for every coded picture: those without one get that of the main picture.

    The box of descriptions grows by that, so it is laid behind all others, where no position in the file changes.
    """
    boxes, file, position, grown = Boxes(), bytearray(data), 0, b""
    for kind, content in boxes.inside(memoryview(data)):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 0:  # the last box, up to the end of the file, which will not be the last one any more
            file[position : position + 4] = (len(data) - position).to_bytes(4, "big")
        if kind == b"meta" and not grown:
            lacking, number = _lacking(boxes, content[4:])
            if not lacking:
                return data
            grown = _grown(boxes, content, lacking, number)
            file[position + 4 : position + 8] = b"free"
        position += (16 if size == 1 else 8) + len(content)
    return bytes(file[:position]) + grown


def _lacking(boxes: Boxes, meta: memoryview) -> tuple[set[int], int]:
    """The coded pictures without a size, and the number of the box with the main picture's."""
    table = next(boxes.at(meta, b"iprp", b"ipco"), memoryview(b""))
    sizes = {number for number, (kind, _) in enumerate(boxes.inside(table), 1) if kind == b"ispe"}
    found = {item: {number for _, number in places} for item, places in associations(boxes, meta)}
    of_main = sizes & found.get(main_number(boxes, meta), set())
    coded = {item for item, kind in kinds(boxes, meta).items() if kind == _CODED}
    lacking = {item for item in coded if not sizes & found.get(item, set())}
    return (lacking, min(of_main)) if of_main else (set(), 0)


def _grown(boxes: Boxes, meta: memoryview, lacking: set[int], number: int) -> bytes:
    """The box `meta` whose pictures that lack a size are described by box `number` as well."""
    parts = [bytes(meta[:4])]
    for kind, content in boxes.inside(meta[4:]):
        body = bytes(content)
        if kind == b"iprp":
            body = b"".join(
                _box(name, _associated(inner, lacking, number) if name == b"ipma" else bytes(inner))
                for name, inner in boxes.inside(content)
            )
        parts.append(_box(kind, body))
    return _box(b"meta", b"".join(parts))


def _associated(table: memoryview, lacking: set[int], number: int) -> bytes:
    """A box `ipma` with that further place for its items that lack one, in its wide form."""
    rows = []
    known = list(read_associations(table))
    for item, places in known:
        marks = [*places, (False, number)] if item in lacking else places
        rows.append(item.to_bytes(4, "big") + bytes([len(marks)]))
        rows += [(essential << 15 | place).to_bytes(2, "big") for essential, place in marks]
    return b"\1\0\0\1" + len(known).to_bytes(4, "big") + b"".join(rows)


def _box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body
