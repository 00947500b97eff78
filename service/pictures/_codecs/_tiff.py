"""TIFF 6.0: read by Pillow (libtiff), 16 bits and rare layouts with some help; written here.

Own writer, since nothing at hand writes 16-bit RGB together with EXIF directories. Files are little- or
big-endian as the EXIF block is, whose values are copied as they lie.
"""

from __future__ import annotations

import sys
import zlib
from fractions import Fraction
from itertools import accumulate

import numpy as np
from PIL import Image, UnidentifiedImageError

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import _iptc
from service.pictures._codecs import _opencv, _pillow
from service.pictures._codecs._jpeg_scans import MAX_SCANNED_PIXELS
from service.pictures._codecs._samples import Extras, Samples
from service.pictures._codecs._tiff_samples import (
    BITS,
    COMPRESSION,
    FILES,
    HEIGHT,
    IN_PLANES,
    OF_NUMBERS,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLES,
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    read_files,
    read_numbers,
)
from service.pictures._colour import cmyk_to_srgb
from service.pictures._directories import (
    BYTE,
    LONG,
    RATIONAL,
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
    X_RESOLUTION,
    Y_RESOLUTION,
    descriptive_tags,
    from_tiff,
    orientation,
    resolution,
    without_orientation,
)
from service.pictures._formats import PictureFormat
from service.pictures._header import Colour, Density, Header
from service.pictures._picture import to_8_bit

_RESOLUTION_UNIT, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 296, 338, 339
_XMP, _IPTC, _RESOURCES, _ICC = 700, 33723, 34377, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_PLAIN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK)
_COLOURS: dict[int, Colour] = {0: "grey", 1: "grey", 2: "rgb", 3: "rgb", 5: "cmyk", 6: "rgb", 8: "rgb"}
_COLOR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_DEFLATE, _HORIZONTAL = 8, 2
_INCHES = 2
# Fax, old and new JPEG, and ThunderScan: what libtiff has beside the compressions of numbers.
_OF_PILLOW = {2, 3, 4, 6, 7, 32809}
_JPEG = {6, 7}
_OF_OPENCV = {1, 5, 8, 32773, 32946}
_NAMES = {
    34887: "LERC",
    34892: "lossy JPEG",
    50002: "JPEG XL",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34934: "JPEG XR",
}
_STRIP_BYTES = 1024 * 1024


