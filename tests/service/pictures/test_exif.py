"""EXIF blocks: turned, freed of places and thumbnails in place, and harmless when made to harm."""

from __future__ import annotations

import struct
import time

import pytest
from PIL import Image

from service.pictures import inspect
from service.pictures._directories import Value, first_directory, write_directory, write_header
from service.pictures._exif import orientation, upright, without_location
from tests.service.pictures.files import color_pixels, exif_block, pillow_file, png_chunk, png_file


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


MAKER = struct.pack("<HHII", 0x010F, 2, 4, 0x00636261)


def block_of(*entries: bytes, size: int = 0) -> bytes:
    """A block of one directory, zeros behind it."""
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)).ljust(size, b"\0")


def test_a_block_of_several_places_goes_with_them() -> None:
    place = struct.pack("<HHII", 0x8825, 4, 1, 100)
    assert without_location(block_of(MAKER, place, size=120)) is not None
    assert without_location(block_of(MAKER, place, place, size=120)) is None


def test_places_of_an_unknown_type_go_too() -> None:
    block = without_location(block_of(MAKER, struct.pack("<HHII", 0x8825, 99, 1, 100), size=120))
    assert block is not None
    assert b"\x25\x88" not in block
    assert first_directory(block).raw(0x010F) == b"abc\0"


def test_a_thousand_orientations_cost_no_more_than_one_and_the_first_counts() -> None:
    turned, upside_down = (struct.pack("<HHII", 0x0112, 3, 1, value) for value in (6, 3))
    block = block_of(turned, MAKER, *[upside_down] * 1022, size=1_000_000)
    assert orientation(block) == 6
    start = time.thread_time()
    result = upright(block)
    assert time.thread_time() - start < 0.1
    assert result is not None
    assert set(first_directory(result).entries) == {0x010F}


def test_blocks_beyond_a_mebibyte_count_as_absent() -> None:
    block = exif_block(6)
    for size, kept in ((2**20, True), (2**20 + 1, False)):
        header = inspect(png_file(color_pixels(), 2, chunks=(png_chunk(b"eXIf", block.ljust(size, b"\0")),)))
        assert (header.exif is not None) == kept
        assert header.orientation == (6 if kept else 1)


@pytest.mark.parametrize(("tag", "kind"), [(270, 7), (274, 3)], ids=["description", "orientation"])
def test_a_tiff_that_says_more_than_a_mebibyte_keeps_its_orientation(tag: int, kind: int) -> None:
    large = Value(kind, (2**20 + 2) // (1 if kind == 7 else 2), b"\6\0" * (2**19 + 1))
    file = pillow_file(color_pixels(), "TIFF", exif=exif_block(6))
    directory = first_directory(file)
    tags = {known: directory.value(known) for known in directory.entries} | {tag: large}
    header = inspect(write_header("little", len(file)) + file[8:] + write_directory(tags, "little", len(file)))
    assert header.orientation == 6
    assert len(header.exif or b"") < 1000


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
