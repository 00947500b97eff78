"""Colours by number: primaries and transfer functions become profiles, and HDR becomes SDR."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from service.errors import UnsupportedFormat
from service.pictures import PictureFormat, decode, encode
from service.pictures._matrix_profiles import SRGB, Primaries, by_codes, by_numbers
from service.pictures._tone_mapping import to_sdr
from tests.service.pictures.files import (
    color_pixels,
    colours_by_number,
    grey_pixels,
    heif_described,
    pillow_file,
    png_chunk,
    png_file,
)
from tests.service.pictures.profiles import P3_TO_SRGB

P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
MUTED = (color_pixels() // 2 + 64).astype(np.uint8)
"""Colours that lie inside of sRGB whatever their primaries are taken for."""


def decoded_curve(code: np.ndarray) -> np.ndarray:
    """sRGB's curve (IEC 61966-2-1), 0 to 1."""
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def encoded_curve(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def png(*chunks: bytes, pixels: np.ndarray = MUTED, color_type: int = 2) -> bytes:
    return png_file(pixels, color_type, chunks=chunks)


def chrm(primaries: Primaries) -> bytes:
    points = (primaries.white, primaries.red, primaries.green, primaries.blue)
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for point in points for value in point)))


def gama(gamma: float) -> bytes:
    return png_chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


P3_BY_NUMBER = {
    "cICP": lambda: png(png_chunk(b"cICP", bytes((12, 13, 0, 1)))),
    "cICP over sRGB": lambda: png(png_chunk(b"cICP", bytes((12, 13, 0, 1))), png_chunk(b"sRGB", b"\0")),
    "nclx": lambda: heif_described(
        pillow_file(MUTED, "AVIF", quality=100).replace(b"colr", b"free"), add=(colours_by_number(12, 13),)
    ),
}


@pytest.mark.parametrize("name", P3_BY_NUMBER)
def test_p3_by_number_stays_p3(name: str) -> None:
    picture = decode(P3_BY_NUMBER[name]())
    linear = decoded_curve(picture.pixels / 255) @ P3_TO_SRGB.T
    assert np.abs(picture.srgb(picture.pixels) - 255 * encoded_curve(linear)).max() <= 2
    for format in (PictureFormat.JPEG, PictureFormat.PNG, PictureFormat.AVIF, PictureFormat.WEBP, PictureFormat.TIFF):
        image = Image.open(io.BytesIO(encode(picture, format=format)))
        assert image.info["icc_profile"] == picture.icc


def test_chromaticities_and_gamma() -> None:
    picture = decode(png(chrm(P3), gama(2.2 * 1.2)))
    linear = (MUTED / 255) ** (2.2 * 1.2) @ P3_TO_SRGB.T
    assert np.abs(picture.srgb(MUTED) - 255 * encoded_curve(linear)).max() <= 2
    only_gamma = decode(png(gama(1.0)))
    assert np.abs(only_gamma.srgb(MUTED) - 255 * encoded_curve(MUTED / 255)).max() <= 1
    grey = decode(png(gama(1.0), pixels=grey_pixels()[..., None], color_type=0))
    assert np.abs(grey.srgb(grey.pixels)[..., 0] - 255 * encoded_curve(grey_pixels() / 255)).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (gama(2.2),),
        (gama(2.2), chrm(SRGB)),
        (png_chunk(b"sRGB", b"\0"), gama(1.0), chrm(P3)),
        (png_chunk(b"cICP", bytes((1, 13, 0, 1))), gama(1.0)),
        (png_chunk(b"gAMA", bytes(4)), png_chunk(b"cHRM", bytes(32))),
        (png_chunk(b"cHRM", b"short"),),
    ],
    ids=["nothing", "usual gamma", "sRGB's numbers", "sRGB wins", "cICP wins", "zeros", "short"],
)
def test_what_is_srgb_gets_no_profile(chunks: tuple[bytes, ...]) -> None:
    picture = decode(png(*chunks))
    assert picture.is_srgb
    assert picture.icc is None


