"""Encoded bytes -> Header -> Picture."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import cv2
import numpy as np

from service.pictures import _colour, _exif, _iptc, _xmp
from service.pictures._codecs import _avif, _bmp, _gif, _heic, _jpeg, _png, _raw, _tiff, _webp
from service.pictures._codecs._samples import check_size, reading
from service.pictures._formats import PictureFormat
from service.pictures._header import Density, Header, Limits
from service.pictures._picture import Picture
from service.pictures._sniff import sniff
from service.pictures._tone_mapping import to_sdr

_CODECS: dict[PictureFormat, ModuleType] = {
    PictureFormat.JPEG: _jpeg,
    PictureFormat.PNG: _png,
    PictureFormat.WEBP: _webp,
    PictureFormat.AVIF: _avif,
    PictureFormat.TIFF: _tiff,
    PictureFormat.BMP: _bmp,
    PictureFormat.GIF: _gif,
    PictureFormat.HEIC: _heic,
    PictureFormat.RAW: _raw,
}


_ROWS_AT_ONCE = 64
# Formats that store brightness and colour apart, and round grey by one on the way back.
_LOSSY = {PictureFormat.JPEG, PictureFormat.WEBP, PictureFormat.AVIF, PictureFormat.HEIC}


def inspect(data: bytes, limits: Limits | None = None) -> Header:
    """The picture's facts from the file's header; no pixel is decoded, and no further frame is read.

    Args:
        data: the encoded file. Its content decides the format.
        limits: what the picture may measure; the defaults of `Limits` where None.

    Raises:
        UnreadablePicture: empty, text, damaged or cut short in its header.
        UnsupportedFormat: another kind of file, or a variant that is not supported.
        UnsupportedShape: beyond the limits.
    """
    format = sniff(data)
    with reading(format):
        header: Header = _CODECS[format].read_header(data)
    (limits or Limits()).check(header.width, header.height)
    return replace(
        header,
        icc=_if_within(_colour.MAX_PROFILE_BYTES, header.icc),
        xmp=_if_within(_xmp.MAX_XMP_BYTES, header.xmp),
        iptc=_if_within(_iptc.MAX_IPTC_BYTES, header.iptc),
    )


def decode(data: bytes, limits: Limits | None = None, header: Header | None = None) -> Picture:
    """The first picture of the file, upright, with its alpha, profile, metadata and print resolution.

    CMYK comes as sRGB, HDR is mapped to SDR. Profiles and metadata that cannot be read are dropped.

    Args:
        data: the encoded file.
        limits: as for `inspect`.
        header: what `inspect` said of this file, where it was asked already.

    Raises:
        UnreadablePicture, UnsupportedFormat, UnsupportedShape: as `inspect`, and for damaged pixels.
    """
    header = header or inspect(data, limits)
    with reading(header.format):
        samples = check_size(_CODECS[header.format].read_pixels(data, header), header)
        color = to_sdr(samples.color, header.hdr) if header.hdr else samples.color
        pixels = turn_upright(color, header.orientation)
        alpha = None if samples.alpha is None else turn_upright(samples.alpha, header.orientation)
    return Picture(
        pixels=cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if samples.is_grey else pixels,
        format=header.format,
        alpha=alpha,
        icc=_colour.usable_profile(header.icc, "grey" if samples.is_grey else "rgb"),
        exif=_exif.upright(header.exif),
        xmp=_xmp.kept(header.xmp, with_location=True),
        iptc=_iptc.kept(header.iptc, with_location=True),
        density=_density(header),
        is_grey=samples.is_grey,
        is_neutral=not samples.is_grey and _is_neutral(pixels, 1 if header.format in _LOSSY else 0),
        subsampling=header.subsampling,
    )


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] as EXIF orientation 1 to 8 wants them shown (EXIF 2.32, section 4.6.4 A)."""
    match orientation:
        case 2:
            return cv2.flip(pixels, 1)
        case 3:
            return cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            return cv2.flip(pixels, 0)
        case 5:
            return cv2.transpose(pixels)
        case 6:
            return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            return cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels


def _if_within(most: int, block: bytes | None) -> bytes | None:
    """A block that will be used: larger ones would lie beside the file, uncounted, until the answer is sent."""
    return block if block and len(block) <= most else None


def _density(header: Header) -> Density | None:
    """Pixels an inch of the upright picture, by the file's own field, else by EXIF."""
    density = header.density or _exif.density(header.exif)
    if density is None or not all(1 <= value <= 1_000_000 for value in density):
        return None
    return (density[1], density[0]) if header.orientation >= 5 else density


def _is_neutral(pixels: np.ndarray, tolerance: int) -> bool:
    """Whether the three channels are equal in every pixel; coloured pictures say no within their first rows."""
    return all(
        max(cv2.absdiff(rows[..., 0], rows[..., channel]).max() for channel in (1, 2)) <= tolerance
        for rows in (pixels[top : top + _ROWS_AT_ONCE] for top in range(0, len(pixels), _ROWS_AT_ONCE))
    )
