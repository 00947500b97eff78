"""Every format by depth, alpha, grey, orientation and profile; and what odd files get."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from service.errors import UnreadablePicture
from service.pictures import Picture, decode, inspect
from tests.service.pictures.files import (
    alpha_pixels,
    color_pixels,
    exif_block,
    grey_pixels,
    pillow_file,
    png_chunk,
    png_file,
    tiff_file,
)
from tests.service.pictures.profiles import cmyk_profile, grey_profile, rgb_profile

LOSSY = {"JPEG": 6, "AVIF": 6}


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def check(picture: Picture, color: np.ndarray, alpha: np.ndarray | None = None, tolerance: int = 0) -> None:
    """The picture has these pixels (of one channel: grey) and this alpha."""
    assert picture.is_grey == (color.ndim == 2)
    expected = np.repeat(color[..., None], 3, axis=2) if color.ndim == 2 else color
    assert picture.pixels.shape == expected.shape
    assert picture.pixels.dtype == expected.dtype
    assert picture.pixels.flags.c_contiguous
    assert difference(picture.pixels, expected) <= tolerance
    if alpha is None:
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        assert picture.alpha.dtype == expected.dtype
        assert picture.alpha.flags.c_contiguous
        assert difference(picture.alpha, alpha) <= tolerance


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
def test_eight_bit_color(format: str) -> None:
    picture = decode(pillow_file(color_pixels(), format))
    check(picture, color_pixels(), tolerance=LOSSY.get(format, 0))
    assert picture.format == format.lower()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_eight_bit_grey(format: str) -> None:
    check(decode(pillow_file(grey_pixels(), format)), grey_pixels(), tolerance=LOSSY.get(format, 0))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_eight_bit_color_with_alpha(format: str) -> None:
    data = pillow_file(np.dstack((color_pixels(), alpha_pixels())), format)
    check(decode(data), color_pixels(), alpha_pixels(), tolerance=LOSSY.get(format, 0))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_eight_bit_grey_with_alpha(format: str) -> None:
    data = pillow_file(np.dstack((grey_pixels(), alpha_pixels())), format)
    check(decode(data), grey_pixels(), alpha_pixels())


@pytest.mark.parametrize(
    ("data", "color", "alpha"),
    [
        (png_file(color_pixels(16), 2), color_pixels(16), None),
        (png_file(grey_pixels(16)[..., None], 0), grey_pixels(16), None),
        (png_file(np.dstack((color_pixels(16), alpha_pixels(16))), 6), color_pixels(16), alpha_pixels(16)),
        (png_file(np.dstack((grey_pixels(16), alpha_pixels(16))), 4), grey_pixels(16), alpha_pixels(16)),
        (tiff_file(color_pixels(16), photometric="rgb"), color_pixels(16), None),
        (tiff_file(color_pixels(16), photometric="rgb", byteorder=">"), color_pixels(16), None),
        (tiff_file(color_pixels(16), photometric="rgb", compression="zlib", predictor=True), color_pixels(16), None),
        (tiff_file(color_pixels(16), photometric="rgb", tile=(16, 32)), color_pixels(16), None),
        (tiff_file(grey_pixels(16)), grey_pixels(16), None),
        (tiff_file(65535 - grey_pixels(16), photometric="miniswhite"), grey_pixels(16), None),
        (
            tiff_file(
                np.dstack((color_pixels(16), alpha_pixels(16))), photometric="rgb", extrasamples=["unassalpha"]
            ),
            color_pixels(16),
            alpha_pixels(16),
        ),
    ],
)
def test_sixteen_bits_keep_every_level(data, color, alpha) -> None:
    check(decode(data), color, alpha)


def test_premultiplied_alpha_is_divided_out() -> None:
    alpha = np.full((48, 72), 0x8000, np.uint16)
    multiplied = np.round(color_pixels(16) * (alpha[..., None] / 65535)).astype(np.uint16)
    data = tiff_file(np.dstack((multiplied, alpha)), photometric="rgb", extrasamples=["assocalpha"])
    check(decode(data), color_pixels(16), alpha, tolerance=1)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_palettes_become_rgb(format: str) -> None:
    image = Image.fromarray(color_pixels()).quantize(32)
    check(decode(pillow_file(image, format)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_alpha(format: str) -> None:
    image = Image.fromarray(color_pixels()).quantize(32)
    data = pillow_file(image, format, transparency=int(np.asarray(image)[0, 0]))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert 0 < (expected[..., 3] == 0).mean() < 0.5
    check(decode(data), expected[..., :3], expected[..., 3])


def test_a_transparent_grey_becomes_alpha() -> None:
    level = grey_pixels()[0, 0]
    picture = decode(pillow_file(grey_pixels(), "PNG", transparency=int(level)))
    check(picture, grey_pixels(), np.where(grey_pixels() == level, 0, 255).astype(np.uint8))


def test_a_bmp_with_the_short_header_has_no_compression() -> None:
    rows = np.ascontiguousarray(color_pixels()[::-1, :, ::-1])
    rows[0, 1:3] = (9, 1, 0), (0, 0, 9)  # where the long header would say so
    header = struct.pack("<IHHI", 26 + rows.size, 0, 0, 26) + struct.pack("<IHHHH", 12, 72, 48, 1, 24)
    check(decode(b"BM" + header + rows.tobytes()), np.ascontiguousarray(rows[::-1, :, ::-1]))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(format: str) -> None:
    image = Image.fromarray(grey_pixels()).convert("1")
    check(decode(pillow_file(image, format)), np.asarray(image.convert("L")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 2}, {"restart_marker_rows": 1}])
def test_jpeg_pixels_are_those_of_pillow(options) -> None:
    data = pillow_file(color_pixels(), "JPEG", **options)
    check(decode(data), np.asarray(Image.open(io.BytesIO(data))))


def test_jpeg_with_stray_bytes_is_read_leniently() -> None:
    data = pillow_file(color_pixels(), "JPEG")
    check(decode(data[:20] + b"stray" + data[20:-2] + b"more" + data[-2:]), color_pixels(), tolerance=6)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_pillow_or_by_its_profile(format: str) -> None:
    image = Image.fromarray(color_pixels()).convert("CMYK")
    plain = decode(pillow_file(image, format, quality=100))
    check(plain, color_pixels(), tolerance=8)

    inked = Image.new("CMYK", (72, 48), (255, 0, 0, 0))
    by_profile = decode(pillow_file(inked, format, icc_profile=cmyk_profile()))
    assert by_profile.pixels.max() <= 2  # our profile prints every full ink black
    assert by_profile.icc is None


def test_a_gif_of_greys_is_a_picture_of_colors_that_are_grey() -> None:
    check(decode(pillow_file(grey_pixels(), "GIF")), np.repeat(grey_pixels()[..., None], 3, axis=2))


@pytest.mark.parametrize("block", [None, exif_block()], ids=["without", "with"])
def test_avif_keeps_its_exif_block(block: bytes | None) -> None:
    assert decode(pillow_file(color_pixels(), "AVIF", exif=block or b"")).exif == block


def hostile_block() -> bytes:
    """An EXIF block of 64 KB whose 5,000 entries all claim the same 60 KB."""
    entries = b"".join(struct.pack("<HHII", 1000 + i, 7, 60_000, 8) for i in range(5000))
    return (b"II*\0" + struct.pack("<IH", 8, 5000) + entries + bytes(4)).ljust(65_000, b"\0")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("format", ["JPEG", "CMYK JPEG", "PNG", "WEBP", "AVIF"])
def test_hostile_exif_costs_no_memory(format: str) -> None:
    image = Image.fromarray(color_pixels())
    kind = format.removeprefix("CMYK ")
    image = image.convert("CMYK") if kind != format else image
    honest = exif_block().ljust(65_000, b"E")
    data = pillow_file(image, kind, exif=honest)
    assert honest in data
    data = data.replace(honest, hostile_block())
    tracemalloc.start()
    picture = decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert picture.exif is None
    assert peak < 5_000_000


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_orientation_is_applied_once(format: str, orientation: int) -> None:
    data = pillow_file(color_pixels(), format, exif=exif_block(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    picture = decode(data)
    check(picture, expected, tolerance=LOSSY.get(format, 0))
    assert (picture.width, picture.height) == (inspect(data).width, inspect(data).height)
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "Nightlift Optical"


@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_turns_alpha_and_sixteen_bits_too(orientation: int) -> None:
    block = exif_block(orientation)
    planes = np.dstack((color_pixels(16), alpha_pixels(16)))
    picture = decode(png_file(planes, 6, chunks=(png_chunk(b"eXIf", block),)))
    turned = np.rot90(planes, 2 if orientation == 3 else -1)
    check(picture, turned[..., :3], turned[..., 3])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_profiles_are_kept_byte_for_byte(format: str) -> None:
    assert decode(pillow_file(color_pixels(), format, icc_profile=rgb_profile())).icc == rgb_profile()


@pytest.mark.parametrize(
    "profile",
    [b"broken", rgb_profile()[:200], grey_profile(), cmyk_profile(), rgb_profile()[:128] + b"\xff" * 300],
    ids=["text", "short", "for grey", "for cmyk", "damaged"],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_unusable_profiles_are_dropped(format: str, profile: bytes) -> None:
    picture = decode(pillow_file(color_pixels(), format, icc_profile=profile))
    check(picture, color_pixels(), tolerance=LOSSY.get(format, 0))
    assert picture.icc is None


@pytest.mark.parametrize("block", [b"II*\0", b"garbage" * 10, b"MM\0*\0\0\0\x08\xff\xff", exif_block(6)[:30]])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_ignored(format: str, block: bytes) -> None:
    picture = decode(pillow_file(color_pixels(), format, exif=block))
    check(picture, color_pixels(), tolerance=LOSSY.get(format, 0))
    assert picture.exif is None


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "MPO", "TIFF"])
def test_the_first_frame_is_taken(format: str) -> None:
    frames = [Image.fromarray(np.full((48, 72, 3), level, np.uint8)) for level in (60, 120, 180)]
    picture = decode(pillow_file(frames[0], format, save_all=True, append_images=frames[1:]))
    assert difference(picture.pixels, np.full((48, 72, 3), 60)) <= 3


def test_a_gif_frame_in_a_corner_lies_on_the_canvas() -> None:
    file = bytearray(pillow_file(grey_pixels(), "GIF"))
    file[6:10] = (100).to_bytes(2, "little") + (80).to_bytes(2, "little")
    picture = decode(bytes(file))
    assert picture.pixels.shape == (80, 100, 3)
    assert difference(picture.pixels[:48, :72, 0], grey_pixels()) == 0


@pytest.mark.parametrize("rotation", [0, 6])
def test_heic(rotation: int) -> None:
    image = pillow_heif.from_pillow(Image.fromarray(color_pixels()))
    file = io.BytesIO()
    image.save(file, quality=95, exif=b"Exif\0\0" + exif_block(), icc_profile=rgb_profile())
    picture = decode(file.getvalue())
    assert picture.format == "heic"
    check(picture, color_pixels(), tolerance=16)
    assert picture.icc == rgb_profile()
    assert picture.exif is not None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_files_cut_short_are_refused(format: str, kept: float) -> None:
    random = np.random.default_rng(0)
    data = pillow_file(random.integers(0, 256, (48, 72, 3), np.uint8), format)
    with pytest.raises(UnreadablePicture, match=r"damaged or cut short"):
        decode(data[: int(kept * len(data))])


def test_a_png_chunk_that_claims_gigabytes_is_refused_at_once() -> None:
    data = bytearray(pillow_file(color_pixels(), "PNG"))
    position = data.index(b"IDAT") - 4
    data[position : position + 4] = (0x7FFF_FFF0).to_bytes(4, "big")
    start = time.process_time()  # to touch gigabytes takes work, however busy the machine is
    with pytest.raises(UnreadablePicture):
        decode(bytes(data))
    assert time.process_time() - start < 0.2


def test_a_png_with_more_pixels_inside_than_announced_stops_at_the_announced_size() -> None:
    data = png_file(np.zeros((1000, 2000, 3), np.uint8), 2, size=(20, 20))
    try:
        picture = decode(data)
    except UnreadablePicture:
        return
    assert picture.pixels.shape == (20, 20, 3)
