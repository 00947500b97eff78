"""Picture sizes of HEVC data, from their sequence parameter sets (Rec. ITU-T H.265, section 7.3).

A set is read only up to its size.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.pictures._codecs._bits import Bits

_SEQUENCE_PARAMETERS = 33
_MAX_UNITS = 20_000
_HEADER_BYTES = 1024


class Units:
    """Reads the units of one file, a bounded number: its items may overlap, and so have any number of units."""

    def __init__(self) -> None:
        self._left = _MAX_UNITS

    def pixels(self, unit: memoryview) -> Iterator[int]:
        """The pixels that a unit announces if it is a parameter set; ValueError after too many units."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {_MAX_UNITS} units of HEVC data")
        return _pixels(unit)


def configured_pixels(configuration: bytes, units: Units) -> list[int]:
    """The pixels of pictures by every parameter set of a box `hvcC` (ISO/IEC 14496-15, section 8.3.3.1).

    Raises:
        ValueError or IndexError: the box is damaged, or the file has too many units.
    """
    found: list[int] = []
    position = 23
    for _ in range(configuration[22]):
        count = int.from_bytes(configuration[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(configuration[position : position + 2], "big")
            unit = memoryview(configuration)[position + 2 : position + 2 + size]
            position += 2 + size
            found += units.pixels(unit)
    return found


def data_pixels(data: memoryview, length_bytes: int, units: Units) -> list[int]:
    """The same by parameter sets among the coded data, whose units are preceded by their lengths."""
    found: list[int] = []
    position = 0
    while position + length_bytes < len(data):
        size = int.from_bytes(data[position : position + length_bytes], "big")
        position += length_bytes
        found += units.pixels(data[position : position + size])
        position += size
    return found


def _pixels(unit: memoryview) -> Iterator[int]:
    """The pixels that a unit announces if it is a parameter set."""
    if len(unit) < 3 or unit[0] >> 1 & 63 != _SEQUENCE_PARAMETERS:
        return
    # Zeros that would look like a start code are followed by a 3, which is no part of the payload (section 7.4.2).
    bits = Bits(memoryview(bytes(unit[2:_HEADER_BYTES]).replace(b"\0\0\3", b"\0\0")))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profile(bits, layers)
    bits.exponential()
    if bits.exponential() == 3:
        bits.take(1)
    yield bits.exponential() * bits.exponential()


def _skip_profile(bits: Bits, layers: int) -> None:
    """`profile_tier_level` (section 7.3.3)."""
    bits.take(88 + 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
