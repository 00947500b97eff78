"""How much memory a picture takes on its way through, from what its header says."""

from __future__ import annotations

from service.pictures._formats import PictureFormat
from service.pictures._header import Header

PLAIN_BYTES = 10
"""Bytes a pixel of an opaque picture of 8 bits that comes and goes as JPEG, in files, pixels and codecs together."""

LARGEST_BYTES = 46
"""As much of the costliest kind: 16 bits with alpha, written as PNG."""

# Measured, all at the peak of one picture of 16 megapixels, and rounded up: python -m tests.reliability.memory
_BYTES = {
    PictureFormat.JPEG: PLAIN_BYTES,
    PictureFormat.PNG: 17,
    PictureFormat.TIFF: 15,
    PictureFormat.WEBP: 20,
    PictureFormat.AVIF: 38,
}
_DEEP_BYTES = {PictureFormat.PNG: 33, PictureFormat.TIFF: 29}
_DEEP_MORE = 10
_ALPHA_BYTES = {8: 10, 16: 13}
_CMYK_BYTES = 5


def footprint(header: Header, target: PictureFormat) -> int:
    """Bytes that a picture takes at most, encoded and decoded, until its answer is made.

    Args:
        header: what came.
        target: the format of the answer.
    """
    is_deep = header.bits == 16
    size = _BYTES.get(target, LARGEST_BYTES)
    if is_deep:
        size = _DEEP_BYTES.get(target, size + _DEEP_MORE)
    if header.has_alpha:
        size += _ALPHA_BYTES[16 if is_deep else 8]
    if header.colour == "cmyk":
        size += _CMYK_BYTES
    return min(size, LARGEST_BYTES) * header.pixels
