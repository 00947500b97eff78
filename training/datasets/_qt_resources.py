"""Read the files inside a Qt binary resource (`.rcc`).

The layout is that of Qt's resource compiler `rcc` (qtbase, src/tools/rcc), versions 1 to 3: a header of offsets, a
tree of nodes, a table of names in UTF-16, and the files' bytes, each plain or compressed by zlib or Zstandard.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

MAGIC = b"qres"

COMPRESSED, DIRECTORY, COMPRESSED_ZSTANDARD = 1, 2, 4
"""Flags of a node."""

LARGEST = 1 << 28
"""Bytes of a file after decompression, at most."""


def read_resource(content: bytes, wanted: set[str]) -> dict[str, bytes]:
    """Bytes of the wanted files by path; what is not there is left out.

    Args:
        content: the whole `.rcc`.
        wanted: paths inside, such as `/gcompris/src/activities/erase/resource/ocean.webp`.

    Raises:
        ValueError: this is not a Qt resource, or it is damaged, or a file inside is too large.
    """
    if content[:4] != MAGIC or len(content) < 20:
        raise ValueError("this is not a Qt resource: it does not begin with 'qres'")
    try:
        return {path: _body(content, node) for path, node in _files(content) if path in wanted}
    except (struct.error, zlib.error, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"the Qt resource is damaged: {error}") from error


def list_resource(content: bytes) -> list[str]:
    """Paths of all files inside, in the order of the tree."""
    return [path for path, _ in _files(content)]


def _files(content: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """Path of each file, with its flags and where its bytes begin."""
    version, tree, data, names = struct.unpack_from(">IIII", content, 4)
    if version not in (1, 2, 3):
        raise ValueError(f"Qt resources of version {version} are not known; 1 to 3 are")
    size = 22 if version >= 2 else 14  # version 2 added the time of modification
    waiting = [(0, "")]
    while waiting:
        number, path = waiting.pop()
        node = tree + number * size
        name, flags = struct.unpack_from(">IH", content, node)
        if number:
            path = f"{path}/{_name(content, names + name)}"
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">II", content, node + 6)
            if first <= number and count:
                raise ValueError("the Qt resource is damaged: a folder holds itself")
            waiting += [(child, path) for child in reversed(range(first, first + count))]
        else:
            yield path, (flags, data + struct.unpack_from(">I", content, node + 10)[0])


def _name(content: bytes, start: int) -> str:
    (length,) = struct.unpack_from(">H", content, start)
    return content[start + 6 : start + 6 + 2 * length].decode("utf-16-be")  # between them lies a hash


def _body(content: bytes, node: tuple[int, int]) -> bytes:
    flags, start = node
    (size,) = struct.unpack_from(">I", content, start)
    body = content[start + 4 : start + 4 + size]
    if len(body) < size:
        raise ValueError("the Qt resource is damaged: it ends within a file")
    if flags & COMPRESSED:
        return _inflated(body[4:])  # the first four bytes are the size
    if flags & COMPRESSED_ZSTANDARD:
        import zstandard  # heavy for everybody who has no such file

        try:
            return zstandard.ZstdDecompressor().decompress(body, max_output_size=LARGEST)
        except zstandard.ZstdError as error:
            raise ValueError(f"the Qt resource is damaged: {error}") from error
    return body


def _inflated(body: bytes) -> bytes:
    engine = zlib.decompressobj()
    content = engine.decompress(body, LARGEST)
    if engine.unconsumed_tail:
        raise ValueError(f"a file inside the Qt resource has more than {LARGEST} bytes")
    return content
