"""Small ICC profiles (ICC.1:2001-04) made for tests: RGB by primaries, grey by gamma, CMYK by table."""

from __future__ import annotations

import struct

import numpy as np

GAMMA = 2.2
# Linear RGB of Display P3 (D65) to linear sRGB: SMPTE EG 432-1 primaries and BT.709 primaries, both through XYZ.
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
# Display P3's and sRGB's primaries adapted to D50, as their published profiles carry them.
P3_COLORANTS = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB_COLORANTS = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def rgb_profile(
    colorants: tuple[tuple[float, float, float], ...] = P3_COLORANTS,
    gamma: float = GAMMA,
    extra: dict[bytes, bytes] | None = None,
) -> bytes:
    """A matrix profile with one power curve for all channels, and `extra` tags."""
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249), **(extra or {})}
    for name, colorant in zip("rgb", colorants, strict=True):
        tags[name.encode() + b"XYZ"] = _xyz(*colorant)
        tags[name.encode() + b"TRC"] = _curve(gamma)
    return _profile(b"RGB ", b"XYZ ", tags)


def elements_profile(count: int) -> bytes:
    """The profile of Display P3, with a table of so many multi-process elements, all of them one identity matrix."""
    matrix = b"matf" + bytes(4) + struct.pack(">HH9f3f", 3, 3, *np.eye(3).ravel(), 0, 0, 0)
    start = 16 + 8 * count
    table = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, count) + struct.pack(">II", start, len(matrix)) * count
    return rgb_profile(extra={b"D2B1": table + matrix})


def grey_profile(gamma: float = 1.8) -> bytes:
    """A grey profile with a power curve."""
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """A CMYK profile whose every ink makes neutral grey: lightness falls from 100 to 0 with the heaviest ink."""
    identity = bytes(range(256))
    corners = bytearray()
    for corner in range(16):
        inks = [corner >> 3 & 1, corner >> 2 & 1, corner >> 1 & 1, corner & 1]
        corners += bytes([0 if any(inks) else 255, 128, 128])
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += b"".join(struct.pack(">i", round(65536 * value)) for value in np.eye(3).ravel())
    table += identity * 4 + bytes(corners) + identity * 3
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": table}, kind=b"prtr")


def p3_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """The textbook's conversion, uint8 to float code values: power curve, matrix, sRGB's curve (IEC 61966-2-1)."""
    linear = np.clip((pixels / 255.0) ** GAMMA @ P3_TO_SRGB.T, 0, 1)
    code = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * code


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    tags = {**tags, b"desc": _description(b"made for tests"), b"cprt": b"text" + bytes(4) + b"none\0"}
    position = 128 + 4 + 12 * len(tags)
    table, values = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, position + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", position + len(values), b"test", 0x02400000, kind, space, connection)
    header = header.ljust(36, b"\0") + b"acsp" + bytes(24) + struct.pack(">IIII", 0, 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + values


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(65536 * value)) for value in values)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def _description(text: bytes) -> bytes:
    return b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78)
