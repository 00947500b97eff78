"""What goes out: round trips by format, depth, grey and alpha, and what becomes of metadata."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from service.errors import InvalidParameter
from service.pictures import WRITTEN_FORMATS, Metadata, Picture, PictureFormat, decode, encode, inspect
from tests.service.pictures.files import alpha_pixels, color_pixels, exif_block, grey_pixels, pillow_file
from tests.service.pictures.profiles import rgb_profile

JPEG, PNG, WEBP, AVIF, TIFF = WRITTEN_FORMATS
LOSSLESS = (PNG, TIFF)


def make(bits: int = 8, *, grey: bool = False, alpha: bool = False, **options) -> Picture:
    pixels = np.repeat(grey_pixels(bits)[..., None], 3, axis=2) if grey else color_pixels(bits)
    return Picture(pixels, PNG, alpha=alpha_pixels(bits) if alpha else None, is_grey=grey, **options)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_round_trip(format: PictureFormat, alpha: bool, grey: bool, bits: int) -> None:
    source = make(bits, grey=grey, alpha=alpha)
    data = encode(source, format=format, quality=95)
    assert opened(data).size == (72, 48)
    result = decode(data)
    assert result.format is format
    assert result.bits == (bits if format in LOSSLESS else 8)
    assert (result.alpha is not None) == (alpha and format is not JPEG)
    if format is JPEG and alpha:
        return  # on white, below
    scale = 257 if result.bits < bits else 1
    tolerance = 0 if format in LOSSLESS else 16
    assert np.abs(result.pixels - source.pixels / scale).max() <= tolerance + (scale > 1)
    if alpha:
        assert np.abs(result.alpha - source.alpha / scale).max() <= tolerance + (scale > 1)


@pytest.mark.parametrize(
    ("format", "bits", "alpha", "mode"),
    [
        (JPEG, 8, False, "L"),
        (PNG, 8, False, "L"),
        (PNG, 8, True, "LA"),
        (PNG, 16, False, "I;16"),
        (TIFF, 8, False, "L"),
        (TIFF, 8, True, "LA"),
        (TIFF, 16, False, "I;16"),
        (AVIF, 8, False, "L"),
    ],
)
def test_grey_is_written_as_one_channel(format, bits, alpha, mode) -> None:
    assert opened(encode(make(bits, grey=True, alpha=alpha), format=format)).mode == mode


def test_grey_that_an_enhancement_tinted_is_written_as_its_luma() -> None:
    tinted = dataclasses.replace(make(grey=True), pixels=np.full((48, 72, 3), (100, 110, 90), np.uint8))
    levels = np.unique(np.asarray(opened(encode(tinted, format=PNG))))
    assert levels.tolist() == [round(0.299 * 100 + 0.587 * 110 + 0.114 * 90)]


@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bit_tiff_is_read_alike_by_tifffile(alpha: bool) -> None:
    for exif in (None, exif_block(), _big_endian(exif_block())):
        data = encode(make(16, alpha=alpha, exif=exif), format=TIFF)
        planes = tifffile.imread(io.BytesIO(data))
        assert np.array_equal(planes[..., :3], color_pixels(16))
        assert not alpha or np.array_equal(planes[..., 3], alpha_pixels(16))


def _big_endian(block: bytes) -> bytes:
    exif = Image.Exif()
    exif.load(block)
    exif.endian = ">"
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_gets_alpha_on_white(bits: int, grey: bool) -> None:
    source = make(bits, grey=grey, alpha=True)
    share = source.alpha[..., None] / source.alpha.max()
    expected = 255 * (1 - share) + share * source.pixels / (257 if bits == 16 else 1)
    result = decode(encode(dataclasses.replace(source, subsampling="444"), format=JPEG, quality=98))
    assert np.abs(result.pixels - expected).max() <= 6


@pytest.mark.parametrize("name", ["444", "422", "420", "440", "411"])
def test_chroma_subsampling_of_the_input_is_kept(name: str) -> None:
    assert inspect(encode(make(subsampling=name), format=JPEG)).subsampling == name
    assert inspect(encode(make(), format=JPEG)).subsampling == "420"


def test_quality_matters() -> None:
    for format in (JPEG, WEBP, AVIF):
        assert len(encode(make(), format=format, quality=30)) < len(encode(make(), format=format, quality=98))


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_quality_out_of_range(quality: int) -> None:
    with pytest.raises(InvalidParameter, match="between 1 and 100"):
        encode(make(), format=JPEG, quality=quality)


def test_formats_that_are_not_written() -> None:
    with pytest.raises(InvalidParameter, match="jpeg, png, webp, avif, tiff"):
        encode(make(), format=PictureFormat.GIF)


@pytest.mark.parametrize("metadata", Metadata)
@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_metadata(format: PictureFormat, metadata: Metadata) -> None:
    thumbnail = pillow_file(np.zeros((8, 8, 3), np.uint8), "JPEG")
    source = decode(
        pillow_file(color_pixels(), "JPEG", exif=exif_block(6, thumbnail=thumbnail), icc_profile=rgb_profile())
    )
    data = encode(source, format=format, metadata=metadata)
    image = opened(data)
    exif = image.getexif()
    # The profile stays even when stripped: the colours would be wrong without.
    assert image.info["icc_profile"] == rgb_profile()
    assert b"N\0" in data if metadata is Metadata.KEEP else not exif.get_ifd(0x8825)
    assert exif.get(0x0112, 1) == 1
    assert image.size == (48, 72)
    if metadata is Metadata.STRIP:
        assert 0x010F not in exif
        assert not exif.get_ifd(0x8769)
    else:
        assert exif[0x010F] == "Nightlift Optical"
        details = exif.get_ifd(0x8769)
        assert details[0x9003] == "2026:11:21 08:00:00"
        assert details[0x829A] == 0.5
        assert (details[0xA002], details[0xA003]) == (48, 72)
        assert dict(exif.get_ifd(0x8825)) == ({1: "N", 2: (59.0, 19.0, 33.25)} if metadata is Metadata.KEEP else {})
    assert thumbnail not in data


def test_stripping_drops_a_profile_that_is_srgb_anyway() -> None:
    srgb = make(icc=None)
    assert "icc_profile" not in opened(encode(srgb, format=PNG, metadata=Metadata.STRIP)).info


def test_exif_too_large_for_jpeg_is_left_out() -> None:
    block = exif_block() + bytes(70_000)
    assert "exif" not in opened(encode(make(exif=block), format=JPEG)).info
    assert opened(encode(make(exif=block), format=PNG)).getexif()[0x010F] == "Nightlift Optical"


def test_a_large_profile_is_written_in_parts() -> None:
    profile = rgb_profile() + bytes(150_000)
    data = encode(make(icc=profile), format=JPEG)
    assert opened(data).info["icc_profile"] == profile
    assert inspect(data).icc == profile


@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_again_and_again_nothing_is_lost(format: PictureFormat) -> None:
    source = make(exif=exif_block(), icc=rgb_profile())
    once = decode(encode(source, format=format, metadata=Metadata.KEEP))
    twice = decode(encode(once, format=format, metadata=Metadata.KEEP))
    assert once.icc == twice.icc == rgb_profile()
    assert once.exif == twice.exif
    assert once.exif is not None


@pytest.mark.parametrize("format", WRITTEN_FORMATS)
def test_grey_that_is_stored_as_rgb_stays_grey(format: PictureFormat) -> None:
    rgb = np.repeat(grey_pixels()[..., None], 3, axis=2)
    picture = decode(pillow_file(rgb, "JPEG"))
    assert picture.is_neutral
    assert not picture.is_grey
    tinted = dataclasses.replace(picture, pixels=np.clip(picture.pixels * (1.5, 1.4, 1.6), 0, 255).astype(np.uint8))
    answer = opened(encode(tinted, format=format))
    assert answer.mode == "RGB"
    levels = np.asarray(answer).astype(int)
    assert np.abs(levels - levels[..., :1]).max() <= (format is WEBP)
    assert decode(encode(tinted, format=format)).is_neutral


def test_one_coloured_pixel_makes_a_picture_coloured() -> None:
    rgb = np.repeat(grey_pixels()[..., None], 3, axis=2)
    rgb[-1, -1, 2] ^= 1
    assert not decode(pillow_file(rgb, "PNG")).is_neutral
