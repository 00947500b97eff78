"""TIFFs in every layout and compression that is read, and the names of those that are not."""

from __future__ import annotations

import io
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import decode, inspect
from service.pictures._codecs._samples import Samples
from service.pictures._codecs._tiff import _straight
from service.pictures._directories import first_directory
from tests.service.pictures.files import alpha_pixels, color_pixels, grey_pixels, pillow_file, strips, tiff_file

COLOR, DEEP = color_pixels(), color_pixels(16)
ALPHA, DEEP_ALPHA = alpha_pixels(), alpha_pixels(16)
RGBA, DEEP_RGBA = np.dstack((COLOR, ALPHA)), np.dstack((DEEP, DEEP_ALPHA))


def in_planes(planes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(planes, -1, 0))


def cut(planes: np.ndarray, rows: int, encode: Callable[[np.ndarray], bytes]) -> list[bytes]:
    return [encode(planes[top : top + rows]) for top in range(0, len(planes), rows)]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("predictor", [None, 2])
@pytest.mark.parametrize("tile", [None, (32, 16)])
@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("planes", [DEEP, DEEP_RGBA, COLOR, RGBA], ids=["rgb16", "rgba16", "rgb8", "rgba8"])
def test_layouts(
    planes: np.ndarray, is_planar: bool, tile: tuple | None, predictor: int | None, byteorder: str
) -> None:
    file = tiff_file(
        in_planes(planes) if is_planar else planes,
        photometric="rgb",
        planarconfig="separate" if is_planar else "contig",
        extrasamples=["unassalpha"] if planes.shape[2] == 4 else None,
        compression="zlib",
        predictor=predictor,
        tile=tile,
        byteorder=byteorder,
    )
    picture = decode(file)
    assert np.array_equal(picture.pixels, planes[..., :3])
    assert (picture.alpha is not None) == (planes.shape[2] == 4)
    assert picture.alpha is None or np.array_equal(picture.alpha, planes[..., 3])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("is_planar", [False, True])
def test_grey_with_alpha(bits: int, is_planar: bool) -> None:
    planes = np.dstack((grey_pixels(bits), alpha_pixels(bits)))
    file = tiff_file(
        in_planes(planes) if is_planar else planes,
        photometric="minisblack",
        planarconfig="separate" if is_planar else "contig",
        extrasamples=["unassalpha"],
    )
    picture = decode(file)
    assert picture.is_grey
    assert np.array_equal(picture.pixels[..., 0], planes[..., 0])
    assert np.array_equal(picture.alpha, planes[..., 1])


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_not_said_to_be_alpha_is_none(bits: int) -> None:
    planes = np.dstack((color_pixels(bits), alpha_pixels(bits)))
    assert decode(tiff_file(planes, photometric="rgb", extrasamples=["unspecified"])).alpha is None
    two = tiff_file(
        np.dstack((planes, planes[..., 3])), photometric="rgb", extrasamples=["unassalpha", "unspecified"]
    )
    assert np.array_equal(decode(two).alpha, planes[..., 3])


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_that_were_multiplied_with_alpha_are_freed_from_it(bits: int) -> None:
    top = 2**bits - 1
    alpha = np.maximum(alpha_pixels(bits), top // 4)
    multiplied = np.rint(color_pixels(bits) * (alpha[..., None] / top)).astype(alpha.dtype)
    picture = decode(tiff_file(np.dstack((multiplied, alpha)), photometric="rgb", extrasamples=["assocalpha"]))
    assert np.abs(picture.pixels.astype(int) - color_pixels(bits)).max() <= 4
    assert np.array_equal(picture.alpha, alpha)


def test_freeing_colours_from_alpha_takes_little_memory() -> None:
    random = np.random.default_rng(0)
    alpha = random.integers(0, 65536, (700, 500), np.uint16)
    alpha[:100] = 0
    color = random.integers(0, 65536, (700, 500, 3), np.uint16)
    directory = first_directory(tiff_file(np.dstack((color, alpha)), photometric="rgb", extrasamples=["assocalpha"]))
    tracemalloc.start()
    result = _straight(Samples(color, alpha), directory).color
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * alpha.size
    exact = np.minimum(np.rint(color * (65535 / np.maximum(alpha, 1)[..., None])), 65535) * (alpha > 0)[..., None]
    assert np.abs(result - exact).max() <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk(bits: int) -> None:
    inks = np.dstack((color_pixels(bits), alpha_pixels(bits) // 4))
    reference = np.asarray(
        Image.frombytes("CMYK", (72, 48), (inks >> (bits - 8)).astype(np.uint8).tobytes()).convert("RGB")
    )
    for planar in (False, True):
        file = tiff_file(
            in_planes(inks) if planar else inks,
            photometric="separated",
            planarconfig="separate" if planar else "contig",
        )
        picture = decode(file)
        assert picture.bits == 8
        assert np.abs(picture.pixels.astype(int) - reference).max() <= 2


@pytest.mark.parametrize("rows", [48, 20])
@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (1, lambda part: part.tobytes()),
        (8, lambda part: zlib.compress(part.tobytes())),
        (34925, lambda part: lzma.compress(part.tobytes())),
    ],
    ids=["none", "deflate", "lzma"],
)
def test_compressions_of_numbers_at_sixteen_bits(compression: int, encode: Callable, rows: int) -> None:
    assert np.array_equal(decode(strips(cut(DEEP, rows, encode), compression, DEEP, rows)).pixels, DEEP)


def test_zstandard_at_sixteen_bits() -> None:
    file = io.BytesIO()
    Image.fromarray(grey_pixels(16)).save(file, "TIFF", compression="zstd")
    assert np.array_equal(decode(file.getvalue()).pixels[..., 0], grey_pixels(16))


@pytest.mark.parametrize("rows", [48, 20])
@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (50001, lambda part: pillow_file(part, "WEBP")),
        (34933, lambda part: pillow_file(part, "PNG")),
        (34712, lambda part: pillow_file(part, "JPEG2000")),
    ],
    ids=["webp", "png", "jpeg 2000"],
)
@pytest.mark.parametrize("planes", [COLOR, RGBA], ids=["rgb", "rgba"])
def test_compressions_by_other_formats(planes: np.ndarray, compression: int, encode: Callable, rows: int) -> None:
    file = strips(cut(planes, rows, encode), compression, planes, rows)
    assert np.array_equal(decode(file).pixels, COLOR)


