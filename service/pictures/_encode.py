"""Picture -> encoded bytes."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import cv2
import numpy as np

from service.errors import InvalidParameter
from service.pictures import _exif, _iptc, _xmp
from service.pictures._codecs import _avif, _jpeg, _png, _tiff_writer, _webp
from service.pictures._codecs._samples import Extras, Rows, Samples
from service.pictures._formats import PictureFormat, check_writable
from service.pictures._picture import Picture, to_8_bit

_WRITERS: dict[PictureFormat, Callable[[Samples, Extras], bytes]] = {
    PictureFormat.JPEG: _jpeg.write,
    PictureFormat.PNG: _png.write,
    PictureFormat.WEBP: _webp.write,
    PictureFormat.AVIF: _avif.write,
    PictureFormat.TIFF: _tiff_writer.write,
}
_ROWS_AT_ONCE = 64
_DEEP = (PictureFormat.PNG, PictureFormat.TIFF)


class Metadata(StrEnum):
    """What an answer keeps of EXIF, XMP, IPTC, the print resolution and the colour profile."""

    KEEP = "keep"
    """Everything, including the location where the photo was taken."""

    WITHOUT_LOCATION = "without_location"
    """Everything except the location, which is removed from EXIF, XMP and IPTC."""

    STRIP = "strip"
    """Nothing, except the profile of colours that are not sRGB, which would be wrong without it."""


def encode(
    picture: Picture,
    *,
    format: PictureFormat,
    quality: int = 90,
    metadata: Metadata = Metadata.WITHOUT_LOCATION,
    rows: Rows | None = None,
) -> bytes:
    """The picture as a file, keeping depth, grey, alpha, profile and metadata as far as the format can.

    Args:
        picture: of 8 or 16 bits; JPEG, WebP and AVIF get 8, correctly rounded. JPEG gets alpha on white.
        format: one of `WRITTEN_FORMATS`.
        quality: 1 to 100, for JPEG (with the chroma subsampling that the picture came with, else 4:2:0), WebP
            and AVIF; PNG and TIFF are lossless.
        metadata: what is kept beside the pixels.
        rows: computes pixels that are not ready yet, all at once or strip by strip while they are compressed.

    Raises:
        InvalidParameter: the quality is out of range, or the format is not written or too small for the picture.
    """
    if not 1 <= quality <= 100:
        raise InvalidParameter(f"'quality' is {quality}; it must be between 1 and 100.", parameter="quality")
    check_writable(format, picture.width, picture.height)
    extras = Extras(
        icc=_kept_profile(picture, metadata),
        exif=_kept_exif(picture, metadata),
        xmp=_kept(_xmp.kept, picture.xmp, metadata),
        iptc=_kept(_iptc.kept, picture.iptc, metadata),
        density=None if metadata is Metadata.STRIP else picture.density,
        quality=quality,
        subsampling=picture.subsampling or "420",
    )
    return _WRITERS[format](_samples(picture, format, rows), extras)


def _samples(picture: Picture, format: PictureFormat, rows: Rows | None) -> Samples:
    color, alpha = picture.pixels, picture.alpha
    plain = not (picture.is_grey or picture.is_neutral) and alpha is None and color.dtype == np.uint8
    if rows is not None and format is PictureFormat.JPEG and plain:
        return Samples(color, rows=rows)
    if rows is not None:
        rows.make_all()
    if picture.is_grey or picture.is_neutral:
        color = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)
    if picture.is_neutral:
        color = cv2.cvtColor(color, cv2.COLOR_GRAY2RGB)
    if format not in _DEEP:
        color, alpha = to_8_bit(color), None if alpha is None else to_8_bit(alpha)
    if alpha is not None and format is PictureFormat.JPEG:
        color, alpha = _on_white(color, alpha), None
    return Samples(np.ascontiguousarray(color), alpha)


def _on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 colour over white: 255 - alpha * (255 - colour), rounded."""
    result = np.empty_like(color)
    for top in range(0, len(color), _ROWS_AT_ONCE):  # whole pictures of every step would take three times as much
        rows = slice(top, top + _ROWS_AT_ONCE)
        weight = alpha[rows] if color.ndim == 2 else cv2.cvtColor(alpha[rows], cv2.COLOR_GRAY2RGB)
        result[rows] = cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(color[rows]), weight, scale=1 / 255))
    return result


def _kept_profile(picture: Picture, metadata: Metadata) -> bytes | None:
    return None if metadata is Metadata.STRIP and picture.is_srgb else picture.icc


def _kept(keep: Callable[..., bytes | None], block: bytes | None, metadata: Metadata) -> bytes | None:
    return None if metadata is Metadata.STRIP else keep(block, with_location=metadata is Metadata.KEEP)


def _kept_exif(picture: Picture, metadata: Metadata) -> bytes | None:
    if picture.exif is None or metadata is Metadata.STRIP:
        return None
    return picture.exif if metadata is Metadata.KEEP else _exif.without_location(picture.exif)
