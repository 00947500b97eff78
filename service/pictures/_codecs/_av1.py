"""Frame sizes of AV1 data, from their own headers (AV1 Bitstream & Decoding Process, sections 5.3 to 5.9).

Headers are read only as far as the frame size, or the flag that it is the sequence's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.pictures._codecs._bits import Bits

_SEQUENCE_HEADER = 1
# A redundant header stands for a frame as well where none came before it.
_FRAMES = {3, 6, 7}
_SWITCH_FRAME, _KEY_FRAME = 3, 0
_MAX_UNITS = 20_000
# Longer than a sequence header with all its 32 operating points.
_HEADER_BYTES = 1024


def frame_pixels(pieces: Iterable[memoryview]) -> list[int]:
    """The pixels of every frame in pieces of AV1 data, each of which begins with its sequence header.

    A frame with its own size counts with the largest size that its fields allow, since the sequence does not bound
    it.

    Raises:
        ValueError: the data are damaged, or are cut into very many units.
    """
    pixels = []
    left = _MAX_UNITS
    for piece in pieces:
        sequence = None
        for kind, payload in _units(piece):
            left -= 1
            if left < 0:
                raise ValueError(f"more than {_MAX_UNITS} units of AV1 data")
            if kind == _SEQUENCE_HEADER:
                sequence = _read_sequence(Bits(payload[:_HEADER_BYTES]))
            elif kind in _FRAMES:
                if sequence is None:
                    raise ValueError("a frame comes before the sequence header")
                pixels.append(_read_frame(Bits(payload[:_HEADER_BYTES]), sequence))
    return pixels


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The parts of a sequence header that frame headers depend on; `None`: every frame chooses for itself.

    Attributes:
        pixels: those of a frame without a size of its own.
        most_pixels: those of the largest frame that can be written.
        is_reduced: frames have the short header of still pictures.
        time_bits, identity_bits: length of the fields for a frame's time and number; 0 where frames have none.
        screen_content, integer_motion: 0 or 1, or None.
    """

    pixels: int
    most_pixels: int
    is_reduced: bool
    time_bits: int
    identity_bits: int
    screen_content: int | None
    integer_motion: int | None


def _units(piece: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and payload of the open bitstream units (section 5.3)."""
    position = 0
    while position < len(piece):
        head = piece[position]
        position += 2 if head & 4 else 1
        size = len(piece) - position
        if head & 2:
            size, position = _variable_size(piece, position)
        if size < 0 or position + size > len(piece):
            raise ValueError("a unit of AV1 data is cut short")
        yield head >> 3 & 15, piece[position : position + size]
        position += size


def _variable_size(piece: memoryview, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte (section 4.10.5), and the position behind it."""
    value = 0
    for i in range(8):
        byte = piece[position + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise ValueError("a size of AV1 data does not end")


def _read_sequence(bits: Bits) -> _Sequence:
    """A sequence header (section 5.5.1), up to what frame headers depend on."""
    bits.take(4)
    is_reduced = bool(bits.take(1))
    time_bits = identity_bits = 0
    if is_reduced:
        bits.take(5)
    else:
        time_bits = _read_timing(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    screen_content = integer_motion = None
    if not is_reduced:
        if bits.take(1):
            identity_bits = bits.take(4) + 2
            identity_bits += bits.take(3) + 1
        bits.take(3 + 4)
        if bits.take(1):
            bits.take(2)
        screen_content = None if bits.take(1) else bits.take(1)
        if screen_content != 0:
            integer_motion = None if bits.take(1) else bits.take(1)
    return _Sequence(
        pixels=width * height,
        most_pixels=1 << width_bits + height_bits,
        is_reduced=is_reduced,
        time_bits=time_bits,
        identity_bits=identity_bits,
        screen_content=screen_content,
        integer_motion=integer_motion,
    )


def _read_timing(bits: Bits) -> int:
    """Timing, decoder model and operating points (section 5.5.1); gives the length of a frame's time, 0 for none."""
    delay_bits = time_bits = 0
    has_model = False
    if bits.take(1):
        bits.take(64)
        has_equal_intervals = bool(bits.take(1))
        if has_equal_intervals:
            bits.exponential()
        has_model = bool(bits.take(1))
        if has_model:
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5)
            time_bits = bits.take(5) + 1
            if has_equal_intervals:
                time_bits = 0
    has_display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if has_model and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)
    return time_bits


def _read_frame(bits: Bits, sequence: _Sequence) -> int:
    """The pixels of a frame, at most, by its header up to `frame_size_override_flag` (section 5.9.2)."""
    if sequence.is_reduced:
        return sequence.pixels
    if bits.take(1):
        return 0  # it shows a frame that has been decoded already
    kind, is_shown = bits.take(2), bits.take(1)
    bits.take(sequence.time_bits if is_shown else 1)
    if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and is_shown):
        bits.take(1)
    bits.take(1)
    screen_content = bits.take(1) if sequence.screen_content is None else sequence.screen_content
    if screen_content and sequence.integer_motion is None:
        bits.take(1)
    bits.take(sequence.identity_bits)
    has_own_size = kind == _SWITCH_FRAME or bits.take(1)
    return sequence.most_pixels if has_own_size else sequence.pixels
