"""Lines of the list of free pictures, and Qt resources, as tests need them."""

from __future__ import annotations

import hashlib
import struct
import zlib

import zstandard

from training.datasets.open_sources import Source


def resource(files: dict[str, tuple[bytes, int]], version: int = 3) -> bytes:
    """A resource with one folder `/d` that holds these files: bytes, and the flag of their compression (0, 1, 4)."""
    names, places, data, offsets = b"", {}, b"", {}
    for name in ["d", *files]:
        places[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    for name, (body, flag) in files.items():
        packed = {0: body, 1: struct.pack(">I", len(body)) + zlib.compress(body)}
        stored = packed[flag] if flag in packed else zstandard.compress(body)
        offsets[name] = len(data)
        data += struct.pack(">I", len(stored)) + stored
    stamp = b"\0" * 8 if version >= 2 else b""
    tree = struct.pack(">IHII", 0, 2, 1, 1) + stamp
    tree += struct.pack(">IHII", places["d"], 2, len(files), 2) + stamp
    for name, (_, flag) in files.items():
        tree += struct.pack(">IHHHI", places[name], flag, 0, 0, offsets[name]) + stamp
    head = 24
    return (
        b"qres"
        + struct.pack(">IIIII", version, head, head + len(tree), head + len(tree) + len(data), 0)
        + tree
        + data
        + names
    )


def source(file: str, body: bytes, /, **changes: object) -> Source:
    known = {
        "file": file, "source": "debian", "package": "sunsets", "version": "1.0", "path": f"usr/share/{file}",
        "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "licence": "CC0-1.0", "copyleft": "no",
        "author": "A. Nobody", "link": "https://example.org", "kind": "street", "exposure": "good",
    }  # fmt: skip
    return Source.model_validate(known | changes)
