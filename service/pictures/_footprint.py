"""How much memory a picture takes, from its file to its answer: some formats need several times what others do.

Measured by `python -m benchmarks.memory --files`, rounded up; bytes for each pixel, the body that came not counted.
"""

from __future__ import annotations

from service.pictures._formats import PictureFormat
from service.pictures._header import Header

PLAIN = 8
"""Of 8 bits without alpha, JPEG to JPEG: 3 that came, 3 of the answer, and what decoders and encoders need."""

_DECODED = {
    PictureFormat.JPEG: PLAIN,
    PictureFormat.PNG: PLAIN,
    PictureFormat.HEIC: 15,
    PictureFormat.AVIF: 16,
    PictureFormat.RAW: 25,
}
_DECODED_OTHERS, _DECODED_DEEP, _DECODED_ALPHA, _DECODED_CMYK = 14, 17, 10, 14
_ENCODED = {PictureFormat.PNG: 11, PictureFormat.TIFF: 10, PictureFormat.WEBP: 17, PictureFormat.AVIF: 36}
_ENCODED_DEEP = {PictureFormat.PNG: 23, PictureFormat.TIFF: 18}
_ALPHA = 6
"""More of an answer with alpha."""


_RESTORED = 3
"""More where noise is taken out: of 8 bits, the network's answer beside the picture and what becomes of it."""


def plain_pixels(header: Header, target: PictureFormat, *, restored: bool = False) -> int:
    """Pixels of 8 bits, JPEG to JPEG, that take as much memory as this picture with an answer in `target`.

    With `restored`, a picture whose noise is taken out on the way.
    """
    more = _RESTORED * (2 if header.bits == 16 else 1) if restored else 0
    return header.pixels * max(_decoded(header), _encoded(header, target) + more) // PLAIN


def _decoded(header: Header) -> int:
    needed = [_DECODED.get(header.format, _DECODED_OTHERS)]
    for holds, more in (
        (header.bits == 16, _DECODED_DEEP),
        (header.has_alpha, _DECODED_ALPHA),
        (header.colour == "cmyk", _DECODED_CMYK),
    ):
        needed += [more] * holds
    return max(needed)


def _encoded(header: Header, target: PictureFormat) -> int:
    table = _ENCODED_DEEP if header.bits == 16 and target in _ENCODED_DEEP else _ENCODED
    return table.get(target, PLAIN) + (_ALPHA if header.has_alpha else 0)
