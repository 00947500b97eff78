"""Colour profiles (ICC.1:2022) made of numbers: for files that name primaries and a transfer function by code.

The codes are those of Rec. ITU-T H.273 (CICP), as in the boxes `colr` of AVIF and HEIC and in PNG's chunk cICP; PNG's
older chunks give chromaticities and a gamma. Profiles have a matrix and curves, adapted to D50 by Bradford.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from service.errors import UnsupportedFormat

Point: TypeAlias = tuple[float, float]
Hdr = Literal["pq", "hlg"]

_D65: Point = (0.3127, 0.3290)
_ILLUMINANT_C: Point = (0.310, 0.316)
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""The parameters g, a, b, c, d of IEC 61966-2-1 in a parametric curve of type 3."""

Curve: TypeAlias = "float | tuple[float, float, float, float, float]"
"""A gamma, or the five parameters of a parametric curve of type 3."""


@dataclass(frozen=True, slots=True)
class Primaries:
    """Chromaticities x, y of the primaries and of white."""

    red: Point
    green: Point
    blue: Point
    white: Point = _D65

    def is_near(self, other: Primaries) -> bool:
        """Whether no coordinate differs by more than rounding does in files."""
        return bool(np.abs(np.subtract(self._coordinates, other._coordinates)).max() < 0.003)

    @property
    def _coordinates(self) -> tuple[Point, ...]:
        return (self.red, self.green, self.blue, self.white)


SRGB = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_RGB_GAMMA = 563 / 256
"""Adobe RGB (1998), section 4.3, which cameras name in EXIF."""

_BT601_525 = Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
# H.273, table 2; 2 is "unspecified".
_PRIMARIES = {
    1: SRGB,
    2: SRGB,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _ILLUMINANT_C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _BT601_525,
    7: _BT601_525,
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _ILLUMINANT_C),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
# H.273, table 3. The camera curves of BT.601, 709 and 2020 are shown as sRGB, as all viewers of stills do.
_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 2, 6, 7, 11, 12, 13, 14, 15), SRGB_CURVE),
    4: 2.2,
    5: 2.8,
    8: 1.0,
    17: 2.6,
}
_HDR: dict[int, Hdr] = {16: "pq", 18: "hlg"}


@dataclass(frozen=True, slots=True)
class Colours:
    """What a file's numbers say of its colours.

    Attributes:
        icc: the profile that says the same; None for sRGB.
        hdr: the transfer function of HDR pictures. Once they are mapped to SDR, `icc` holds with sRGB's curve.
    """

    icc: bytes | None
    hdr: Hdr | None = None


def by_codes(primaries: int, transfer: int, *, grey: bool) -> Colours:
    """Colours by the code points of H.273; reserved ones count as unspecified, which means sRGB.

    Raises:
        UnsupportedFormat: the transfer function is known, but not one of displays, such as a logarithmic one.
    """
    if transfer in (9, 10):
        raise UnsupportedFormat(
            f"The picture's transfer function is logarithmic (H.273 code {transfer}), which is not supported; "
            "convert it to sRGB, Display P3, PQ or HLG."
        )
    hdr = _HDR.get(transfer)
    curve = SRGB_CURVE if hdr else _TRANSFERS.get(transfer, SRGB_CURVE)
    return Colours(by_numbers(_PRIMARIES.get(primaries, SRGB), curve, grey=grey), hdr)


def by_numbers(primaries: Primaries, curve: Curve, *, grey: bool) -> bytes | None:
    """The profile of these primaries and this curve; None where that is sRGB, or impossible."""
    if curve == SRGB_CURVE and (grey or primaries.is_near(SRGB)):
        return None
    try:
        return _profile(primaries, curve, grey)
    except (np.linalg.LinAlgError, ZeroDivisionError, OverflowError):
        return None  # chromaticities that span no triangle


@lru_cache(maxsize=64)
def _profile(primaries: Primaries, curve: Curve, grey: bool) -> bytes:
    tags = {
        b"desc": _text("Nightlift, from the file's numbers"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
    }
    if grey:
        tags[b"kTRC"] = _curve(curve)
    else:
        columns = _to_d50(primaries).T
        tags |= {kind: _xyz(tuple(column)) for kind, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve))
    return _assembled(tags, b"GRAY" if grey else b"RGB ")


def _to_d50(primaries: Primaries) -> np.ndarray:
    """The matrix from linear RGB to XYZ under D50, [3, 3]."""
    corners = np.array([_point(point) for point in (primaries.red, primaries.green, primaries.blue)]).T
    white = np.array(_point(primaries.white))
    to_xyz = corners * np.linalg.solve(corners, white)
    gains = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    matrix = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ to_xyz
    if not np.isfinite(matrix).all() or np.abs(matrix).max() >= 32768:
        raise np.linalg.LinAlgError("the primaries span no triangle")
    return np.asarray(matrix)


def _point(point: Point) -> tuple[float, float, float]:
    """XYZ of a chromaticity at Y = 1; blue of CICP 10 has no Y, and counts by its Z."""
    x, y = point
    return (x / y, 1.0, (1 - x - y) / y) if y else (x, 0.0, 1 - x)


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Header, tag table and tags; equal tags lie there once."""
    position = 128 + 4 + 12 * len(tags)
    table, body, places = b"", b"", dict[bytes, int]()
    for kind, content in tags.items():
        if content not in places:
            places[content] = position + len(body)
            body += content + bytes(-len(content) % 4)
        table += kind + places[content].to_bytes(4, "big") + len(content).to_bytes(4, "big")
    size = position + len(body)
    head = size.to_bytes(4, "big") + bytes(4) + b"\x04\x20\0\0" + b"mntr" + space + b"XYZ " + bytes(12)
    head += b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + len(tags).to_bytes(4, "big") + table + body


def _fixed(*values: float) -> bytes:
    return b"".join(round(value * 65536).to_bytes(4, "big", signed=True) for value in values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _curve(curve: Curve) -> bytes:
    kind, parameters = (0, (curve,)) if isinstance(curve, float) else (3, curve)
    return b"para" + bytes(4) + kind.to_bytes(2, "big") + bytes(2) + _fixed(*parameters)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    sizes = (1, 12, int.from_bytes(b"enUS", "big"), len(encoded), 28)
    return b"mluc" + bytes(4) + b"".join(size.to_bytes(4, "big") for size in sizes) + encoded
