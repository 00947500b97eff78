"""TIFF 6.0, read by Pillow (libtiff), 16 bits and rare layouts with some help."""

from __future__ import annotations

import numpy as np
from PIL import Image, UnidentifiedImageError

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures import _iptc
from service.pictures._codecs import _opencv, _pillow
from service.pictures._codecs._jpeg_scans import MAX_SCANNED_PIXELS
from service.pictures._codecs._samples import Samples
from service.pictures._codecs._tiff_samples import FILES, OF_NUMBERS, check_parts, read_files, read_numbers
from service.pictures._codecs._tiff_tags import (
    ASSOCIATED_ALPHA,
    BITS,
    BLACK_IS_ZERO,
    CMYK,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    ICC,
    IN_PLANES,
    IPTC,
    PHOTOMETRIC,
    PLANAR,
    RESOURCES,
    RGB,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    TILE_HEIGHT,
    TILE_WIDTH,
    UNASSOCIATED_ALPHA,
    WHITE_IS_ZERO,
    WIDTH,
    XMP,
)
from service.pictures._colour import cmyk_to_srgb
from service.pictures._directories import (
    Directory,
    first_directory,
)
from service.pictures._exif import (
    DESCRIPTIVE,
    ORIENTATION,
    from_tiff,
    orientation,
    resolution,
    without_orientation,
)
from service.pictures._formats import PictureFormat
from service.pictures._header import Colour, Header
from service.pictures._picture import to_8_bit

_PLAIN = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK)
_COLOURS: dict[int, Colour] = {0: "grey", 1: "grey", 2: "rgb", 3: "rgb", 5: "cmyk", 6: "rgb", 8: "rgb"}
_COLOR_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
_ROWS_AT_ONCE = 64
_BYTES_OF_FILES = 26
"""Memory a pixel where a strip of JPEG 2000, whose decoder has integers of 32 bits, is the whole picture."""

