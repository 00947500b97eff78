"""TIFF 6.0, written.

Written here because no library in use writes 16-bit RGB together with EXIF directories. Files have the byte order of
the EXIF block, whose values are copied unchanged.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from itertools import accumulate

import numpy as np
from isal import isal_zlib

from service.pictures._codecs._samples import Extras, Samples
from service.pictures._codecs._tiff_tags import (
    BITS,
    BLACK_IS_ZERO,
    COMPRESSION,
    DEFLATE,
    EXTRA_SAMPLES,
    HEIGHT,
    HORIZONTAL,
    ICC,
    IPTC,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RESOLUTION_UNIT,
    RGB,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_OFFSETS,
    STRIP_SIZES,
    UNASSOCIATED_ALPHA,
    WIDTH,
    XMP,
)
from service.pictures._directories import (
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    ByteOrder,
    Tags,
    Value,
    byte_order,
    first_directory,
    write_directory,
    write_header,
)
from service.pictures._exif import X_RESOLUTION, Y_RESOLUTION, descriptive_tags
from service.pictures._header import Density

_STRIP_BYTES = 1024 * 1024
_INCHES = 2


def write(samples: Samples, extras: Extras) -> bytes:
    """A TIFF of 8 or 16 bits in deflated strips with horizontal prediction, which every reader knows.

    Grey with alpha of 16 bits is written as RGB with alpha: hardly anything reads the former.
    """
    order: ByteOrder = byte_order(extras.exif) if extras.exif else "little"
    planes = _planes(samples)
    height, width = samples.color.shape[:2]
    channels, bytes_each = sum(plane.shape[2] for plane in planes), samples.color.itemsize
    rows = max(1, _STRIP_BYTES // (width * channels * bytes_each))
    strips = [
        _deflated(np.concatenate([plane[top : top + rows] for plane in planes], axis=2), order)
        for top in range(0, height, rows)
    ]
    sizes = [len(strip) for strip in strips]
    starts = list(accumulate(sizes[:-1], initial=8))

    def numbers(kind: int, *values: int) -> Value:
        size = 2 if kind == SHORT else 4
        return Value(kind, len(values), b"".join(value.to_bytes(size, order) for value in values))

    tags: dict[int, Value | Tags] = {
        WIDTH: numbers(LONG, width),
        HEIGHT: numbers(LONG, height),
        BITS: numbers(SHORT, *[8 * bytes_each] * channels),
        COMPRESSION: numbers(SHORT, DEFLATE),
        PHOTOMETRIC: numbers(SHORT, BLACK_IS_ZERO if channels <= 2 else RGB),
        STRIP_OFFSETS: numbers(LONG, *starts),
        SAMPLES: numbers(SHORT, channels),
        ROWS_PER_STRIP: numbers(LONG, rows),
        STRIP_SIZES: numbers(LONG, *sizes),
        PLANAR: numbers(SHORT, 1),
        PREDICTOR: numbers(SHORT, HORIZONTAL),
    }
    if extras.exif:
        tags.update(descriptive_tags(first_directory(extras.exif)))
    if extras.density:
        tags |= _resolution_tags(extras.density, order)
    if extras.xmp:
        tags[XMP] = Value(BYTE, len(extras.xmp), extras.xmp)
    if extras.iptc:
        tags[IPTC] = Value(UNDEFINED, len(extras.iptc), extras.iptc)
    if samples.alpha is not None:
        tags[EXTRA_SAMPLES] = numbers(SHORT, UNASSOCIATED_ALPHA)
    if extras.icc:
        tags[ICC] = Value(UNDEFINED, len(extras.icc), extras.icc)
    padding = bytes(sum(sizes) % 2)
    position = 8 + sum(sizes) + len(padding)
    return b"".join((write_header(order, position), *strips, padding, write_directory(tags, order, position)))


def _resolution_tags(density: Density, order: ByteOrder) -> dict[int, Value | Tags]:
    """The print resolution as two fractions and their unit."""

    def fraction(number: float) -> Value:
        exact = Fraction(number).limit_denominator(1000)
        return Value(RATIONAL, 1, exact.numerator.to_bytes(4, order) + exact.denominator.to_bytes(4, order))

    return {
        X_RESOLUTION: fraction(density[0]),
        Y_RESOLUTION: fraction(density[1]),
        RESOLUTION_UNIT: Value(SHORT, 1, _INCHES.to_bytes(2, order)),
    }


def _planes(samples: Samples) -> list[np.ndarray]:
    """What is written of each pixel, in order, each [H, W, channels]; nothing is copied."""
    color = samples.color[..., None] if samples.is_grey else samples.color
    if samples.alpha is None:
        return [color]
    alpha = samples.alpha[..., None]
    return [color, color, color, alpha] if samples.is_grey and color.itemsize == 2 else [color, alpha]


def _deflated(rows: np.ndarray, order: ByteOrder) -> bytes:
    """One strip: differences along the rows, channel by channel (TIFF 6.0, section 14), then deflate."""
    differences = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
    if order != sys.byteorder:
        differences = differences.byteswap()
    return isal_zlib.compress(differences.data, level=1)
