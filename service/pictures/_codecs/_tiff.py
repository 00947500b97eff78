"""TIFF 6.0: 8 bits read by Pillow, 16 by OpenCV; written here.

Own writer, since nothing at hand writes 16-bit RGB together with EXIF directories. Files are little- or
big-endian as the EXIF block is, whose values are copied as they lie.
"""

from __future__ import annotations

import sys
import zlib
from itertools import accumulate

import numpy as np

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures._codecs import _opencv, _pillow
from service.pictures._codecs._samples import Extras, Samples
from service.pictures._directories import (
    LONG,
    SHORT,
    UNDEFINED,
    ByteOrder,
    Directory,
    Tags,
    Value,
    byte_order,
    first_directory,
    write_directory,
    write_header,
)
from service.pictures._exif import (
    DESCRIPTIVE,
    ORIENTATION,
    descriptive_tags,
    from_tiff,
    orientation,
    without_orientation,
)
from service.pictures._formats import PictureFormat
from service.pictures._header import Colour, Header

_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_SIZES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_XMP, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _ICC, _DNG = 700, 322, 323, 338, 339, 34675, 50706
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_COLOURS: dict[int, Colour] = {0: "grey", 1: "grey", 2: "rgb", 3: "rgb", 5: "cmyk", 6: "rgb", 8: "rgb"}
_COLOR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_DEFLATE, _HORIZONTAL = 8, 2
_STRIP_BYTES = 1024 * 1024


