"""EXIF blocks: turned, freed of places and thumbnails in place, and harmless when made to harm."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from service.pictures._directories import first_directory
from service.pictures._exif import orientation, upright, without_location
from tests.service.pictures.files import exif_block


def parsed(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif


@pytest.mark.parametrize("value", [0, 9, 255])
def test_impossible_orientations_count_as_upright(value: int) -> None:
    assert orientation(exif_block(value)) == 1


def test_without_location_leaves_no_trace_of_it_and_moves_nothing_else() -> None:
    before = exif_block(1)
    after = without_location(before)
    assert after is not None
    assert len(after) == len(before)
    assert struct.pack("<I", 3325) in before or struct.pack(">I", 3325) in before or b"N\0" in before
    assert 0x8825 not in parsed(after)
    assert parsed(after).get_ifd(0x8769) == parsed(before).get_ifd(0x8769)
    offset = parsed(before)[0x8825]
    assert set(after[offset:]) == {0}  # Pillow writes the place last


def test_a_block_of_nothing_but_a_place_vanishes() -> None:
    block = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8825, 4, 1, 26, 0)
    block += struct.pack("<HHHIII", 1, 1, 2, 2, 0x4E, 0)
    assert without_location(block) is None


def test_several_places_all_go() -> None:
    entry = struct.pack("<HHII", 0x8825, 4, 1, 100)
    keep = struct.pack("<HHII", 0x010F, 2, 4, 0x00636261)
    block = (b"II*\0" + struct.pack("<IH", 8, 3) + keep + entry + entry + bytes(4)).ljust(120, b"\0")
    assert set(first_directory(without_location(block) or b"").entries) == {0x010F}


def test_the_thumbnail_is_cut_off_at_the_end() -> None:
    block = exif_block(6, thumbnail=b"\xff\xd8thumbnail\xff\xd9")
    result = upright(block)
    assert result is not None
    assert b"thumbnail" in block
    assert b"thumbnail" not in result
    assert len(result) < len(block)
    assert first_directory(result).next_position == 0


@pytest.mark.parametrize("make", [lambda n: n, lambda n: 8], ids=["outside", "itself"])
def test_directories_that_point_to_themselves_or_outside(make) -> None:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, make(10**6)) for tag in (0x8769, 0x8825))
    block = b"II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", make(10**6))
    upright(block)
    without_location(block)


def test_values_that_share_bytes_a_thousandfold_are_refused() -> None:
    entries = b"".join(struct.pack("<HHII", 1 + i, 1, 50_000, 8) for i in range(1000))
    block = (b"II*\0" + struct.pack("<IH", 8, 1000) + entries + bytes(4)).ljust(60_000, b"\0")
    assert upright(block) is None
    assert orientation(block) == 1
