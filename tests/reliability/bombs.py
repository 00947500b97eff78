"""Pictures that cost more than they look like: made of few bytes, and heavy to take in."""

from __future__ import annotations

import functools
import http.client
import io
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from random import Random

import numpy as np
import tifffile
from PIL import Image

from tests.pictures import dark_scene, encoded
from tests.servers import Server
from tests.service.pictures.files import png_chunk, tiff_of_tags

DARK = (9, 9, 12)


def inflating_png(gibibytes: int = 1) -> bytes:
    """64x64 pixels, whose data inflate to so much."""
    deflate = zlib.compressobj(9)
    block = deflate.compress(bytes(1 << 30)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return _png_head() + png_chunk(b"IDAT", block * gibibytes) + png_chunk(b"IEND", b"")


def texts_png(count: int = 20) -> bytes:
    """Small, with texts and a colour profile that inflate to 100 MB each."""
    text = b"x\0\0" + zlib.compress(bytes(100_000_000), 9)
    pixels = zlib.compress(b"\0" * (1 + 64 * 3) * 64)
    chunks = png_chunk(b"iCCP", text) + png_chunk(b"zTXt", text) * count
    return _png_head() + chunks + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def scans_jpeg(scans: int = 100, side: int = 8000) -> bytes:
    """Progressive, of one colour, with its last scan again and again: each passes over all pixels."""
    file = _saved(Image.new("RGB", (side, side), DARK), "JPEG", quality=10, progressive=True)
    return file[:-2] + file[file.rindex(b"\xff\xda") : -2] * scans + file[-2:]


def flat_png(side: int = 8000) -> bytes:
    """64 megapixels of one colour."""
    return _saved(Image.new("RGB", (side, side), DARK), "PNG", compress_level=1)


def many_strips_tiff(width: int = 2912, height: int = 23_000) -> bytes:
    """A strip for every row, all of them the same megabyte of deflated data."""
    data = zlib.compress(bytes(width * 3), 0) + bytes(1_000_000)
    entries = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8, 8, 8]),
        259: (3, [8]),
        262: (3, [2]),
        273: (4, [8] * height),
        277: (3, [3]),
        278: (4, [1]),
        279: (4, [len(data)] * height),
    }
    return tiff_of_tags(entries, data)


def deep_tiff(side: int = 4000) -> bytes:
    """16 bits with alpha, deflated to almost nothing."""
    pixels = np.zeros((side, side, 4), np.uint16)
    pixels[..., 3] = 65535
    file = io.BytesIO()
    tifffile.imwrite(
        file, pixels, photometric="rgb", compression="zlib", extrasamples=["unassalpha"], rowsperstrip=64
    )
    return file.getvalue()


def large_gif(width: int = 8000, height: int = 8000) -> bytes:
    """64 megapixels of LZW."""
    return _saved(Image.new("P", (width, height), 3), "GIF")


def lossless_webp(side: int = 8000) -> bytes:
    """64 megapixels in 3 KB."""
    return _saved(Image.new("RGB", (side, side), DARK), "WEBP", lossless=True, method=0)


def large_avif(side: int = 8000) -> bytes:
    """64 megapixels of one colour."""
    return _saved(Image.new("RGB", (side, side), DARK), "AVIF", quality=30, speed=10)


def exif_chain_jpeg(entries: int = 60_000) -> bytes:
    """An EXIF block whose directory has as many entries as fit, and whose next one is itself."""
    entry = struct.pack(">HHII", 0x010F, 2, 0xFFFFFFFF, 8)
    count = min(entries, 5400)  # a segment has 64 KiB
    block = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", count) + entry * count + struct.pack(">I", 8)
    file = encoded(dark_scene(size=(64, 64)), "jpeg")
    return file[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + file[2:]


KINDS: dict[str, Callable[[], bytes]] = {
    "PNG whose data inflate": inflating_png,
    "PNG whose texts inflate": texts_png,
    "JPEG of many scans": scans_jpeg,
    "PNG of one colour": flat_png,
    "TIFF of many strips": many_strips_tiff,
    "TIFF of 16 bits with alpha": deep_tiff,
    "GIF": large_gif,
    "WebP without loss": lossless_webp,
    "AVIF": large_avif,
    "EXIF that leads to itself": exif_chain_jpeg,
}

SENT_BY_THE_SOAK = (
    "PNG whose data inflate",
    "PNG whose texts inflate",
    "JPEG of many scans",
    "EXIF that leads to itself",
)


@functools.cache
def made(kind: str) -> bytes:
    """A bomb, made once a process."""
    return KINDS[kind]()


def send(server: Server, random: Random, seconds: float) -> None:
    """Bombs that are refused, or cost little, one after the other."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/enhance", made(random.choice(SENT_BY_THE_SOAK)))
            connection.getresponse().read()
        connection.close()


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _png_head() -> bytes:
    return _saved(Image.new("RGB", (64, 64), DARK), "PNG")[:33]
