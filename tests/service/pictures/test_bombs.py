"""What decoding costs is bounded before it starts: data that inflate, or are passed over, without end are refused."""

from __future__ import annotations

import struct
import time
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import decode, inspect
from service.pictures._codecs._bits import Bits
from service.pictures._codecs._heif import hevc_pixels
from service.pictures._codecs._hevc import Units, data_pixels
from service.pictures._codecs._iso_media import av1_data
from service.pipeline import INLINE_BYTES
from tests.service.pictures.files import (
    box,
    color_pixels,
    heif_of,
    pillow_file,
    png_chunk,
    png_file,
    strips,
    tiff_file,
    tiff_of_tags,
)


def png_of(data: bytes, *, pieces: int = 1) -> bytes:
    """A PNG of 72x48 pixels with these bytes for its pixels."""
    head, end = png_file(color_pixels(), 2)[:33], png_chunk(b"IEND", b"")
    step = -(-len(data) // pieces)
    return head + b"".join(png_chunk(b"IDAT", data[i : i + step]) for i in range(0, len(data), step)) + end


def rows(extra: int = 0) -> bytes:
    return np.pad(color_pixels().reshape(48, -1), ((0, 0), (1, 0))).tobytes() + bytes(extra)


@pytest.mark.parametrize("pieces", [1, 50])
def test_pixels_that_inflate_beyond_the_picture_are_refused_at_once(pieces: int) -> None:
    bomb = png_of(zlib.compress(rows(400_000_000), 6), pieces=pieces)
    start = time.process_time()
    with pytest.raises(UnreadablePicture, match="inflate to more than twice"):
        decode(bomb)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize("extra", [0, 1, 1000])
def test_a_few_bytes_too_many_do_no_harm(extra: int) -> None:
    assert np.array_equal(decode(png_of(zlib.compress(rows(extra)))).pixels, color_pixels())


@pytest.mark.parametrize("interlaced", [False, True])
def test_large_sound_pictures_pass(interlaced: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    file = interlaced_png(noise) if interlaced else pillow_file(noise, "PNG")
    assert np.array_equal(decode(file).pixels, noise)


def interlaced_png(pixels: np.ndarray) -> bytes:
    """A PNG in seven passes (Adam7), unfiltered."""
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7]
    data = b"".join(np.pad(part.reshape(len(part), -1), ((0, 0), (1, 0))).tobytes() for part in passes)
    file = png_file(pixels[:1], 2, size=pixels.shape[:2])
    header = bytearray(file[16:29])
    header[12] = 1
    return file[:8] + png_chunk(b"IHDR", bytes(header)) + png_chunk(b"IDAT", zlib.compress(data, 1)) + file[-12:]


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def test_texts_and_profiles_are_not_inflated_with_the_pixels() -> None:
    bomb = zlib.compress(bytes(100_000_000), 9)
    chunks = (png_chunk(b"zTXt", b"x\0\0" + bomb),) * 20
    file = png_file(color_pixels(), 2, chunks=chunks)
    start = time.process_time()
    assert np.array_equal(decode(file).pixels, color_pixels())
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    ("side", "scans", "passes"), [(200, 60, True), (200, 120, False), (6000, 30, True), (6000, 60, False)]
)
def test_scans_are_bounded_by_the_pixels_that_they_pass_over(side: int, scans: int, passes: bool) -> None:
    file = pillow_file(Image.new("RGB", (side, side), (9, 9, 12)), "JPEG", progressive=True, quality=10)
    last = file.rindex(b"\xff\xda")
    file = file[:-2] + file[last:-2] * (scans - file.count(b"\xff\xda")) + file[-2:]
    if passes:
        assert inspect(file).pixels == side * side
    else:
        with pytest.raises(UnreadablePicture, match="scans"):
            inspect(file)


def test_scans_of_pictures_behind_the_first_do_not_count() -> None:
    first = Image.new("RGB", (200, 200))
    file = pillow_file(first, "MPO", save_all=True, append_images=[first] * 15, progressive=True)
    assert file.count(b"\xff\xda") > 100
    assert inspect(file).pixels == 40_000


