"""Encoded bytes <-> pixels: sniffing, limits, decoding, orientation, colour, depth, alpha, metadata, encoding.

`inspect` reads a file's header and refuses unsupported files before a pixel is decoded. `decode` returns the picture,
upright, in its own colour space, with everything that an answer should keep; `encode` writes it. All functions are
synchronous, keep no state except a small cache of colour transforms, may be called from many threads at once, and
hold the interpreter lock only briefly.
"""

from service.pictures import _opencv_limit  # noqa: F401  before OpenCV
from service.pictures._codecs._raw_kinds import is_raw, may_be_raw
from service.pictures._decode import decode, inspect
from service.pictures._encode import Metadata, encode
from service.pictures._fit import fit, fitted_size
from service.pictures._footprint import PLAIN, plain_pixels
from service.pictures._formats import (
    FORMAT_ALIASES,
    SUFFIXES,
    WRITTEN_FORMATS,
    PictureFormat,
    check_writable,
    is_picture,
    negotiate_format,
)
from service.pictures._header import Header, Limits
from service.pictures._picture import Picture, to_8_bit

__all__ = [
    "FORMAT_ALIASES",
    "PLAIN",
    "SUFFIXES",
    "WRITTEN_FORMATS",
    "Header",
    "Limits",
    "Metadata",
    "Picture",
    "PictureFormat",
    "check_writable",
    "decode",
    "encode",
    "fit",
    "fitted_size",
    "inspect",
    "is_picture",
    "is_raw",
    "may_be_raw",
    "negotiate_format",
    "plain_pixels",
    "to_8_bit",
]
