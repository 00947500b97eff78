"""GIF (89a): the first frame alone, by Pillow.

The file is cut after the first frame before Pillow sees it, and all extensions except the graphic control are left
out: an animation of 10,000 frames, or a comment of 60 MB, costs no more than its first frame.
"""

from __future__ import annotations

from service.pictures._codecs import _pillow
from service.pictures._codecs._samples import Samples
from service.pictures._formats import PictureFormat
from service.pictures._header import Header

_TRAILER, _EXTENSION, _IMAGE = 0x3B, 0x21, 0x2C
_GRAPHIC_CONTROL = 0xF9
_MAX_EXTENSIONS = 1024
_MAX_EXTENSION_BLOCKS = 65_536


def read_header(data: bytes) -> Header:
    """The header from the screen descriptor and the first frame's; the frame may be larger than the screen."""
    control, frame = _first_frame(data)
    left, top, frame_width, frame_height = (_integer(data, frame + 1 + 2 * i) for i in range(4))
    width = max(_integer(data, 6), left + frame_width)
    height = max(_integer(data, 8), top + frame_height)
    if not (frame_width and frame_height):
        raise ValueError(f"a frame of {frame_width}x{frame_height}")
    return Header(PictureFormat.GIF, width, height, has_alpha=bool(control and control[3] & 1))


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first frame on the file's canvas."""
    control, frame = _first_frame(data)
    end = _skip_blocks(data, frame + 10 + _table_size(data[frame + 9]) + 1, len(data))
    first = b"".join((data[: _after_screen(data)], control, data[frame:end], bytes([_TRAILER])))
    return _pillow.read_pixels(first, header)


def _first_frame(data: bytes) -> tuple[bytes, int]:
    """The graphic control extension that belongs to the first frame (or nothing), and the frame's position."""
    position = _after_screen(data)
    control = b""
    for _ in range(_MAX_EXTENSIONS):
        kind = data[position]
        if kind == _IMAGE:
            return control, position
        if kind != _EXTENSION:
            raise ValueError("there is no frame")
        end = _skip_blocks(data, position + 2, _MAX_EXTENSION_BLOCKS)
        if data[position + 1] == _GRAPHIC_CONTROL and end - position == 8:
            control = data[position:end]
        position = end
    raise ValueError(f"more than {_MAX_EXTENSIONS} extensions before the first frame")


def _after_screen(data: bytes) -> int:
    return 13 + _table_size(data[10])


def _table_size(flags: int) -> int:
    """Bytes of the colour table that follows, by the descriptor's flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, position: int, most: int) -> int:
    """The position behind a chain of data blocks."""
    for _ in range(most):
        size = data[position]
        position += 1 + size
        if size == 0:
            return position
    raise ValueError(f"more than {most} blocks")


def _integer(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise ValueError("the file ends in its header")
    return int.from_bytes(data[position : position + 2], "little")
