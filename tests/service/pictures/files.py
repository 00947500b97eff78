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


def tiff_repeating(file: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF whose first directory has a second entry of a tag, behind its first one."""
    (start,) = struct.unpack("<I", file[4:8])
    (count,) = struct.unpack("<H", file[start : start + 2])
    end = start + 2 + 12 * count
    entries = [file[i : i + 12] for i in range(start + 2, end, 12)]
    first = next(i for i, entry in enumerate(entries) if entry.startswith(struct.pack("<H", tag)))
    entries.insert(first + 1, struct.pack("<HHII", tag, 4, 1, value))
    directory = struct.pack("<H", count + 1) + b"".join(entries) + file[end : end + 4]
    return file[:4] + struct.pack("<I", len(file)) + file[8:] + directory


def webp_announcing(file: bytes, width: int, height: int, *, first: bool = True) -> bytes:
    """A plain WebP with an extended header of this size, before its frame or behind it."""
    header = struct.pack("<4sIB", b"VP8X", 10, 0) + bytes(3)
    header += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = header + file[12:] if first else file[12:] + header
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def avif_announcing(file: bytes, width: int, height: int) -> bytes:
    """An AVIF whose boxes claim this size, of items and of tracks, whatever its frames are."""
    for kind, skipped, unit in ((b"ispe", 4, 1), (b"tkhd", 88, 1 << 16)):
        before, *boxes = file.split(kind)
        size = struct.pack(">II", width * unit, height * unit)
        file = kind.join((before, *(content[:skipped] + size + content[skipped + 8 :] for content in boxes)))
    return file


def box(kind: bytes, *payload: bytes) -> bytes:
    """A box of an ISO media file."""
    content = b"".join(payload)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def bmp_in_runs(width: int, height: int) -> bytes:
    """A BMP of one grey, run-length compressed: two bytes for up to 255 pixels."""
    row = b"".join(bytes((min(255, width - x), 7)) for x in range(0, width, 255)) + b"\0\0"
    runs, palette = row * height + b"\0\1", bytes(i for level in range(256) for i in (level, level, level, 0))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs


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


def photo_with_place() -> bytes:
    """A dark JPEG with an EXIF block that names a maker and a place, as telephones take it."""
    return pillow_file(color_pixels() // 8, "JPEG", exif=exif_block())


def told_by(file: bytes) -> set[str]:
    """What the EXIF block of a file tells, of "maker" and "place"."""
    exif = Image.open(io.BytesIO(file)).getexif()
    told = {"maker": exif.get(0x010F) == "Nightlift Optical", "place": bool(exif.get_ifd(0x8825))}
    return {name for name, tells in told.items() if tells}


def _with_thumbnail(block: bytes, thumbnail: bytes) -> bytes:
    order = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack(order + "I", block[4:8])
    (count,) = struct.unpack(order + "H", block[first : first + 2])
    link = first + 2 + 12 * count
    entries = struct.pack(order + "HHHII", 2, 0x0201, 4, 1, len(block) + 30)
    entries += struct.pack(order + "HHIII", 0x0202, 4, 1, len(thumbnail), 0)
    return block[:link] + struct.pack(order + "I", len(block)) + block[link + 4 :] + entries + thumbnail