def test_a_strip_of_another_size_than_announced_is_refused() -> None:
    parts = [pillow_file(np.zeros((2000, 2000, 3), np.uint8), "WEBP")]
    with pytest.raises(UnreadablePicture):
        decode(strips(parts, 50001, COLOR, 48))


@pytest.mark.parametrize(
    "options", [{"compression": "group3"}, {"compression": "group4"}, {"compression": "tiff_ccitt"}]
)
def test_fax(options: dict) -> None:
    page = Image.fromarray(grey_pixels() > 128)
    picture = decode(pillow_file(page, "TIFF", **options))
    assert picture.is_grey
    assert np.array_equal(picture.pixels[..., 0] > 0, grey_pixels() > 128)


def old_jpeg(file: bytes, luma_a_chroma: tuple[int, int], *, only_its_scan: bool) -> bytes:
    """A TIFF 6.0, section 22: a JPEG whose tables lie before the strip, or in it."""
    height, width, _ = COLOR.shape
    scan = file.index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(file[scan + 2 : scan + 4], "big") if only_its_scan else 0
    bits_at = 8 + len(file) + len(file) % 2
    sampling = luma_a_chroma[0] | luma_a_chroma[1] << 16
    entries = (
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 6), (262, 3, 1, 6),
        (273, 4, 1, 8 + start), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(file) - start),
        (512, 3, 1, 1), (513, 4, 1, 8), (514, 4, 1, len(file)), (530, 3, 2, sampling),
    )  # fmt: skip
    directory = (
        struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    )
    bits = struct.pack("<4H", 8, 8, 8, 0)
    return b"II*\0" + struct.pack("<I", bits_at + 8) + file + bytes(len(file) % 2) + bits + directory


@pytest.mark.parametrize("only_its_scan", [False, True])
@pytest.mark.parametrize(("luma_a_chroma", "subsampling"), [((1, 1), 0), ((2, 1), 1), ((2, 2), 2)])
def test_old_jpeg(luma_a_chroma: tuple[int, int], subsampling: int, only_its_scan: bool) -> None:
    jpeg = pillow_file(COLOR, "JPEG", quality=95, subsampling=subsampling)
    picture = decode(old_jpeg(jpeg, luma_a_chroma, only_its_scan=only_its_scan))
    assert np.abs(picture.pixels.astype(int) - decode(jpeg).pixels).mean() <= 1.5  # chroma is enlarged otherwise


@pytest.mark.parametrize("compression", ["jpeg", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd"])
@pytest.mark.parametrize("pixels", [COLOR, grey_pixels()], ids=["rgb", "grey"])
def test_compressions_of_eight_bits(pixels: np.ndarray, compression: str) -> None:
    picture = decode(pillow_file(pixels, "TIFF", compression=compression))
    expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
    assert np.abs(picture.pixels.astype(int) - expected).mean() <= (4 if compression == "jpeg" else 0)


@pytest.mark.parametrize(("photometric", "name"), [(32845, "SGI LogLuv"), (9, "ICC"), (777, "interpretation 777")])
def test_colours_that_are_not_read_are_named(photometric: int, name: str) -> None:
    file = strips([COLOR.tobytes()], 1, COLOR, 48)
    other = file.replace(struct.pack("<HHII", 262, 4, 1, 2), struct.pack("<HHII", 262, 4, 1, photometric))
    assert other != file
    with pytest.raises(UnsupportedFormat, match=name):
        inspect(other)


@pytest.mark.parametrize(("compression", "name"), [(34887, "LERC"), (50002, "JPEG XL"), (12345, "method 12345")])
def test_compressions_that_are_not_read_are_named(compression: int, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"compressed by {name}"):
        inspect(strips([bytes(100)], compression, COLOR, 48))


def test_jpeg_strips_of_many_scans_are_refused() -> None:
    wide = np.zeros((4000, 4000, 3), np.uint8)
    scans = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 200
    with pytest.raises(UnreadablePicture, match="too many scans"):
        inspect(strips([scans], 7, wide, 4000))


def test_a_small_first_page_alone_makes_no_raw_file() -> None:
    assert np.array_equal(decode(tiff_file(COLOR, photometric="rgb", subfiletype=1)).pixels, COLOR)


def test_tifffile_agrees() -> None:
    file = strips(cut(DEEP, 20, lambda part: lzma.compress(part.tobytes())), 34925, DEEP, 20)
    assert np.array_equal(tifffile.imread(io.BytesIO(file)), DEEP)
