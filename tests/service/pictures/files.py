"""Encoded files for tests of the codecs, made by other encoders than the service's wherever there is one."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image

SIZE = (48, 72)
"""Height and width of the pictures here: not square, both above the smallest side."""


def color_pixels(bits: int = 8) -> np.ndarray:
    """Smooth colours that differ at every corner, [48, 72, 3] of 8 or 16 bits (no multiples of 257)."""
    rows, columns = np.mgrid[0:1:48j, 0:1:72j]
    planes = np.stack((0.1 + 0.8 * columns, 0.1 + 0.7 * rows, 0.8 - 0.6 * rows * columns), axis=-1)
    return np.round(planes * (2**bits - 1)).astype(f"uint{bits}")


def grey_pixels(bits: int = 8) -> np.ndarray:
    """The first channel of `color_pixels`, [48, 72]."""
    return np.ascontiguousarray(color_pixels(bits)[..., 0])


def alpha_pixels(bits: int = 8) -> np.ndarray:
    """Alpha from transparent to opaque, [48, 72]."""
    return np.round(np.tile(np.linspace(0, 1, 72), (48, 1)) * (2**bits - 1)).astype(f"uint{bits}")


def pillow_file(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """A file by Pillow, lossless where the format has such an option."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if format == "JPEG":
        options = {"quality": 95, "subsampling": 0, **options}
        if "exif" in options:
            options["exif"] = b"Exif\0\0" + options["exif"]
    elif format == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    elif format == "AVIF":
        options = {"quality": 95, "speed": 10, "subsampling": "4:4:4", **options}
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def tiff_file(planes: np.ndarray, **options: Any) -> bytes:
    """A TIFF by tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(file, planes, metadata=None, **options)
    return file.getvalue()


def png_file(
    planes: np.ndarray, color_type: int, *, size: tuple[int, int] | None = None, chunks: tuple[bytes, ...] = ()
) -> bytes:
    """An unfiltered PNG of [H, W, C] planes by the standard; `size` may lie, `chunks` go before the pixels."""
    height, width = size or planes.shape[:2]
    depth = 8 * planes.itemsize
    rows = planes.astype(planes.dtype.newbyteorder(">")).view(np.uint8).reshape(planes.shape[0], -1)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", body), png_chunk(b"IEND", b""))
    )


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def exif_block(orientation: int | None = None, *, location: bool = True, thumbnail: bytes = b"") -> bytes:
    """An EXIF block as cameras write it: maker, time, sizes, a place, and a second directory with a thumbnail."""
    exif = Image.Exif()
    exif[0x010F] = "Nightlift Optical"
    if orientation is not None:
        exif[0x0112] = orientation
    details = exif.get_ifd(0x8769)
    details[0x9003] = "2026:11:21 08:00:00"
    details[0x829A] = 0.5
    details[0xA002], details[0xA003] = SIZE[1], SIZE[0]
    if location:
        place = exif.get_ifd(0x8825)
        place[1], place[2] = "N", (59.0, 19.0, 33.25)
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    return _with_thumbnail(block, thumbnail) if thumbnail else block


def _with_thumbnail(block: bytes, thumbnail: bytes) -> bytes:
    order = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack(order + "I", block[4:8])
    (count,) = struct.unpack(order + "H", block[first : first + 2])
    link = first + 2 + 12 * count
    entries = struct.pack(order + "HHHII", 2, 0x0201, 4, 1, len(block) + 30)
    entries += struct.pack(order + "HHIII", 0x0202, 4, 1, len(thumbnail), 0)
    return block[:link] + struct.pack(order + "I", len(block)) + block[link + 4 :] + entries + thumbnail