def read_header(data: bytes) -> Header:
    """The header from the first directory; further pages are not looked at."""
    directory = first_directory(data)
    width, height = directory.integer(_WIDTH), directory.integer(_HEIGHT)
    if not (width and height):
        raise ValueError(f"a picture of {width}x{height}")
    _refuse_ambiguous(directory)
    _refuse_raw(data, directory)
    photometric = directory.integer(_PHOTOMETRIC, -1)
    bits = _sample_bits(directory)
    samples = directory.integer(_SAMPLES, 1)
    if photometric not in _COLOURS:
        raise UnsupportedFormat(f"The TIFF has photometric interpretation {photometric}; use grey, RGB or CMYK.")
    has_alpha = samples > _COLOR_CHANNELS[photometric]
    if bits == 16:
        _refuse_unusual_16_bit(directory, photometric, samples)
    if directory.integer(_TILE_WIDTH) * directory.integer(_TILE_HEIGHT) > 4 * max(width * height, 1 << 20):
        raise ValueError("the tiles are larger than the picture")
    exif = from_tiff(directory)
    return Header(
        PictureFormat.TIFF,
        width,
        height,
        bits=bits,
        colour=_COLOURS[photometric],
        has_alpha=has_alpha,
        is_animated=bool(directory.next_position),
        orientation=orientation(exif),
        icc=directory.raw(_ICC),
        exif=exif,
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first page."""
    if header.bits == 8:
        # Pillow would turn the picture upright itself.
        return _pillow.read_pixels(without_orientation(data) or data, header)
    samples = _opencv.read_pixels(data, header)
    directory = first_directory(data)
    if directory.integer(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return Samples(~samples.color)
    if directory.integer(_EXTRA_SAMPLES) == _ASSOCIATED_ALPHA and samples.alpha is not None:
        return _unmultiplied(samples.color, samples.alpha)
    return samples


def write(samples: Samples, extras: Extras) -> bytes:
    """A TIFF of 8 or 16 bits in deflated strips with horizontal prediction, which every reader knows.

    Grey with alpha of 16 bits is written as RGB with alpha: hardly anything reads the former.
    """
    order: ByteOrder = byte_order(extras.exif) if extras.exif else "little"
    planes = _planes(samples)
    height, width, channels = planes.shape
    rows = max(1, _STRIP_BYTES // (width * channels * planes.itemsize))
    strips = [_deflated(planes[top : top + rows], order) for top in range(0, height, rows)]
    sizes = [len(strip) for strip in strips]
    starts = list(accumulate(sizes[:-1], initial=8))

    def numbers(kind: int, *values: int) -> Value:
        size = 2 if kind == SHORT else 4
        return Value(kind, len(values), b"".join(value.to_bytes(size, order) for value in values))

    tags: dict[int, Value | Tags] = {
        _WIDTH: numbers(LONG, width),
        _HEIGHT: numbers(LONG, height),
        _BITS: numbers(SHORT, *[8 * planes.itemsize] * channels),
        _COMPRESSION: numbers(SHORT, _DEFLATE),
        _PHOTOMETRIC: numbers(SHORT, _BLACK_IS_ZERO if channels <= 2 else _RGB),
        _STRIP_OFFSETS: numbers(LONG, *starts),
        _SAMPLES: numbers(SHORT, channels),
        _ROWS_PER_STRIP: numbers(LONG, rows),
        _STRIP_SIZES: numbers(LONG, *sizes),
        _PLANAR: numbers(SHORT, 1),
        _PREDICTOR: numbers(SHORT, _HORIZONTAL),
    }
    if samples.alpha is not None:
        tags[_EXTRA_SAMPLES] = numbers(SHORT, _UNASSOCIATED_ALPHA)
    if extras.icc:
        tags[_ICC] = Value(UNDEFINED, len(extras.icc), extras.icc)
    if extras.exif:
        tags.update(descriptive_tags(first_directory(extras.exif)))
    padding = bytes(sum(sizes) % 2)
    position = 8 + sum(sizes) + len(padding)
    return b"".join((write_header(order, position), *strips, padding, write_directory(tags, order, position)))


def _refuse_ambiguous(directory: Directory) -> None:
    """Decoders differ in which of two values they take, so a file could announce one size and have another."""
    repeated = directory.repeated - DESCRIPTIVE - {ORIENTATION, _XMP, _ICC}
    if repeated:
        raise UnreadablePicture(f"The TIFF has tag {min(repeated)} more than once; each may be there once.")


def _refuse_raw(data: bytes, directory: Directory) -> None:
    """Camera raw files are TIFFs whose first page is a thumbnail."""
    is_reduced = bool(directory.integer(_NEW_SUBFILE_TYPE) & 1)
    if is_reduced or _DNG in directory.entries or data[8:10] == b"CR":
        raise UnsupportedFormat("The file is a camera raw file; develop it to TIFF or JPEG first.")


def _sample_bits(directory: Directory) -> int:
    bits = set(directory.integers(_BITS, (1,)))
    formats = set(directory.integers(_SAMPLE_FORMAT, (1,)))
    if bits == {16} and formats == {1}:
        return 16
    if bits in ({1}, {2}, {4}, {8}) and formats <= {1, 4}:
        return 8
    names = " and ".join(str(b) for b in sorted(bits)[:4])
    kind = "integers" if formats == {1} else "signed or floating-point numbers"
    raise UnsupportedFormat(f"The TIFF has samples of {names} bits, {kind}; accepted are 8- and 16-bit integers.")


def _refuse_unusual_16_bit(directory: Directory, photometric: int, samples: int) -> None:
    is_grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and samples == 1
    is_rgb = photometric == _RGB and samples in (3, 4)
    is_chunky = samples == 1 or directory.integer(_PLANAR, 1) == 1
    if not ((is_grey or is_rgb) and is_chunky):
        raise UnsupportedFormat("A 16-bit TIFF must be grey, RGB or RGBA with interleaved channels.")


def _unmultiplied(color: np.ndarray, alpha: np.ndarray) -> Samples:
    """Colour freed from the alpha it was multiplied with; black where nothing is seen of it."""
    weight = np.maximum(alpha, 1)[..., None].astype(np.float32)
    straight = np.minimum(np.rint(color * (65535 / weight)), 65535)
    return Samples(np.where(alpha[..., None] > 0, straight, 0).astype(np.uint16), alpha)


def _planes(samples: Samples) -> np.ndarray:
    color, alpha = samples.color, samples.alpha
    if alpha is None:
        return color[..., None] if samples.is_grey else color
    if samples.is_grey and color.itemsize == 2:
        return np.stack((color, color, color, alpha), axis=2)
    return np.dstack((color, alpha))


def _deflated(rows: np.ndarray, order: ByteOrder) -> bytes:
    """One strip: differences along the rows, channel by channel (TIFF 6.0, section 14), then deflate."""
    differences = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
    if order != sys.byteorder:
        differences = differences.byteswap()
    return zlib.compress(differences.data, level=1)