@pytest.mark.parametrize("rest", [b"\0", b"\xd0", b""])
def test_a_run_of_fill_bytes_is_searched_once(rest: bytes) -> None:
    file = pillow_file(Image.new("RGB", (200, 200)), "JPEG", progressive=True)
    start = time.process_time()
    with suppress(UnreadablePicture):
        inspect(file[: file.rindex(b"\xff\xda") + 12] + b"\xff" * 1_000_000 + rest)
    assert time.process_time() - start < 0.5


def test_fill_bytes_before_a_marker_do_no_harm() -> None:
    file = pillow_file(color_pixels(), "JPEG", progressive=True)
    filled = file[:-2] + b"\xff" * 200_000 + file[-2:]
    assert np.array_equal(decode(filled).pixels, decode(file).pixels)


def test_units_of_hevc_are_counted_over_the_whole_file() -> None:
    units = Units()
    for _ in range(9):
        assert data_pixels(memoryview(bytes(8_000)), 4, units) == []
    with pytest.raises(ValueError, match="units of HEVC"):
        data_pixels(memoryview(bytes(16_000)), 4, units)


def test_numbers_of_more_than_32_bits_are_refused() -> None:
    assert Bits(memoryview(b"\0\0\0\0\x80\0\0\0\0")).exponential() == 2**32 - 1
    with pytest.raises(ValueError, match="32 bits"):
        Bits(memoryview(bytes(1000))).exponential()


def test_tracks_with_several_tables_are_refused() -> None:
    """Every chunk would be paired with every size."""
    chunks, sizes = (
        box(b"stco", bytes(4), *(n.to_bytes(4, "big") for n in (1, 0))),
        box(b"stsz", bytes(8), b"\0\0\0\0"),
    )
    for tables in ((chunks, chunks, sizes), (chunks, sizes, sizes)):
        table = box(b"stbl", box(b"stsd", bytes(8), box(b"av01")), *tables)
        with pytest.raises(ValueError, match="several tables"):
            av1_data(box(b"moov", box(b"trak", box(b"mdia", box(b"minf", table)))))


def test_tiffs_of_very_many_samples_are_refused() -> None:
    planes = np.zeros((48, 72, 9), np.uint8)
    with pytest.raises(UnsupportedFormat, match="9 samples a pixel; at most 5"):
        inspect(tiff_file(planes, photometric="rgb", planarconfig="contig"))
    assert inspect(tiff_file(planes[..., :5], photometric="rgb", planarconfig="contig")).pixels == 48 * 72


def tiles(
    part: bytes, compression: int, *, side: int = 256, fill_order: int = 1, sizes: tuple[int, int] = (325, 4)
) -> bytes:
    """A TIFF of 16x16 pixels a tile, all of which are the same bytes; `sizes`: tag and type of their sizes."""
    count = (side // 16) ** 2
    channels = 1 if compression == 32773 else 3
    tags = {256: [side], 257: [side], 259: [compression], 262: [2 if channels == 3 else 1], 266: [fill_order]}
    tags |= {277: [channels], 322: [16], 323: [16], 324: [8] * count}
    entries = {tag: (4, values) for tag, values in tags.items()}
    return tiff_of_tags(entries | {258: (3, [8] * channels), sizes[0]: (sizes[1], [len(part)] * count)}, part)


PACKED = b"\x81\0\x81\0" + bytes(10_000)
TILE = pillow_file(color_pixels()[:16, :16], "PNG")


@pytest.mark.parametrize("sizes", [(325, 4), (279, 4)], ids=["tile sizes", "strip sizes"])
@pytest.mark.parametrize(
    ("part", "compression", "fill_order"),
    [(TILE + bytes(10_000), 34933, 1), (PACKED, 32773, 2), (PACKED, 32773, 1)],
    ids=["files", "reversed bits", "plain"],
)
def test_tiles_that_are_the_same_bytes_again_and_again_are_refused(
    part: bytes, compression: int, fill_order: int, sizes: tuple[int, int]
) -> None:
    with pytest.raises(UnreadablePicture, match=r"tiles of \d+ bytes together.*at most 2 times"):
        inspect(tiles(part, compression, fill_order=fill_order, sizes=sizes))


@pytest.mark.parametrize("kind", [16, 17], ids=["long8", "slong8"])
def test_sizes_of_tiles_that_only_other_readers_understand_are_refused(kind: int) -> None:
    with pytest.raises(UnreadablePicture, match="tag 325"):
        inspect(tiles(PACKED, 32773, sizes=(325, kind)))


def test_equal_strips_may_lie_in_one_place() -> None:
    flat = np.full((48, 72, 3), 9, np.uint8)
    part = zlib.compress(flat[:24].tobytes())
    tags = {256: [72], 257: [48], 259: [8], 262: [2], 273: [8, 8], 277: [3], 278: [24], 279: [len(part)] * 2}
    file = tiff_of_tags({258: (3, [8] * 3), **{tag: (4, values) for tag, values in tags.items()}}, part)
    assert np.array_equal(decode(file).pixels, flat)


def test_very_many_tiles_that_are_files_are_refused() -> None:
    start = time.process_time()
    with pytest.raises(UnreadablePicture, match="more than 20000 strips or tiles"):
        decode(tiles(b"", 34933, side=2272))
    assert time.process_time() - start < 0.5


def test_texts_of_files_in_a_tiff_are_not_inflated() -> None:
    text = png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2_000_000)))
    part = png_file(color_pixels(), 2, chunks=(text,))
    assert np.array_equal(decode(strips([part], 34933, color_pixels(), 48)).pixels, color_pixels())


