"""Files inside Qt resources: plain and compressed, and resources that are none."""

from __future__ import annotations

import struct

import pytest

from tests.open_pictures import resource
from training.datasets._qt_resources import list_resource, read_resource

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
