"""AVIF and HEIC: clean apertures, brands, sizes of alpha, and coded pictures that are larger than announced."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import PictureFormat, decode, encode, inspect
from service.pictures._codecs._heif import hevc_pixels
from service.pictures._codecs._hevc import Units
from tests.service.pictures.files import (
    alpha_pixels,
    box,
    clean_aperture,
    color_pixels,
    heic,
    heif_described,
    pillow_file,
)

RGBA = np.dstack((color_pixels(), alpha_pixels()))


@pytest.mark.parametrize(
    ("aperture", "rows", "columns"),
    [
        (clean_aperture(40, 30), slice(9, 39), slice(16, 56)),
        (clean_aperture(40, 30, right=32, down=-18), slice(0, 30), slice(32, 72)),
        (clean_aperture(41, 30, right=1), slice(9, 39), slice(16, 57)),
    ],
)
@pytest.mark.parametrize("pixels", [color_pixels(), RGBA], ids=["rgb", "rgba"])
def test_a_clean_aperture_is_cut_out(pixels: np.ndarray, aperture: bytes, rows: slice, columns: slice) -> None:
    file = pillow_file(pixels, "AVIF")
    whole, part = decode(file), decode(heif_described(file, add=(aperture,)))
    assert np.array_equal(part.pixels, whole.pixels[rows, columns])
    assert part.pixels.flags.c_contiguous
    assert whole.alpha is None or np.array_equal(part.alpha, whole.alpha[rows, columns])
    header = inspect(heif_described(file, add=(aperture,)))
    assert (header.height, header.width) == part.pixels.shape[:2]


def test_the_aperture_is_cut_before_the_picture_is_turned() -> None:
    file = heif_described(pillow_file(color_pixels(), "AVIF"), add=(clean_aperture(40, 30), box(b"irot", b"\1")))
    upright = decode(pillow_file(color_pixels(), "AVIF")).pixels[9:39, 16:56]
    assert np.array_equal(decode(file).pixels, np.rot90(upright))


@pytest.mark.parametrize(
    "aperture",
    [clean_aperture(100, 30), clean_aperture(40, 30, right=90), clean_aperture(40, 30, right=1)],
    ids=["larger", "outside", "half a pixel"],
)
def test_an_aperture_that_makes_no_sense_is_ignored(aperture: bytes) -> None:
    file = pillow_file(color_pixels(), "AVIF")
    assert np.array_equal(decode(heif_described(file, add=(aperture,))).pixels, decode(file).pixels)


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_alpha_is_exact(quality: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 72), np.uint8)
    picture = decode(pillow_file(np.dstack((color_pixels(), noise)), "PNG"))
    answer = decode(encode(picture, format=PictureFormat.AVIF, quality=quality))
    assert np.array_equal(answer.alpha, noise)


def test_alpha_needs_no_size_of_its_own() -> None:
    file = pillow_file(RGBA, "AVIF")
    changed = heif_described(file, alpha_without=b"ispe")
    assert len(changed) == len(file) - 1
    with pytest.raises(Exception, match="cannot identify"):
        Image.open(io.BytesIO(changed))
    expected, picture = decode(file), decode(changed)
    assert np.array_equal(picture.pixels, expected.pixels)
    assert np.array_equal(picture.alpha, expected.alpha)


def renamed(file: bytes, brand: bytes) -> bytes:
    """The file with one brand alone, which says nothing of its coding."""
    size = int.from_bytes(file[:4], "big")
    return file[:8] + brand + file[12:16] + brand * ((size - 16) // 4) + file[size:]


def test_the_coding_decides_where_the_brands_do_not() -> None:
    for file, format in ((pillow_file(RGBA, "AVIF"), "avif"), (heic(color_pixels()), "heic")):
        picture = decode(renamed(file, b"mif1"))
        assert picture.format == format
        assert np.array_equal(picture.pixels, decode(file).pixels)


@pytest.mark.parametrize(
    ("coding", "name"), [(b"j2k1", "JPEG 2000"), (b"vvc1", "H.266"), (b"abcd", "way of its own")]
)
def test_other_codings_are_named(coding: bytes, name: str) -> None:
    file = renamed(pillow_file(color_pixels(), "AVIF"), b"mif1")
    start = file.index(b"infe")
    with pytest.raises(UnsupportedFormat, match=name):
        inspect(file[:start] + file[start:].replace(b"av01", coding, 1))


@pytest.mark.parametrize("size", [(48, 72), (250, 513)])
def test_the_size_of_hevc_is_that_of_its_parameters(size: tuple[int, int]) -> None:
    (pixels,) = hevc_pixels(heic(np.zeros((*size, 3), np.uint8)), Units())
    assert size[0] * size[1] <= pixels <= (size[0] + 63) * (size[1] + 63)


def test_a_heic_whose_picture_is_larger_than_announced_is_refused() -> None:
    file = heic(np.zeros((2000, 3000, 3), np.uint8))
    lying = file.replace(struct.pack(">II", 3000, 2000), struct.pack(">II", 64, 48))
    assert lying != file
    with pytest.raises(UnreadablePicture, match="coded pictures"):
        inspect(lying)


def test_a_gain_map_is_seen() -> None:
    file = pillow_file(color_pixels(), "AVIF")
    kind = box(b"auxC", bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0")
    assert not inspect(file).has_gain_map
    assert inspect(heif_described(file, add=(kind,))).dropped == ("gain-map",)


def test_a_grey_heic_and_one_with_alpha() -> None:
    picture = decode(heic(RGBA))
    assert np.abs(picture.alpha.astype(int) - alpha_pixels()).max() <= 4
    assert inspect(heic(RGBA)).has_alpha
