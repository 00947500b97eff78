"""What the header tells, and what is refused before a pixel is decoded."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat, UnsupportedShape
from service.pictures import Limits, inspect
from tests.service.pictures.files import (
    alpha_pixels,
    bmp_in_runs,
    box,
    color_pixels,
    exif_block,
    grey_pixels,
    pillow_file,
    png_chunk,
    png_file,
    tiff_file,
)

COLOR, GREY = color_pixels(), grey_pixels()
RGBA = np.dstack((COLOR, alpha_pixels()))
FRAMES = [Image.fromarray(np.roll(COLOR, 8 * i, axis=1)) for i in range(3)]


@pytest.mark.parametrize(
    ("data", "format", "bits", "colour", "has_alpha", "is_animated"),
    [
        (pillow_file(COLOR, "JPEG"), "jpeg", 8, "rgb", False, False),
        (pillow_file(GREY, "JPEG"), "jpeg", 8, "grey", False, False),
        (pillow_file(Image.fromarray(COLOR).convert("CMYK"), "JPEG"), "jpeg", 8, "cmyk", False, False),
        (pillow_file(COLOR, "JPEG", progressive=True), "jpeg", 8, "rgb", False, False),
        (pillow_file(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]), "jpeg", 8, "rgb", False, False),
        (pillow_file(COLOR, "PNG"), "png", 8, "rgb", False, False),
        (pillow_file(RGBA, "PNG"), "png", 8, "rgb", True, False),
        (pillow_file(grey_pixels(16), "PNG"), "png", 16, "grey", False, False),
        (pillow_file(Image.fromarray(GREY).convert("1"), "PNG"), "png", 8, "grey", False, False),
        (pillow_file(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "png", 8, "rgb", False, True),
        (pillow_file(COLOR, "WEBP"), "webp", 8, "rgb", False, False),
        (pillow_file(COLOR, "WEBP", lossless=False), "webp", 8, "rgb", False, False),
        (pillow_file(RGBA, "WEBP"), "webp", 8, "rgb", True, False),
        (pillow_file(RGBA, "WEBP", lossless=False), "webp", 8, "rgb", True, False),
        (pillow_file(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), "webp", 8, "rgb", None, True),
        (pillow_file(COLOR, "AVIF"), "avif", 8, "rgb", False, False),
        (pillow_file(RGBA, "AVIF"), "avif", 8, "rgb", True, False),
        (pillow_file(COLOR, "TIFF"), "tiff", 8, "rgb", False, False),
        (tiff_file(color_pixels(16), photometric="rgb", byteorder=">"), "tiff", 16, "rgb", False, False),
        (pillow_file(COLOR, "BMP"), "bmp", 8, "rgb", False, False),
        (pillow_file(GREY, "BMP"), "bmp", 8, "grey", False, False),
        (pillow_file(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "gif", 8, "rgb", False, False),
    ],
)
def test_header(data, format, bits, colour, has_alpha, is_animated) -> None:
    header = inspect(data)
    assert (header.format, header.bits, header.colour) == (format, bits, colour)
    assert (header.width, header.height, header.pixels) == (72, 48, 3456)
    assert header.is_animated is is_animated
    assert has_alpha is None or header.has_alpha is has_alpha


@pytest.mark.parametrize(
    ("sampling", "name"), [(0, "444"), (1, "422"), (2, "420"), ("4:1:1", "411"), ("4:4:0", "440")]
)
def test_subsampling_of_jpegs(sampling, name) -> None:
    if sampling in ("4:1:1", "4:4:0"):
        data = simplejpeg.encode_jpeg(COLOR, colorsubsampling=name)
    else:
        data = pillow_file(COLOR, "JPEG", subsampling=sampling)
    assert inspect(data).subsampling == name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_those_of_the_upright_picture(orientation: int) -> None:
    header = inspect(pillow_file(COLOR, "JPEG", exif=exif_block(orientation)))
    assert (header.width, header.height) == ((48, 72) if orientation >= 5 else (72, 48))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is no picture", "text"),
        (b'{"image": "..."}', "text"),
        ("grüße".encode() * 200, "text"),
        (pillow_file(COLOR, "JPEG")[:100], "JPEG"),
        (pillow_file(COLOR, "PNG")[:20], "PNG"),
        (pillow_file(COLOR, "WEBP")[:18], "WEBP"),
        (pillow_file(COLOR, "GIF")[:12], "GIF"),
        (pillow_file(COLOR, "TIFF")[:9], "TIFF"),
        (pillow_file(COLOR, "BMP")[:20], "BMP"),
        (pillow_file(COLOR, "AVIF")[:40], "AVIF"),
        (b"\xff\xd8\xff\xd9", "JPEG"),
        (b"\xff\xd8\xff" + bytes(100), "JPEG"),
    ],
)
def test_unreadable_headers(data: bytes, message: str) -> None:
    with pytest.raises(UnreadablePicture, match=message):
        inspect(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "video"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "video"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "AVI"),
        (pillow_file(COLOR, "JPEG2000"), "JPEG 2000"),
        (pillow_file(COLOR, "ICO"), "icon"),
        (pillow_file(COLOR, "PPM"), "Netpbm"),
        (b"II+\0" + bytes(20), "BigTIFF"),
        (b"8BPS\0\1" + bytes(20), "Photoshop"),
        (bytes(range(256)), "unknown"),
        (tiff_file(COLOR.astype(np.float32), photometric="rgb"), "floating-point"),
        (tiff_file(GREY.astype(np.uint32)), "32 bits"),
        (bmp_in_runs(72, 48), "run-length"),
    ],
)
def test_unsupported_kinds_are_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=name):
        inspect(data)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((20_000, 20_000), r"20000x20000.*400\.0 million.*67\.2 million"),
        ((1_000_000, 1), "each side must have at least 16"),
        ((15, 60), "each side must have at least 16"),
        ((16, 129), r"129x16, 8\.1:1.*8:1"),
    ],
)
def test_shapes_beyond_the_limits(size: tuple[int, int], message: str) -> None:
    with pytest.raises(UnsupportedShape, match=message):
        inspect(png_file(np.zeros((1, 3, 3), np.uint8), 2, size=size))


def test_limits_are_inclusive_and_settable() -> None:
    data = pillow_file(COLOR, "PNG")
    assert inspect(data, Limits(max_pixels=3456, smallest_side=48, longest_ratio=1.5)).pixels == 3456
    for limits in (Limits(max_pixels=3455), Limits(smallest_side=49), Limits(longest_ratio=1.49)):
        with pytest.raises(UnsupportedShape):
            inspect(data, limits)


def _gif_of_frames(count: int, comment_blocks: int = 0) -> bytes:
    file = pillow_file(Image.fromarray(GREY), "GIF")
    frame = file[file.index(b"\x2c") : -1]
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * comment_blocks + b"\0" if comment_blocks else b""
    return file[: file.index(b"\x2c")] + comment + frame * count + b";"


def _tiff_whose_tags_share_bytes() -> bytes:
    file = pillow_file(Image.fromarray(np.zeros((512, 512, 3), np.uint8)), "TIFF")
    tags = b"".join(struct.pack("<HHII", 40_000 + i, 1, len(file) - 8, 8) for i in range(900))
    return struct.pack("<2sHI", b"II", 42, len(file)) + file[8:] + struct.pack("<H", 900) + tags + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        _gif_of_frames(10_000),
        _gif_of_frames(1, comment_blocks=60_000),
        _tiff_whose_tags_share_bytes(),
        png_file(COLOR, 2, chunks=(png_chunk(b"tEXt", b"k\0v"),) * 100_000),
        png_file(COLOR, 2, chunks=(png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(200_000_000), 9)),)),
        b"\xff\xd8" + b"\xff\xe5\x00\x02" * 1_000_000,
        b"RIFF\0\0\0\0WEBP" + b"ANMF\0\0\0\0" * 1_000_000,
        box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(b"free") * 1_000_000,
    ],
    ids=["frames", "comment", "shared tags", "chunks", "profile bomb", "segments", "animation frames", "boxes"],
)
def test_headers_cost_little_whatever_they_claim(data: bytes) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    with contextlib.suppress(UnreadablePicture):
        inspect(data)
    took, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1.0
    assert peak < 20_000_000


def test_a_progressive_jpeg_of_very_many_scans_is_refused() -> None:
    file = pillow_file(COLOR, "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    with pytest.raises(UnreadablePicture, match="scans"):
        inspect(file[:last] + file[last:-2] * 200 + file[-2:])