def test_comments_hide_no_scans() -> None:
    file = pillow_file(color_pixels(), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    comments = b"\xff\xfe\0\2" * 100_001
    with pytest.raises(UnreadablePicture, match="segments between its scans"):
        inspect(file[:last] + comments + file[last:-2] * 200 + file[-2:])


@pytest.mark.parametrize("progressive", [False, True])
def test_headers_of_small_files_are_read_in_no_time(progressive: bool) -> None:
    """The event loop reads those of up to 64 KiB."""
    comments, fill = b"\xff\xfe\0\2" * 900, b"\xff" * 20_000
    file = pillow_file(color_pixels(), "JPEG", progressive=progressive)
    last = file.rindex(b"\xff\xda")
    file = file[:2] + exif_of_many_entries() + comments + fill + file[2:last] + comments * progressive + file[last:]
    assert len(file) <= INLINE_BYTES
    times = []
    for _ in range(5):
        start = time.thread_time()
        inspect(file)
        times.append(time.thread_time() - start)
    assert min(times) < 0.015


def exif_of_many_entries() -> bytes:
    """A segment whose directories have all entries that they may have, and lie over each other."""
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0xA005, 4, 1, 8)
    entries += b"".join(struct.pack("<HHII", 0x4000 + i, 3, 1, 0) for i in range(1022))
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1024) + entries + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block


def test_what_a_heic_is_put_together_of_counts_as_often_as_it_is_decoded() -> None:
    """Whatever the order of the references: item 1 is made of 2 and 3, and these of 4, in several layers."""
    derived = {2: [4, 4, 4], 1: [2, 2, 3, 3], 3: [4]}
    for order in ((2, 1, 3), (1, 2, 3), (3, 2, 1)):
        references = [(b"dimg", item, derived[item]) for item in order]
        file = heif_of({1: b"iovl", 2: b"iden", 3: b"iden", 4: b"hvc1"}, references)
        assert sum(hevc_pixels(file, Units())) == 8 * 64 * 64


def test_alpha_of_a_part_counts() -> None:
    references = [(b"auxl", 3, [2]), (b"dimg", 1, [2])]
    file = heif_of({1: b"iden", 2: b"hvc1", 3: b"hvc1"}, references)
    assert sum(hevc_pixels(file, Units())) == 2 * 64 * 64


@pytest.mark.parametrize(
    "references",
    [
        [(b"dimg", 1, [2] * 200), (b"dimg", 2, [3] * 200)],
        [(b"dimg", 1, [2]), (b"dimg", 2, [1])],
        [(b"dimg", 1, [2] * 20_001)],
    ],
    ids=["layers", "circle", "references"],
)
def test_a_heic_put_together_of_very_many_pictures_is_refused(references: list) -> None:
    with pytest.raises(UnreadablePicture, match="more than 20000"):
        hevc_pixels(heif_of({1: b"iovl", 2: b"iden", 3: b"hvc1"}, references), Units())
