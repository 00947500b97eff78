"""What decoding costs is bounded before it starts: data that inflate, or are passed over, without end are refused."""

from __future__ import annotations

import time
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import decode, inspect
from service.pictures._codecs._bits import Bits
from service.pictures._codecs._hevc import Units, data_pixels
from service.pictures._codecs._iso_media import av1_data
from tests.service.pictures.files import box, color_pixels, pillow_file, png_chunk, png_file, tiff_file


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
