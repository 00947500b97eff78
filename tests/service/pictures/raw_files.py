"""Camera raw files made for tests: a scene behind a colour filter array, as DNG and as makers write it."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import tifffile

from tests.pictures import scene

BLACK, WHITE = 512, 16383
"""Code values of 14 bits."""

# XYZ to linear sRGB (IEC 61966-2-1): the camera's colours are sRGB's.
_XYZ_TO_SRGB = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
_LIGHT_SOURCE_D65 = 21


def light(name: str = "coffee", size: tuple[int, int] = (96, 144)) -> np.ndarray:
    """A scene in linear light, [H, W, 3], 0 to 1."""
    code = scene(name, size) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def mosaic(linear: np.ndarray, *, exposure: float = 1.0, neutral: Sequence[float] = (1, 1, 1)) -> np.ndarray:
    """What a sensor of the pattern RGGB counts, uint16 [H, W]; the channels are as sensitive as `neutral` says."""
    seen = linear * exposure * np.asarray(neutral)
    counted = np.empty(linear.shape[:2])
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        counted[row::2, column::2] = seen[row::2, column::2, channel]
    return np.clip(np.rint(BLACK + counted * (WHITE - BLACK)), 0, WHITE).astype(np.uint16)


def dng(
    counted: np.ndarray,
    *,
    orientation: int = 1,
    neutral: Sequence[float] = (1, 1, 1),
    maker: str = "Nightlift",
    tile: tuple[int, int] | None = None,
) -> bytes:
    """A DNG of one directory, uncompressed, in strips or tiles."""

    def fractions(values: Sequence[float]) -> list[int]:
        return [part for value in values for part in (round(value * 10_000), 10_000)]

    tags = [
        (50706, 1, 4, (1, 4, 0, 0), True),
        (271, 2, None, maker, True),
        (272, 2, None, f"{maker} One", True),
        (50708, 2, None, f"{maker} One", True),
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, (0, 1, 1, 2), True),
        (50714, 4, 1, BLACK, True),
        (50717, 4, 1, WHITE, True),
        (50721, 10, 9, fractions(_XYZ_TO_SRGB), True),
        (50728, 5, 3, fractions(neutral), True),
        (50778, 3, 1, _LIGHT_SOURCE_D65, True),
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, counted, photometric=32803, metadata=None, software=False, extratags=tags, tile=tile)
    return file.getvalue()


def thumbnail_first(counted: np.ndarray, maker: str, model: str) -> bytes:
    """A raw file whose first page is a small picture, with the sensor's data in a directory below it, like NEF."""
    small = np.full((16, 24, 3), 40, np.uint8).tobytes()
    pixels = counted.astype("<u2").tobytes()
    height, width = counted.shape
    body = small + pixels
    texts = maker.encode() + b"\0" + model.encode() + b"\0"
    texts += bytes(len(texts) % 2)
    first_at = 8 + len(body) + len(texts)

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    text_at = 8 + len(body)
    count = 12
    sub_at = first_at + 2 + 12 * count + 4 + 6
    first = (
        entry(254, 4, 1, 1), entry(256, 4, 1, 24), entry(257, 4, 1, 16), entry(258, 3, 3, sub_at - 6),
        entry(259, 3, 1, 1), entry(262, 3, 1, 2), entry(271, 2, len(maker) + 1, text_at),
        entry(272, 2, len(model) + 1, text_at + len(maker) + 1), entry(273, 4, 1, 8), entry(277, 3, 1, 3),
        entry(279, 4, 1, len(small)), entry(330, 4, 1, sub_at),
    )  # fmt: skip
    below = (
        entry(254, 4, 1, 0), entry(256, 4, 1, width), entry(257, 4, 1, height), entry(258, 3, 1, 16),
        entry(259, 3, 1, 1), entry(262, 3, 1, 32803), entry(273, 4, 1, 8 + len(small)), entry(277, 3, 1, 1),
        entry(278, 4, 1, height), entry(279, 4, 1, len(pixels)), entry(33421, 3, 2, 2 | 2 << 16),
        entry(33422, 1, 4, int.from_bytes(bytes((0, 1, 1, 2)), "little")),
    )  # fmt: skip
    directories = struct.pack("<H", len(first)) + b"".join(first) + bytes(4) + struct.pack("<3H", 8, 8, 8)
    directories += struct.pack("<H", len(below)) + b"".join(below) + bytes(4)
    return b"II*\0" + struct.pack("<I", first_at) + body + texts + directories