def read_header(data: bytes) -> Header:
    """The header from the first directory; further pages are not looked at."""
    directory = first_directory(data)
    width, height = directory.integer(WIDTH), directory.integer(HEIGHT)
    if not (width and height):
        raise ValueError(f"a picture of {width}x{height}")
    _refuse_ambiguous(directory)
    photometric = directory.integer(PHOTOMETRIC, -1)
    bits = _sample_bits(directory)
    if photometric not in _COLOURS:
        raise UnsupportedFormat(f"The TIFF has photometric interpretation {photometric}; use grey, RGB or CMYK.")
    _refuse_compression(directory, bits, photometric)
    if directory.integer(COMPRESSION) in _JPEG:
        _check_scans(data, directory)
    if directory.integer(TILE_WIDTH) * directory.integer(TILE_HEIGHT) > 4 * max(width * height, 1 << 20):
        raise ValueError("the tiles are larger than the picture")
    exif = from_tiff(directory)
    resources = directory.raw(_RESOURCES)
    return Header(
        PictureFormat.TIFF,
        width,
        height,
        bits=8 if photometric == _CMYK else bits,
        colour=_COLOURS[photometric],
        has_alpha=_has_alpha(directory, photometric),
        is_animated=bool(directory.next_position),
        orientation=orientation(exif),
        icc=directory.raw(_ICC),
        exif=exif,
        xmp=directory.raw(_XMP),
        iptc=directory.raw(_IPTC) or (_iptc.from_resources(resources) if resources else None),
        density=resolution(directory),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first page."""
    directory = first_directory(data)
    if directory.integer(COMPRESSION) in FILES:
        return _interpreted(read_files(data, directory), directory, header)
    if _is_known_to_opencv(directory, header):
        return _straight(_opencv.read_pixels(data, header), directory)
    if _sample_bits(directory) == 16:
        return _interpreted(read_numbers(data, directory, 16), directory, header)
    if (
        directory.integer(PLANAR, 1) == IN_PLANES
        and directory.integer(COMPRESSION, 1) in OF_NUMBERS
        and _is_8(directory)
    ):
        return _interpreted(read_numbers(data, directory, 8), directory, header)
    try:
        # Pillow would turn the picture upright itself.
        return _pillow.read_pixels(without_orientation(data) or data, header)
    except UnidentifiedImageError:  # a layout that Pillow has no mode for
        if not _is_8(directory):
            raise
        return _interpreted(read_numbers(data, directory, 8), directory, header)


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
        WIDTH: numbers(LONG, width),
        HEIGHT: numbers(LONG, height),
        BITS: numbers(SHORT, *[8 * planes.itemsize] * channels),
        COMPRESSION: numbers(SHORT, _DEFLATE),
        PHOTOMETRIC: numbers(SHORT, _BLACK_IS_ZERO if channels <= 2 else _RGB),
        STRIP_OFFSETS: numbers(LONG, *starts),
        SAMPLES: numbers(SHORT, channels),
        ROWS_PER_STRIP: numbers(LONG, rows),
        STRIP_SIZES: numbers(LONG, *sizes),
        PLANAR: numbers(SHORT, 1),
        PREDICTOR: numbers(SHORT, _HORIZONTAL),
    }
    if extras.exif:
        tags.update(descriptive_tags(first_directory(extras.exif)))
    if extras.density:
        tags |= _resolution_tags(extras.density, order)
    if extras.xmp:
        tags[_XMP] = Value(BYTE, len(extras.xmp), extras.xmp)
    if extras.iptc:
        tags[_IPTC] = Value(UNDEFINED, len(extras.iptc), extras.iptc)
    if samples.alpha is not None:
        tags[_EXTRA_SAMPLES] = numbers(SHORT, _UNASSOCIATED_ALPHA)
    if extras.icc:
        tags[_ICC] = Value(UNDEFINED, len(extras.icc), extras.icc)
    padding = bytes(sum(sizes) % 2)
    position = 8 + sum(sizes) + len(padding)
    return b"".join((write_header(order, position), *strips, padding, write_directory(tags, order, position)))


def _refuse_ambiguous(directory: Directory) -> None:
    """Decoders differ in which of two values they take, so a file could announce one size and have another."""
    repeated = directory.repeated - DESCRIPTIVE - {ORIENTATION, _XMP, _IPTC, _RESOURCES, _ICC}
    if repeated:
        raise UnreadablePicture(f"The TIFF has tag {min(repeated)} more than once; each may be there once.")


def _is_8(directory: Directory) -> bool:
    return set(directory.integers(BITS, (1,))) == {8} and directory.integer(PHOTOMETRIC) in _PLAIN


def _sample_bits(directory: Directory) -> int:
    bits = set(directory.integers(BITS, (1,)))
    formats = set(directory.integers(_SAMPLE_FORMAT, (1,)))
    if bits == {16} and formats <= {1, 4}:
        return 16
    if bits in ({1}, {2}, {4}, {8}) and formats <= {1, 4}:
        return 8
    names = " and ".join(str(b) for b in sorted(bits)[:4])
    kind = "integers" if formats == {1} else "signed or floating-point numbers"
    raise UnsupportedFormat(f"The TIFF has samples of {names} bits, {kind}; accepted are 8- and 16-bit integers.")


def _refuse_compression(directory: Directory, bits: int, photometric: int) -> None:
    """Refuse by name what no decoder here reads, or not at this depth."""
    compression = directory.integer(COMPRESSION, 1)
    if compression not in OF_NUMBERS | _OF_PILLOW | FILES.keys():
        name = _NAMES.get(compression, f"method {compression}")
        raise UnsupportedFormat(
            f"The TIFF is compressed by {name}, which is not supported; use deflate, LZW or JPEG."
        )
    if bits == 16 and (compression not in OF_NUMBERS or photometric not in _PLAIN):
        raise UnsupportedFormat("A 16-bit TIFF must be grey, RGB or CMYK, in a lossless compression.")


def _check_scans(data: bytes, directory: Directory) -> None:
    """Refuse strips of many scans, each of which passes over all of a strip's pixels again."""
    tile = directory.integer(TILE_WIDTH) * directory.integer(TILE_HEIGHT)
    rows = min(directory.integer(ROWS_PER_STRIP, directory.integer(HEIGHT)), directory.integer(HEIGHT))
    if data.count(b"\xff\xda") * (tile or directory.integer(WIDTH) * rows) > MAX_SCANNED_PIXELS:
        raise UnreadablePicture("The TIFF has JPEG data of too many scans for their size.")


def _has_alpha(directory: Directory, photometric: int) -> bool:
    """Whether the first sample behind the colours is alpha; of CMYK it is not read."""
    is_more = directory.integer(SAMPLES, 1) > _COLOR_CHANNELS[photometric]
    kind = directory.integer(_EXTRA_SAMPLES, 0)
    return is_more and photometric != _CMYK and kind in (_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA)


def _interpreted(planes: np.ndarray, directory: Directory, header: Header) -> Samples:
    """Stored samples [H, W, samples] as colour and alpha."""
    photometric = directory.integer(PHOTOMETRIC)
    channels = _COLOR_CHANNELS[photometric]
    if photometric not in _PLAIN:
        raise UnsupportedFormat(
            f"The TIFF has photometric interpretation {photometric} in a layout that is not read."
        )
    planes = planes.reshape(header.stored_height, header.stored_width, -1)
    if planes.shape[2] < channels:
        raise ValueError(f"{planes.shape[2]} samples a pixel for {channels} channels")
    if photometric == _CMYK:
        inks = np.ascontiguousarray(to_8_bit(planes[..., :4]))
        return Samples(
            np.asarray(cmyk_to_srgb(Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes()), header.icc))
        )
    color = np.ascontiguousarray(planes[..., 0] if channels == 1 else planes[..., :3])
    if photometric == _WHITE_IS_ZERO:
        color = ~color
    if not header.has_alpha:
        return Samples(color)
    alpha = np.ascontiguousarray(planes[..., channels])
    return _straight(Samples(color, alpha), directory)


