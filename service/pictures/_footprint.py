"""Memory that a picture takes from its file to its answer: some formats need several times as much as others.

Measured by `python -m benchmarks.memory --files`, rounded up; bytes per pixel, without the request's body.
"""

from __future__ import annotations

from service.pictures._formats import PictureFormat
from service.pictures._header import Header

PLAIN = 8
"""For 8 bits without alpha, JPEG to JPEG: 3 for the input, 3 for the answer, and the needs of decoder and encoder."""

_DECODED = {
    PictureFormat.JPEG: PLAIN,
    PictureFormat.PNG: PLAIN,
    PictureFormat.HEIC: 16,
    PictureFormat.AVIF: 21,
    PictureFormat.RAW: 25,
}
_DECODED_OTHERS = 14
_DECODED_DEEP = 17
_DECODED_ALPHA = 10
_DECODED_CMYK = 14
_DECODED_ANIMATED_WEBP = 25

_ALPHA_BESIDE = 5
"""Additional bytes for alpha in HEIC and AVIF: it is a picture of its own, of up to 12 bits like the colours."""

_ENCODED = {PictureFormat.PNG: 11, PictureFormat.TIFF: 10, PictureFormat.WEBP: 17, PictureFormat.AVIF: 36}
_ENCODED_DEEP = {PictureFormat.PNG: 23, PictureFormat.TIFF: 18, PictureFormat.JPEG: 17}
_ALPHA, _ON_WHITE = 6, 11
"""Additional bytes for an answer with alpha, and for one that has it put on white."""


_RESTORED = 3
"""Additional bytes for noise reduction, at 8 bits: the network's answer beside the picture, and its restored copy."""


_FULL_SIZE, _FULL_SIZE_DEEP = 20, 130
"""Where the network runs at full size: at 8 bits its inputs and results stand beside the picture; at 16 bits a colour
map of full size is fitted to them."""

_KEPT_RESULT = 3
"""Additional bytes while such a picture of 8 bits is encoded."""


def plain_pixels(header: Header, target: PictureFormat, *, restored: bool = False, full_size: bool = False) -> int:
    """Pixels of 8 bits, JPEG to JPEG, that take as much memory as this picture with an answer in `target`.

    With `restored`, including noise reduction; `full_size`: the network runs on every pixel, not on a proxy.
    """
    deep = header.bits == 16
    more = _RESTORED * (2 if deep else 1) if restored else 0
    encoded = _encoded(header, target) + more
    needed = [_decoded(header), encoded]
    if full_size:
        needed += [encoded + _KEPT_RESULT, more + (_FULL_SIZE_DEEP if deep else _FULL_SIZE)]
    return header.pixels * max(needed) // PLAIN


def _decoded(header: Header) -> int:
    has_beside = header.has_alpha and header.format in (PictureFormat.HEIC, PictureFormat.AVIF)
    beside = _ALPHA_BESIDE * has_beside
    needed = [_DECODED.get(header.format, _DECODED_OTHERS) + beside, header.decoded_bytes]
    for holds, more in (
        (header.bits == 16, _DECODED_DEEP),
        (header.has_alpha, _DECODED_ALPHA),
        (header.colour == "cmyk", _DECODED_CMYK),
        (header.format is PictureFormat.WEBP and header.is_animated, _DECODED_ANIMATED_WEBP),
    ):
        needed += [more] * holds
    return max(needed)


def _encoded(header: Header, target: PictureFormat) -> int:
    table = _ENCODED_DEEP if header.bits == 16 and target in _ENCODED_DEEP else _ENCODED
    alpha = _ON_WHITE if target is PictureFormat.JPEG else _ALPHA
    return table.get(target, PLAIN) + (alpha if header.has_alpha else 0)
