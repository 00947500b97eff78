"""Files inside Qt resources: plain and compressed, and resources that are none."""

from __future__ import annotations

import struct
import zlib

import pytest
import zstandard

from training.datasets._qt_resources import list_resource, read_resource


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


FILES = {"plain.jpg": (b"\x01\x02", 0), "zlib.png": (b"ab" * 500, 1), "zstd.webp": (b"cd" * 500, 4)}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_come_out_as_they_went_in(version: int) -> None:
    content = resource(FILES, version)
    assert list_resource(content) == [f"/d/{name}" for name in FILES]
    found = read_resource(content, {f"/d/{name}" for name in FILES} | {"/d/none"})
    assert found == {f"/d/{name}": body for name, (body, _) in FILES.items()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF" + b"\0" * 40, "does not begin with 'qres'"),
        (b"qres", "does not begin with 'qres'"),
        (resource(FILES, 1)[:90], "damaged"),
        (b"qres" + struct.pack(">IIIII", 9, 24, 24, 24, 0), "version 9"),
        (b"qres" + struct.pack(">IIIII", 1, 24, 24, 24, 0) + struct.pack(">IHII", 0, 2, 5, 0), "holds itself"),
    ],
)
def test_what_is_no_resource_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_resource(content, {"/d/plain.jpg", "/d/zlib.png"})
