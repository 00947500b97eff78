"""Where AVIF and HEIC keep their coded data (ISO/IEC 14496-12 and 23008-12).

Decoders choose among a file's pieces by long rules that change between versions. So every piece that a decoder could
choose is returned, and files that two decoders might read differently are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

_AV1 = b"av01"
_MAX_BOXES = 10_000
_MAX_EXTENTS = 20_000


def av1_data(data: bytes) -> list[memoryview]:
    """The data of all items of type av01, and of the first samples of all tracks that may have such.

    Raises:
        ValueError: the file's structure is damaged, ambiguous, or cut into very many parts.
    """
    boxes, file = Boxes(), memoryview(data)
    pieces: list[memoryview] = []
    for meta in boxes.at(file, b"meta"):
        pieces += _items(boxes, file, meta[4:], _AV1)
    for table in boxes.at(file, b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        pieces += _first_samples(boxes, file, table)
    return pieces


def item_data(data: bytes, kind: bytes) -> list[memoryview]:
    """The data of all items of a type; ValueError as for `av1_data`."""
    boxes, file = Boxes(), memoryview(data)
    return [piece for meta in boxes.at(file, b"meta") for piece in _items(boxes, file, meta[4:], kind)]


def kinds(boxes: Boxes, meta: memoryview) -> dict[int, bytes]:
    """The coding of every item (ISO/IEC 14496-12, section 8.11.6)."""
    found = {}
    for information in boxes.at(meta, b"iinf"):
        for entry in boxes.at(information[6 if information[0] == 0 else 8 :], b"infe"):
            fields = Fields(entry)
            version = fields.take(4) >> 24
            item = fields.take(2 if version < 3 else 4)
            fields.take(2)
            found[item] = fields.bytes(4)
    return found


class Boxes:
    """Reads boxes, of one file a bounded number."""

    def __init__(self) -> None:
        self._left = _MAX_BOXES

    def at(self, view: memoryview, *path: bytes) -> Iterator[memoryview]:
        """The contents of all boxes of the last type of a path, in all boxes of the type before it, and so on."""
        for kind, content in self.inside(view):
            if kind == path[0]:
                yield from self.at(content, *path[1:]) if len(path) > 1 else (content,)

    def inside(self, view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
        """Types and contents of the boxes that lie one after the other."""
        while len(view) >= 8:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {_MAX_BOXES} boxes")
            fields = Fields(view)
            size, kind, head = fields.take(4), fields.bytes(4), 8
            if size == 1:
                size, head = fields.take(8), 16
            elif size == 0:
                size = len(view)
            if not head <= size <= len(view):
                return  # nobody can read on from here; files with something behind their end are sound
            yield kind, view[head:size]
            view = view[size:]


class Fields:
    """Big-endian integers one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._position = 0

    def bytes(self, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        if self._position > len(self._view):
            raise ValueError("a box is cut short")
        return bytes(self._view[start : self._position])

    def take(self, size: int) -> int:
        return int.from_bytes(self.bytes(size), "big")


def _items(boxes: Boxes, file: memoryview, meta: memoryview, kind: bytes) -> Iterator[memoryview]:
    coded = {item for item, coding in kinds(boxes, meta).items() if coding == kind}
    bodies = list(boxes.at(meta, b"idat"))
    seen = set()
    copied = 0
    for item, is_inside, extents in _locations(boxes, meta):
        if item in seen or (is_inside and len(bodies) != 1):
            raise ValueError(f"item {item} lies in several places")
        seen.add(item)
        if item in coded:
            parts = [_cut(bodies[0] if is_inside else file, start, size) for start, size in extents]
            if len(parts) > 1:
                copied += sum(map(len, parts))
                if copied > len(file):
                    raise ValueError(f"the items overlap: they take more than {len(file)} bytes")
            yield parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _locations(boxes: Boxes, meta: memoryview) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """Items, whether they lie inside of the meta box, and the start and size of their parts (section 8.11.3)."""
    left = _MAX_EXTENTS
    for location in boxes.at(meta, b"iloc"):
        fields = Fields(location)
        version, sizes = fields.take(4) >> 24, fields.take(2)
        start_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        for _ in range(fields.take(2 if version < 2 else 4)):
            item = fields.take(2 if version < 2 else 4)
            method = fields.take(2) & 15 if version else 0
            if method > 1:
                raise ValueError(f"item {item} lies in another one")
            fields.take(2)
            base, count = fields.take(base_size), fields.take(2)
            left -= 1 + count
            if left < 0:
                raise ValueError(f"more than {_MAX_EXTENTS} items and parts of items")
            extents = []
            for _ in range(count):
                fields.take(index_size if version else 0)
                extents.append((base + fields.take(start_size), fields.take(length_size)))
            yield item, method == 1, extents


def _first_samples(boxes: Boxes, file: memoryview, table: memoryview) -> Iterator[memoryview]:
    """The sample where a track's first chunk begins, of all that its tables could mean (sections 8.5, 8.7)."""
    if not any(_AV1 in bytes(description) for description in boxes.at(table, b"stsd")):
        return
    starts = []
    for kind, size in ((b"stco", 4), (b"co64", 8)):
        for chunks in boxes.at(table, kind):
            fields = Fields(chunks[4:])
            if fields.take(4):
                starts.append(fields.take(size))
    tables = list(boxes.at(table, b"stsz"))
    if len(starts) > 1 or len(tables) > 1:
        raise ValueError("a track has several tables of chunks or of sizes")
    for sizes in tables:
        fields = Fields(sizes[4:])
        same, count = fields.take(4), fields.take(4)
        size = same or (fields.take(4) if count else 0)
        yield from (_cut(file, start, size) for start in starts)


def _cut(view: memoryview, start: int, size: int) -> memoryview:
    if start + size > len(view):
        raise ValueError("an item leaves the file")
    return view[start : start + size]