_MAX_EXTRA_SAMPLES = 2
"""Samples beside the colours, such as alpha and a mask; all of them are decoded, but only alpha is used."""
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
    32766: "NeXT's run lengths",
    32771: "fax in words of 16 bits",
}
_OTHER_COLOURS = {
    4: "a transparency mask",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32844: "SGI LogL, which is HDR",
    32845: "SGI LogLuv, which is HDR",
}


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
        name = _OTHER_COLOURS.get(photometric, f"of photometric interpretation {photometric}")
        raise UnsupportedFormat(f"The TIFF is {name}; accepted are grey, RGB, CMYK, YCbCr and CIE L*a*b*.")
    _refuse_compression(directory, bits, photometric)
    check_parts(data, directory)
    if directory.integer(COMPRESSION) in _JPEG:
        _check_scans(data, directory)
    if directory.integer(TILE_WIDTH) * directory.integer(TILE_HEIGHT) > max(
        _in_16s(width) * _in_16s(height), 4 << 20
    ):
        raise ValueError("the tiles are larger than the picture")
    samples, most = directory.integer(SAMPLES, 1), _COLOR_CHANNELS[photometric] + _MAX_EXTRA_SAMPLES
    if samples > most:
        raise UnsupportedFormat(
            f"The TIFF has {samples} samples a pixel; at most {most} are accepted for its colours."
        )
    exif = from_tiff(directory)
    resources = directory.raw(RESOURCES)
    return Header(
        PictureFormat.TIFF,
        width,
        height,
        bits=8 if photometric == CMYK else bits,
        colour=_COLOURS[photometric],
        has_alpha=_has_alpha(directory, photometric),
        is_animated=bool(directory.next_position),
        orientation=orientation(exif),
        icc=directory.raw(ICC),
        exif=exif,
        xmp=directory.raw(XMP),
        iptc=directory.raw(IPTC) or (_iptc.from_resources(resources) if resources else None),
        density=resolution(directory),
        decoded_bytes=_decoded_bytes(directory, bits),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first page."""
    directory = first_directory(data)
    if directory.integer(COMPRESSION) in FILES:
        return _interpreted(read_files(data, directory), directory, header)
    if _is_known_to_opencv(directory):
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


def _in_16s(side: int) -> int:
    """Sides of tiles are multiples of 16."""
    return -(-side // 16) * 16


def _refuse_ambiguous(directory: Directory) -> None:
    """Decoders differ in which of two values they take, so a file could announce one size and have another."""
    repeated = directory.repeated - DESCRIPTIVE - {ORIENTATION, XMP, IPTC, RESOURCES, ICC}
    if repeated:
        raise UnreadablePicture(f"The TIFF has tag {min(repeated)} more than once; each tag may occur once.")


def _is_8(directory: Directory) -> bool:
    return set(directory.integers(BITS, (1,))) == {8} and directory.integer(PHOTOMETRIC) in _PLAIN


def _sample_bits(directory: Directory) -> int:
    bits = set(directory.integers(BITS, (1,)))
    formats = set(directory.integers(SAMPLE_FORMAT, (1,)))
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
        raise UnreadablePicture("The TIFF has JPEG data with too many scans for their size.")


def _has_alpha(directory: Directory, photometric: int) -> bool:
    """Whether the first sample behind the colours is alpha; of CMYK it is not read."""
    is_more = directory.integer(SAMPLES, 1) > _COLOR_CHANNELS[photometric]
    kind = directory.integer(EXTRA_SAMPLES, 0)
    return is_more and photometric != CMYK and kind in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)


def _interpreted(planes: np.ndarray, directory: Directory, header: Header) -> Samples:
    """Stored samples [H, W, samples] as colour and alpha."""
    photometric = directory.integer(PHOTOMETRIC)
    channels = _COLOR_CHANNELS[photometric]
    if photometric not in _PLAIN:
        raise UnsupportedFormat(f"The TIFF has photometric interpretation {photometric} in an unsupported layout.")
    planes = planes.reshape(header.stored_height, header.stored_width, -1)
    if planes.shape[2] < channels:
        raise ValueError(f"{planes.shape[2]} samples a pixel for {channels} channels")
    if photometric == CMYK:
        inks = np.ascontiguousarray(to_8_bit(planes[..., :4]))
        return Samples(
            np.asarray(cmyk_to_srgb(Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes()), header.icc))
        )
    color = np.ascontiguousarray(planes[..., 0] if channels == 1 else planes[..., :3])
    if photometric == WHITE_IS_ZERO:
        color = ~color
    if not header.has_alpha:
        return Samples(color)
    alpha = np.ascontiguousarray(planes[..., channels])
    return _straight(Samples(color, alpha), directory)


def _is_known_to_opencv(directory: Directory) -> bool:
    """Whether OpenCV gives all 16 bits, as it does of the usual layouts: it takes half the memory."""
    photometric = directory.integer(PHOTOMETRIC)
    return (
        _sample_bits(directory) == 16
        and directory.integer(COMPRESSION, 1) in _OF_OPENCV
        and directory.integer(PLANAR, 1) != IN_PLANES
        and photometric in (BLACK_IS_ZERO, RGB)
        and directory.integer(SAMPLES, 1) == (1 if photometric == BLACK_IS_ZERO else 3 + _has_alpha(directory, RGB))
    )


def _decoded_bytes(directory: Directory, bits: int) -> int:
    """Bytes a pixel of layouts that OpenCV does not read: the file is copied, and Pillow's samples are, twice."""
    if directory.integer(COMPRESSION) in FILES:
        return _BYTES_OF_FILES
    return 0 if _is_known_to_opencv(directory) else 4 * directory.integer(SAMPLES, 1) * bits // 8


def _straight(samples: Samples, directory: Directory) -> Samples:
    """Colour freed from the alpha it was multiplied with, where it was; black where nothing is seen of it."""
    color, alpha = samples.color, samples.alpha
    if alpha is None or directory.integer(EXTRA_SAMPLES) != ASSOCIATED_ALPHA:
        return samples
    top = np.iinfo(color.dtype).max
    weights = alpha if color.ndim == 2 else alpha[..., None]
    result = np.empty_like(color)
    for start in range(0, len(color), _ROWS_AT_ONCE):  # floats take four times as much as the picture
        rows = slice(start, start + _ROWS_AT_ONCE)
        weight = weights[rows]
        straight = np.minimum(np.rint(color[rows] * (top / np.maximum(weight, 1).astype(np.float32))), top)
        result[rows] = np.where(weight > 0, straight, 0)
    return Samples(result, alpha)