def _is_known_to_opencv(directory: Directory, header: Header) -> bool:
    """Whether OpenCV gives all 16 bits, as it does of the usual layouts: it takes half the memory."""
    return (
        _sample_bits(directory) == 16
        and directory.integer(COMPRESSION, 1) in _OF_OPENCV
        and directory.integer(PLANAR, 1) != IN_PLANES
        and directory.integer(PHOTOMETRIC) in (_BLACK_IS_ZERO, _RGB)
        and directory.integer(SAMPLES, 1) == (1 if header.colour == "grey" else 3 + header.has_alpha)
    )


def _straight(samples: Samples, directory: Directory) -> Samples:
    """Colour freed from the alpha it was multiplied with, where it was; black where nothing is seen of it."""
    color, alpha = samples.color, samples.alpha
    if alpha is None or directory.integer(_EXTRA_SAMPLES) != _ASSOCIATED_ALPHA:
        return samples
    top = np.iinfo(color.dtype).max
    weight = alpha if color.ndim == 2 else alpha[..., None]
    straight = np.minimum(np.rint(color * (top / np.maximum(weight, 1).astype(np.float32))), top)
    return Samples(np.where(weight > 0, straight, 0).astype(color.dtype), alpha)


def _resolution_tags(density: Density, order: ByteOrder) -> dict[int, Value | Tags]:
    """The print resolution as two fractions and their unit."""

    def fraction(number: float) -> Value:
        exact = Fraction(number).limit_denominator(1000)
        return Value(RATIONAL, 1, exact.numerator.to_bytes(4, order) + exact.denominator.to_bytes(4, order))

    return {
        X_RESOLUTION: fraction(density[0]),
        Y_RESOLUTION: fraction(density[1]),
        _RESOLUTION_UNIT: Value(SHORT, 1, _INCHES.to_bytes(2, order)),
    }


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
