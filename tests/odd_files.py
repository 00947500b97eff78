"""Odd files: what real and hostile clients send besides photos, each with what `POST /enhance` must make of it.

`CASES` is the table of docs/odd_files.md, row by row; tests/service/http/test_odd_files.py sends every file.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.service.pictures.files import (
    alpha_pixels,
    avif_announcing,
    bmp_in_runs,
    clean_aperture,
    color_pixels,
    colours_by_number,
    exif_block,
    grey_pixels,
    heic,
    heif_described,
    pillow_file,
    png_chunk,
    png_file,
    strips,
    tiff_file,
    tiff_repeating,
    webp_announcing,
)
from tests.service.pictures.raw_files import dng, light, mosaic, thumbnail_first

ACCEPTED = "accepted"
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Case:
    """One odd file.

    Attributes:
        name: what it is, the first column of the table.
        make: gives its bytes.
        answer: `200` and the format, or the status and the problem type: the second column.
        remark: the third column.
        expected: for a 200 whose pixels are checked, those of the upright first frame before enhancement.
        mode: Pillow's mode of the answer, where it is checked.
        content_type: what the request claims, if anything.
    """

    name: str
    make: Callable[[], bytes]
    answer: str
    remark: str = ""
    expected: Callable[[], Pixels] | None = None
    mode: str | None = None
    content_type: str | None = None

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.answer.split()[0])

    @property
    def kind(self) -> str:
        """The picture format of a 200, else the problem type."""
        return self.answer.split()[1].lower()

    @property
    def row(self) -> str:
        """The case as a row of the table."""
        answer = self.answer if self.status == 200 else f"{self.status} `{self.kind}`"
        return f"| {self.name} | {answer} | {self.remark} |"


def bomb() -> bytes:
    """A sound PNG of 20,000 x 20,000 black pixels, one bit each: 50 MB of rows in 50 kB."""
    header = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))
    rows = zlib.compress(bytes(20_000 * 2_501), 6)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, payload) for kind, payload in ((b"IHDR", header[4:]), (b"IDAT", rows), (b"IEND", b""))
    )


def profile_bomb() -> bytes:
    """A PNG whose colour profile is 200 MB of zeros, deflated."""
    return png_file(color_pixels(), 2, chunks=(png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(200_000_000), 6)),))


def frames(count: int) -> bytes:
    """A GIF of this many frames, all but the first of one pixel."""
    first, dot = (
        pillow_file(Image.fromarray(pixels), "GIF") for pixels in (grey_pixels(), np.zeros((1, 1), np.uint8))
    )
    return first[:-1] + dot[dot.index(b"\x2c") : -1] * (count - 1) + b";"


def animation(format: str) -> bytes:
    """Two frames, the second one upside down."""
    first = Image.fromarray(color_pixels())
    return pillow_file(first, format, save_all=True, append_images=[first.rotate(180)])


@cache
def jpeg() -> bytes:
    """A sound photo."""
    return pillow_file(color_pixels(), "JPEG")


def cut() -> bytes:
    """The first half of a JPEG of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 72, 3), np.uint8)
    file = pillow_file(noise, "JPEG")
    return file[: len(file) // 2]


def palette(**options: int) -> bytes:
    """A PNG of 32 colours."""
    return pillow_file(Image.fromarray(color_pixels()).quantize(32), "PNG", **options)


def reference(file: bytes, mode: str = "RGB") -> Pixels:
    """The pixels that Pillow shows, upright."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert(mode))


def oriented(orientation: int) -> Case:
    """A JPEG with an EXIF orientation."""

    def make() -> bytes:
        return pillow_file(color_pixels(), "JPEG", exif=exif_block(orientation))

    return Case(
        f"JPEG with EXIF orientation {orientation}",
        make,
        "200 JPEG",
        "upright, tag cleared" if orientation > 1 else "",
        lambda: reference(make()),
    )


def cmyk() -> bytes:
    """A JPEG for printers."""
    return pillow_file(Image.fromarray(color_pixels()).convert("CMYK"), "JPEG")


def broken_profile() -> bytes:
    """A JPEG whose colour profile is none."""
    return pillow_file(color_pixels(), "JPEG", icc_profile=b"no profile" * 30)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes two hundred times."""
    file = pillow_file(color_pixels(), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    return file[:-2] + file[last:-2] * 200 + file[-2:]


def inflating() -> bytes:
    """A PNG with 400 MB of zeros behind its rows, in one stream with them."""
    head = png_file(color_pixels(), 2)[:33]
    data = zlib.compress(bytes(400_000_000), 1)
    return head + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def webp_strips() -> bytes:
    """A TIFF of three strips."""
    parts = [pillow_file(color_pixels()[top : top + 16], "WEBP") for top in (0, 16, 32)]
    return strips(parts, 50001, color_pixels(), 16)


def by_number(primaries: int, transfer: int) -> bytes:
    """An AVIF whose colours are given by code points."""
    file = pillow_file(color_pixels(), "AVIF").replace(b"colr", b"free")
    return heif_described(file, add=(colours_by_number(primaries, transfer),))


CASES = (
    Case("PNG of 20,000 x 20,000 pixels in 50 kB", bomb, "422 unsupported-shape", "refused by its header"),
    Case(
        "PNG whose profile inflates to 200 MB",
        profile_bomb,
        "200 PNG",
        "the profile is dropped: at most 4 MiB are read",
        color_pixels,
    ),
    Case(
        "strip of 1 x 1,000,000 pixels",
        lambda: png_file(np.zeros((1_000_000, 1, 3), np.uint8), 2),
        "422 unsupported-shape",
        "each side needs 16 pixels",
    ),
    Case(
        "picture of 16 x 200 pixels",
        lambda: png_file(np.zeros((200, 16, 3), np.uint8), 2),
        "422 unsupported-shape",
        "at most 8:1",
    ),
    Case(
        "GIF of 10,000 frames",
        lambda: frames(10_000),
        "200 PNG",
        "the first frame; the others are not read",
        lambda: np.repeat(grey_pixels()[..., None], 3, axis=2),
    ),
    Case("animated WebP", lambda: animation("WEBP"), "200 WEBP", "the first frame"),
    Case("animated PNG", lambda: animation("PNG"), "200 PNG", "the first frame", color_pixels),
    Case("MPO (several JPEGs in one file)", lambda: animation("MPO"), "200 JPEG", "the first picture", color_pixels),
    Case("CMYK JPEG", cmyk, "200 JPEG", "sRGB", lambda: reference(cmyk()), "RGB"),
    Case(
        "16-bit PNG",
        lambda: png_file(color_pixels(16), 2),
        "200 PNG",
        "16 bits",
        lambda: color_pixels(16),
    ),
    Case(
        "16-bit TIFF",
        lambda: tiff_file(color_pixels(16), photometric="rgb"),
        "200 TIFF",
        "16 bits",
        lambda: color_pixels(16),
    ),
    Case("palette PNG", palette, "200 PNG", "full colour", lambda: reference(palette()), "RGB"),
    Case(
        "palette PNG with a transparent entry",
        lambda: palette(transparency=3),
        "200 PNG",
        "full colour and alpha",
        mode="RGBA",
    ),
    Case(
        "grey PNG with alpha",
        lambda: pillow_file(np.dstack((grey_pixels(), alpha_pixels())), "PNG"),
        "200 PNG",
        "stays grey, alpha untouched",
        mode="LA",
    ),
    Case("JPEG sent as image/png", jpeg, "200 JPEG", "the content decides", color_pixels, content_type="image/png"),
    Case("JPEG sent as text/html", jpeg, "200 JPEG", "the content decides", color_pixels, content_type="text/html"),
    *(oriented(orientation) for orientation in range(1, 9)),
    Case("JPEG with a broken colour profile", broken_profile, "200 JPEG", "read as sRGB", color_pixels),
    Case(
        "JPEG with a broken EXIF block",
        lambda: pillow_file(color_pixels(), "JPEG", exif=b"MM\0*\0\0\0\x08\xff\xff"),
        "200 JPEG",
        "the block is dropped",
        color_pixels,
    ),
    Case(
        "PNG with an EXIF block of 2 MB",
        lambda: pillow_file(color_pixels(), "PNG", exif=exif_block(6).ljust(2_000_000, b"\0")),
        "200 PNG",
        "the block is dropped, orientation and all: at most 1 MiB is read",
        color_pixels,
    ),
    Case(
        "TIFF that gives its width twice",
        lambda: tiff_repeating(tiff_file(color_pixels(16), photometric="rgb"), 256, 16),
        "400 unreadable-picture",
        "readers differ in which one counts",
    ),
    Case(
        "WebP whose frame is larger than announced",
        lambda: webp_announcing(pillow_file(color_pixels(), "WEBP"), 16, 16),
        "400 unreadable-picture",
        "nor may it be smaller",
    ),
    Case(
        "AVIF whose frame is larger than announced",
        lambda: avif_announcing(pillow_file(color_pixels(), "AVIF"), 16, 16),
        "400 unreadable-picture",
        "all its frames together may have eight times the picture's pixels",
    ),
    Case("JPEG cut short", cut, "400 unreadable-picture"),
    Case("JPEG without its end marker", lambda: jpeg()[:-2], "200 JPEG", "its scan is complete", color_pixels),
    Case(
        "JPEG without its end marker, before a phone's own data",
        lambda: jpeg()[:-2] + b"SEFH" + bytes(range(200)),
        "200 JPEG",
        "",
        color_pixels,
    ),
    Case("JPEG without its end marker and its last rows", lambda: jpeg()[:-40], "400 unreadable-picture"),
    Case("JPEG of 200 scans", many_scans, "400 unreadable-picture", "each scan passes over all pixels again"),
    Case(
        "Ultra HDR JPEG",
        lambda: jpeg() + pillow_file(color_pixels()[::4, ::4], "JPEG"),
        "200 JPEG",
        "the SDR picture; the gain map is dropped, with everything that refers to it",
        color_pixels,
    ),
    Case(
        "grey photo stored as RGB JPEG",
        lambda: pillow_file(np.repeat(grey_pixels()[..., None], 3, axis=2), "JPEG"),
        "200 JPEG",
        "stays grey, in three channels",
        lambda: np.repeat(grey_pixels()[..., None], 3, axis=2),
        "RGB",
    ),
    Case(
        "16-bit grey PNG with a transparent level",
        lambda: png_file(grey_pixels(16)[..., None], 0, chunks=(png_chunk(b"tRNS", b"\x80\0"),)),
        "200 PNG",
        "16 bits and alpha",
    ),
    Case(
        "PNG with an EXIF block behind its pixels",
        lambda: png_file(color_pixels(), 2).replace(
            png_chunk(b"IEND", b""), png_chunk(b"eXIf", exif_block(6)) + png_chunk(b"IEND", b"")
        ),
        "200 PNG",
        "upright, and kept",
        lambda: np.rot90(color_pixels(), -1),
    ),
    Case(
        "PNG of 72 x 48 pixels whose data inflate to 400 MB",
        inflating,
        "400 unreadable-picture",
        "inflating ends at twice what the header implies",
    ),
    Case(
        "TIFF in strips of WebP",
        webp_strips,
        "200 TIFF",
        "also strips of PNG, JPEG 2000, Zstandard, LZMA or fax",
        color_pixels,
    ),
    Case(
        "16-bit TIFF with channels in planes",
        lambda: tiff_file(np.moveaxis(color_pixels(16), -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        "200 TIFF",
        "16 bits",
        lambda: color_pixels(16),
    ),
    Case(
        "TIFF compressed by LERC",
        lambda: strips([bytes(100)], 34887, color_pixels(), 48),
        "415 unsupported-format",
        "refused by name, like JPEG XL, JPEG XR and SGI LogLuv in TIFF",
    ),
    Case(
        "AVIF with a clean aperture",
        lambda: heif_described(pillow_file(color_pixels(), "AVIF"), add=(clean_aperture(40, 30),)),
        "200 AVIF",
        "cut to it",
        lambda: color_pixels()[9:39, 16:56],
    ),
    Case(
        "AVIF whose alpha does not give its size",
        lambda: heif_described(
            pillow_file(np.dstack((color_pixels(), alpha_pixels())), "AVIF"), alpha_without=b"ispe"
        ),
        "200 AVIF",
        "as large as the picture; alpha is exact",
        mode="RGBA",
    ),
    Case(
        "AVIF that names no brand but mif1",
        lambda: pillow_file(color_pixels(), "AVIF").replace(b"avif", b"mif1", 2).replace(b"MA1B", b"mif1"),
        "200 AVIF",
        "the coding of its picture decides",
        color_pixels,
    ),
    Case(
        "AVIF in Display P3 by number",
        lambda: by_number(12, 13),
        "200 AVIF",
        "a P3 profile is made from the numbers; likewise for PNG's cICP, gAMA and cHRM",
    ),
    Case(
        "AVIF in PQ or HLG",
        lambda: by_number(9, 16),
        "200 AVIF",
        "SDR by the EETF of BT.2390, from 1,000 to 203 cd/m²",
    ),
    Case("HEIC", lambda: heic(color_pixels()), "200 JPEG"),
    Case("camera raw: DNG", lambda: dng(mosaic(light())), "200 JPEG", "with the extra `raw`; else 415, by name"),
    Case(
        "camera raw whose first page is a thumbnail",
        lambda: thumbnail_first(mosaic(light()), "NIKON CORPORATION", "NIKON D850"),
        "200 JPEG",
        "the sensor's data; NEF, ARW, CR2 and other TIFFs of cameras",
    ),
    Case(
        "camera raw that is cut short",
        lambda: dng(mosaic(light()), tile=(48, 48))[:-5000],
        "400 unreadable-picture",
        "LibRaw would develop what is missing as black",
    ),
    Case("JPEG XL", lambda: b"\xff\x0a" + bytes(100), "415 unsupported-format", "refused by name; see below"),
    Case("empty body", lambda: b"", "400 unreadable-picture"),
    Case("HTML", lambda: b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "400 unreadable-picture"),
    Case(
        "JSON with base64",
        lambda: b'{"image": "aGVsbG8="}',
        "400 unreadable-picture",
        "the message says how to send it",
    ),
    Case(
        "data URL",
        lambda: b"data:image/png;base64,aGVsbG8=",
        "400 unreadable-picture",
        "the message says how to send it",
    ),
    Case("noise", lambda: np.random.default_rng(1).bytes(4096), "415 unsupported-format"),
    Case(
        "run-length compressed BMP",
        lambda: bmp_in_runs(72, 48),
        "415 unsupported-format",
        "uncompressed ones are read",
    ),
    Case("SVG", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "415 unsupported-format"),
    Case("PDF", lambda: b"%PDF-1.7\n" + bytes(100), "415 unsupported-format"),
    Case("video", lambda: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "415 unsupported-format"),
    Case(
        "TIFF of floating-point numbers",
        lambda: tiff_file(color_pixels().astype(np.float32), photometric="rgb"),
        "415 unsupported-format",
    ),
)
