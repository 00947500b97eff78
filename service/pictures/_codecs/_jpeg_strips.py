"""A large picture as JPEG, strip by strip on all cores.

Each strip is compressed as a separate picture, with the same tables. The data after its header equal those that
libjpeg would write between two restart markers (ITU-T T.81, B.2.1 and E.1.4), where prediction starts again and bytes
are padded. So the strips' data, with markers in between, form the baseline JPEG of the whole, which every decoder
reads.
"""

from __future__ import annotations

import itertools
from typing import Any

import simplejpeg
from numpy.typing import NDArray

from service.cores import run_on_cores
from service.pictures._codecs._samples import Rows

SMALLEST = 1 << 20
"""Pixels from which it pays."""

ROWS = 64
"""Of a strip: whole blocks at every subsampling, and no more than stays in a core's cache."""

_BLOCKS = {"444": (8, 8), "422": (16, 8), "420": (16, 16), "440": (8, 16), "411": (32, 8)}
"""Width and height in pixels of what is coded together."""
_MAX_BLOCKS = 0xFFFF
_SOF0, _SOS, _DRI, _RST0, _EOI = b"\xff\xc0", b"\xff\xda", b"\xff\xdd", 0xD0, b"\xff\xd9"


def suits(pixels: NDArray[Any], subsampling: str) -> bool:
    """Whether a picture, uint8 [H, W, 3], is written in strips."""
    height, width = pixels.shape[:2]
    return pixels.ndim == 3 and height * width >= SMALLEST and _interval(width, subsampling) <= _MAX_BLOCKS


def write(pixels: NDArray[Any], quality: int, subsampling: str, rows: Rows | None) -> bytes:
    """A JFIF file.

    Args:
        pixels: uint8 [H, W, 3], RGB, C-contiguous; `suits`.
        quality: 1 to 100.
        subsampling: a key of `_BLOCKS`.
        rows: makes the pixels of a strip before it is read, in any order, from several threads; None: they are there.
    """
    height, width = pixels.shape[:2]
    strips: list[bytes] = [b""] * -(-height // ROWS)
    numbers = itertools.count()

    def work() -> None:
        while (number := next(numbers)) < len(strips):
            first, last = number * ROWS, min((number + 1) * ROWS, height)
            if rows is not None:
                rows.make(first, last)
            strips[number] = simplejpeg.encode_jpeg(
                pixels[first:last], quality=quality, colorspace="RGB", colorsubsampling=subsampling
            )

    run_on_cores(work, len(strips))
    frame, scan, data = _places(strips[0])
    head = strips[0][:data]
    restarts = _DRI + (4).to_bytes(2, "big") + _interval(width, subsampling).to_bytes(2, "big")
    parts: list[bytes | memoryview] = [
        *(head[: frame + 5], height.to_bytes(2, "big"), head[frame + 7 : scan], restarts, head[scan:])
    ]
    for number, strip in enumerate(strips):
        if number:
            parts.append(bytes((0xFF, _RST0 + (number - 1) % 8)))
        parts.append(memoryview(strip)[data : -len(_EOI)])
    return b"".join((*parts, _EOI))


def _interval(width: int, subsampling: str) -> int:
    """Blocks in a strip."""
    across, down = _BLOCKS[subsampling]
    return -(-width // across) * (ROWS // down)


def _places(file: bytes) -> tuple[int, int, int]:
    """Where frame header, scan header and the scan's data begin: in the files of all strips alike."""
    position = frame = 2
    while (marker := file[position : position + 2]) != _SOS:
        if marker == _SOF0:
            frame = position
        position += 2 + int.from_bytes(file[position + 2 : position + 4], "big")
    return frame, position, position + 2 + int.from_bytes(file[position + 2 : position + 4], "big")
