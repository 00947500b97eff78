"""Files that announce a smaller picture than they hold: what the limits are asked about is what is decoded."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedShape
from service.pictures import Limits, decode, inspect
from service.pictures._codecs._av1 import frame_pixels
from service.pictures._codecs._iso_media import av1_data
from tests.service.pictures.files import (
    alpha_pixels,
    avif_announcing,
    box,
    color_pixels,
    pillow_file,
    png_file,
    tiff_file,
    tiff_repeating,
    webp_announcing,
)

RGBA = np.dstack((color_pixels(), alpha_pixels()))
FRAMES = [Image.fromarray(np.roll(color_pixels(), 8 * i, axis=1)) for i in range(3)]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tag", [256, 257, 258, 277, 273])
def test_a_tiff_that_says_twice_how_it_is_stored_is_refused(bits: int, tag: int) -> None:
    file = tiff_file(color_pixels(bits), photometric="rgb")
    with pytest.raises(UnreadablePicture, match=rf"tag {tag} more than once"):
        inspect(tiff_repeating(file, tag, 16))


def test_a_second_value_of_an_unknown_type_counts_too() -> None:
    file = bytearray(tiff_repeating(tiff_file(color_pixels(16), photometric="rgb"), 256, 16))
    first = file.rindex(b"\x00\x01\x04\x00\x01\x00\x00\x00\x10") - 12
    file[first + 2] = 17  # a signed long of 8 bytes, which libtiff reads
    with pytest.raises(UnreadablePicture, match="tag 256 more than once"):
        inspect(bytes(file))


def test_a_tiff_that_says_twice_who_wrote_it_is_read() -> None:
    file = tiff_file(color_pixels(16), photometric="rgb", software="Nightlift")
    assert np.array_equal(decode(tiff_repeating(file, 305, 0)).pixels, color_pixels(16))


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_is_as_large_as_its_first_chunk_says(lossless: bool) -> None:
    file = webp_announcing(pillow_file(color_pixels(), "WEBP", lossless=lossless), 16, 16, first=False)
    assert inspect(file).pixels == 72 * 48
    with pytest.raises(UnsupportedShape):
        inspect(file, Limits(max_pixels=72 * 48 - 1))


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_whose_frame_has_another_size_is_refused(lossless: bool) -> None:
    file = pillow_file(color_pixels(), "WEBP", lossless=lossless)
    assert inspect(webp_announcing(file, 72, 48)).pixels == 72 * 48
    with pytest.raises(UnreadablePicture, match="announces 16x16 pixels, but its frame has 72x48"):
        inspect(webp_announcing(file, 16, 16))


def test_a_webp_that_begins_with_another_chunk_is_refused() -> None:
    file = pillow_file(color_pixels(), "WEBP", lossless=False)
    with pytest.raises(UnreadablePicture):
        inspect(file[:12] + b"ICCP\0\0\0\0" + file[12:])


@pytest.mark.parametrize("format", ["RGB", "RGBA", "frames"])
def test_an_avif_whose_frames_are_larger_is_refused(format: str) -> None:
    options = {"save_all": True, "append_images": FRAMES[1:]} if format == "frames" else {}
    file = pillow_file(FRAMES[0] if format == "frames" else RGBA[..., : len(format)].copy(), "AVIF", **options)
    assert inspect(file).pixels == 72 * 48
    with Image.open(io.BytesIO(avif_announcing(file, 20, 16))) as image:
        assert image.size == (20, 16)  # libavif believes it
    with pytest.raises(UnreadablePicture, match=r"announces 20x16 pixels.*3456"):
        inspect(avif_announcing(file, 20, 16))


def test_a_small_avif_of_very_many_frames_is_refused() -> None:
    frame = units((2, b""), (1, SEQUENCE), (6, FRAME))
    with pytest.raises(UnreadablePicture, match="8 times as large"):
        inspect(avif_holding(frame * 9, 16, 16))


def avif_holding(piece: bytes, width: int, height: int) -> bytes:
    """An AVIF of our encoder whose only item is exchanged for other AV1 data."""
    file = avif_announcing(pillow_file(color_pixels(), "AVIF"), width, height)
    (old,) = map(bytes, av1_data(file))
    location = file.index(b"iloc") + 8
    entry = file.index(len(old).to_bytes(4, "big"), location)
    file = file[: entry - 4] + len(file).to_bytes(4, "big") + len(piece).to_bytes(4, "big") + file[entry + 4 :]
    return file + piece


def packed(*fields: tuple[int, int]) -> bytes:
    """Values of so many bits each."""
    bits = "".join(f"{value:0{count}b}" for value, count in fields)
    return bytes(int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8))


def units(*contents: tuple[int, bytes]) -> bytes:
    """AV1 units, each of a type."""
    return b"".join(bytes((kind << 3 | 2, len(payload))) + payload for kind, payload in contents)


# 16x16, written with ten bits each; nothing else is present, and frames choose their tools.
SEQUENCE = packed((0, 3 + 1 + 1 + 1 + 1 + 5 + 12 + 5), (9, 4), (9, 4), (15, 10), (15, 10), (0, 1 + 3 + 5), (3, 2))
FRAME = packed((0, 1), (0, 2), (1, 1), (0, 2), (0, 1), (0, 32))
FRAME_OF_ITS_OWN_SIZE = packed((0, 1), (0, 2), (1, 1), (0, 2), (1, 1), (0, 32))
SHOWN_AGAIN = packed((1, 1), (0, 32))


@pytest.mark.parametrize(
    ("frame", "pixels"), [(FRAME, 256), (FRAME_OF_ITS_OWN_SIZE, 2**20), (SHOWN_AGAIN, 0)], ids=["", "own", "again"]
)
def test_a_frame_counts_as_large_as_it_could_be(frame: bytes, pixels: int) -> None:
    assert frame_pixels([memoryview(units((2, b""), (1, SEQUENCE), (6, frame)))]) == [pixels]


@pytest.mark.parametrize(
    "piece",
    [
        units((6, FRAME)),
        units((1, SEQUENCE[:6])),
        units((1, SEQUENCE))[:-1],
        units((15, b"")) * 30_000,
        b"\x0a" + b"\xff" * 9,
    ],
    ids=["no sequence", "short header", "short unit", "very many", "endless size"],
)
def test_damaged_av1_data(piece: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        frame_pixels([memoryview(piece)])


def container(location: bytes, *, body: bytes = b"", kind: bytes = b"av01") -> bytes:
    """An AVIF of one item, number 1, that lies where the `iloc` box says."""
    entry = box(b"infe", b"\2\0\0\0\0\1\0\0", kind, b"\0")
    boxes = box(b"iinf", bytes(4), b"\0\1", entry) + box(b"iloc", location)
    return box(b"meta", bytes(4), boxes, box(b"idat", body) if body else b"") + b"0123456789"


def location(*extents: tuple[int, int], version: int = 0, method: int = 0, times: int = 1) -> bytes:
    """The content of an `iloc` box: start and length of the parts of item 1, four bytes each."""
    parts = b"".join(number.to_bytes(4, "big") for extent in extents for number in extent)
    item = b"\0\1" + (bytes((0, method)) if version else b"") + b"\0\0" + len(extents).to_bytes(2, "big") + parts
    return bytes((version, 0, 0, 0, 0x44, 0)) + times.to_bytes(2, "big") + item * times


def test_the_parts_of_an_item_are_joined() -> None:
    start = len(container(location((0, 0), (0, 0)))) - 10
    assert av1_data(container(location((start + 5, 3), (start, 2)))) == [b"56701"]
    assert av1_data(container(location((1, 2), version=1, method=1), body=b"abcd")) == [b"bc"]
    assert av1_data(container(location((start, 2)), kind=b"Exif")) == []


@pytest.mark.parametrize(
    "file",
    [
        container(location((1000, 2))),
        container(location((0, 2), times=2)),
        container(location((0, 2), version=1, method=2)),
        container(location((0, 2), version=1, method=1)),
        container(location((0, 100), (0, 100))),
        container(bytes((0, 0, 0, 0, 0, 0, 0xFF, 0xFF)) + b"\0\1\0\0\xff\xff" * 0xFFFF),
        box(b"moov", box(b"free") * 30_000),
    ],
    ids=["outside", "twice", "in another", "no body", "overlapping", "parts", "boxes"],
)
def test_items_that_are_not_where_all_readers_look(file: bytes) -> None:
    with pytest.raises(ValueError, match=r"leaves|several|another|overlap|more than"):
        av1_data(file)


def test_opencv_has_a_limit_of_its_own_behind_ours() -> None:
    file = png_file(np.zeros((1, 3, 3), np.uint8), 2, size=(20_000, 20_000))
    code = (
        "import sys, service.pictures, cv2, numpy\n"
        "try: cv2.imdecode(numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8), -1)\n"
        "except cv2.error as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    answer = subprocess.run(
        [sys.executable, "-c", code], input=file, capture_output=True, env=environment, check=True
    )
    assert b"MAX_IMAGE_PIXELS" in answer.stdout
