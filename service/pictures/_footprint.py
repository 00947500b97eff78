"""How much memory a picture takes, from its file's bytes to the answer's: more for some formats than for others."""

from __future__ import annotations

from service.pictures._formats import PictureFormat
from service.pictures._header import Header

PLAIN = 6
"""Bytes for each pixel of 8 bits: 3 that came and 3 of the answer."""

_DECODED = {PictureFormat.HEIC: 15, PictureFormat.AVIF: 15, PictureFormat.RAW: 24}
"""Bytes a pixel while decoders work that copy what they have, or, for raw, in their own process too."""

_DEEP, _WITH_ALPHA, _DEEP_WITH_ALPHA = 18, 12, 24
"""Bytes a pixel of 16 bits, with alpha, and both: while they are copied on their way out of decoders, or into files."""


def plain_pixels(header: Header) -> int:
    """Pixels of 8 bits without alpha that take as much memory as this picture; the body that brought it not counted."""
    if header.bits == 16:
        needed = _DEEP_WITH_ALPHA if header.has_alpha else _DEEP
    else:
        needed = _WITH_ALPHA if header.has_alpha else PLAIN
    return header.pixels * max(needed, _DECODED.get(header.format, 0)) // PLAIN