@pytest.mark.parametrize(("code", "name"), [(16, "pq"), (18, "hlg")])
def test_hdr_is_mapped_to_sdr(code: int, name: str) -> None:
    for pixels in (grey_pixels(), grey_pixels(16)):
        ramp = np.repeat(pixels[..., None], 3, axis=2)
        picture = decode(png(png_chunk(b"cICP", bytes((9, code, 0, 1))), pixels=ramp))
        assert np.array_equal(picture.pixels, to_sdr(ramp, name))
        assert picture.icc is not None
        assert not picture.is_srgb
    file = pillow_file(MUTED, "AVIF").replace(b"colr", b"free")
    plain, hdr = decode(file), decode(heif_described(file, add=(colours_by_number(9, code),)))
    assert np.array_equal(hdr.pixels, to_sdr(plain.pixels, name))


def test_the_tone_curve_is_the_one_of_the_reports() -> None:
    """Code values of BT.2100 for lights in cd/m², and what becomes of them: below the knee light stays what it is."""
    for light, pq in ((0.0, 0.0), (10.0, 0.3005), (50.0, 0.4403), (203.0, 0.5807), (1000.0, 0.7518)):
        code = np.array([round(65535 * pq)], np.uint16)
        sdr = 203 * decoded_curve(to_sdr(code, "pq") / 65535)[0]
        if light <= 50:
            assert sdr == pytest.approx(light, rel=0.02)
        else:
            assert 0.4 * light < sdr < light if light < 1000 else sdr == pytest.approx(203, rel=0.01)
    # HLG's 75 % is the reference white of BT.2408, as is PQ's 58 %.
    hlg, pq = (int(to_sdr(np.array([code], np.uint16), kind)[0]) for code, kind in ((49151, "hlg"), (38056, "pq")))
    assert abs(hlg - pq) < 400
    for kind in ("pq", "hlg"):
        curve = to_sdr(np.arange(65536, dtype=np.uint16), kind).astype(int)
        assert (np.diff(curve) >= 0).all()
        assert curve[-1] == 65535


def test_logarithmic_transfer_functions_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormat, match="logarithmic"):
        decode(png(png_chunk(b"cICP", bytes((1, 9, 0, 1)))))


def adobe_rgb_exif(index: bytes) -> bytes:
    """An EXIF block with an interoperability index, as cameras write it (DCF 2.0)."""
    return (
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0)
        + struct.pack("<HHHIII", 1, 0xA005, 4, 1, 44, 0) + struct.pack("<HHHI4sI", 1, 1, 2, 4, index, 0)
    )  # fmt: skip


def test_adobe_rgb_by_exif_gets_a_profile() -> None:
    picture = decode(pillow_file(MUTED, "JPEG", exif=adobe_rgb_exif(b"R03\0")))
    # Adobe RGB and sRGB differ by the green primary alone (Adobe RGB (1998), annex C).
    to_srgb = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])
    linear = (picture.pixels / 255) ** (563 / 256) @ to_srgb.T
    assert np.abs(picture.srgb(picture.pixels) - 255 * encoded_curve(linear)).max() <= 2
    assert decode(pillow_file(MUTED, "JPEG", exif=adobe_rgb_exif(b"R98\0"))).icc is None


def test_reserved_numbers_count_as_unspecified() -> None:
    assert by_codes(77, 99, grey=False).icc is None


def test_primaries_that_span_nothing_make_no_profile() -> None:
    line = Primaries((0.3, 0.3), (0.3, 0.3), (0.3, 0.3))
    assert by_numbers(line, 2.2, grey=False) is None


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 8, 9, 11, 12, 22])
def test_white_stays_white(primaries: int) -> None:
    picture = decode(png(png_chunk(b"cICP", bytes((primaries, 4, 0, 1)))))
    assert np.abs(picture.srgb(np.full((1, 1, 3), 255, np.uint8)).astype(int) - 255).max() <= 1
