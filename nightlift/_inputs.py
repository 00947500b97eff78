"""Turns pictures as clients have them into encoded files, which a service takes."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

PictureLike: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes], "NDArray[np.uint8] | NDArray[np.uint16]",
    "PIL.Image.Image",
]  # fmt: skip
"""A path, the bytes of a file, a file that is open for reading in binary, an array, or a PIL image.

Arrays are uint8 or uint16, [H, W], or [H, W, C] with C = 1 (grey), 3 (RGB) or 4 (RGB and alpha), in sRGB.
"""

_COLOR_TYPES = {1: 0, 3: 2, 4: 6}
"""Channels -> colour type of PNG."""

_KEPT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
"""Modes of PIL that PNG can store."""

_ORIENTATION = 0x0112


def as_file(picture: PictureLike) -> bytes | Path:
    """An encoded picture, or the path of one.

    Raises:
        TypeError: the type is not supported.
        ValueError: an array has an unsupported shape or type.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return Path(picture)
    if hasattr(picture, "__array_interface__") and hasattr(picture, "dtype"):
        return png_of_array(picture)
    if _is_pil(picture):
        return _png_of_image(picture)
    if hasattr(picture, "read"):
        content = picture.read()
        if not isinstance(content, bytes):
            raise TypeError("the file is open as text; open it in binary: open(path, 'rb')")
        return content
    raise TypeError(
        f"a picture can be a path, bytes, a binary file, a NumPy array or a PIL image, not {type(picture).__name__}"
    )


def png_of_array(pixels: Any) -> bytes:
    """A lossless PNG of uint8 or uint16 [H, W] or [H, W, 1, 3 or 4].

    Raises:
        ValueError: the shape or type is unsupported.
    """
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise ValueError(f"an array must be uint8 or uint16, not {pixels.dtype}; scale it to 0 to 255 or 0 to 65535")
    shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    if pixels.ndim not in (2, 3) or shape[2] not in _COLOR_TYPES:
        raise ValueError(f"an array must be [H, W] or [H, W, C] with 1, 3 or 4 channels, not {list(pixels.shape)}")
    height, width, channels = shape
    bytes_each = pixels.dtype.itemsize
    rows = pixels.reshape(height, width * channels)
    if bytes_each == 2 and (sys.byteorder == "little") == (pixels.dtype.byteorder in "=|<"):
        rows = rows.byteswap()
    import numpy as np

    codes = np.ascontiguousarray(rows).view(np.uint8)
    filtered = np.empty((height, 1 + codes.shape[1]), np.uint8)
    filtered[:, 0] = 2  # each row minus the one above it
    filtered[0, 1:] = codes[0]
    np.subtract(codes[1:], codes[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8 * bytes_each, _COLOR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _is_pil(picture: object) -> TypeGuard[PIL.Image.Image]:
    """Whether this is a PIL image; without importing PIL, since whoever has an image has imported it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(picture, module.Image)


def _png_of_image(image: PIL.Image.Image) -> bytes:
    """A PNG of a PIL image as displayed, with its profile and its EXIF except the orientation."""
    exif = image.getexif()
    exif.pop(_ORIENTATION, None)
    kept = image if image.mode in _KEPT_MODES else image.convert("RGBA" if "A" in image.mode.upper() else "RGB")
    profile = image.info.get("icc_profile") if kept is image else None  # the profile belonged to the original mode
    file = io.BytesIO()
    kept.save(file, "PNG", compress_level=1, exif=exif.tobytes() if exif else b"", icc_profile=profile)
    return file.getvalue()
