"""Unsigned integers of any number of bits, as the headers of video codecs have them."""

from __future__ import annotations

MAX_ZEROS = 32


class Bits:
    """Reads from the most significant bit on."""

    def __init__(self, data: memoryview) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The integer of the next `count` bits; ValueError where there are fewer."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a header is cut short")
        return self._value >> self._left & (1 << count) - 1

    def exponential(self) -> int:
        """An Exp-Golomb code (H.265, section 9.2; AV1, 4.10.3): as many bits as there are zeros before a one.

        ValueError for more than 32 zeros, which neither format allows.
        """
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > MAX_ZEROS:
                raise ValueError("a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)
