"""JPEG (ITU-T T.81): libjpeg-turbo by simplejpeg, and Pillow for CMYK and for files with small faults.

simplejpeg decodes 12 megapixels about three times as fast as Pillow, but it knows no metadata; so the
segments are read and written here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simplejpeg

from service.errors import UnreadablePicture, UnsupportedFormat
from service.memory import empty
from service.pictures._codecs import _pillow
from service.pictures._codecs._samples import Extras, Samples
from service.pictures._exif import bare, orientation
from service.pictures._formats import PictureFormat
from service.pictures._header import Colour, Header

_SOI_END, _EOI, _SOS = 2, 0xD9, 0xDA
_APP1, _APP2 = 0xE1, 0xE2
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PROGRESSIVE = {0xC2, 0xCA}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_EXIF_MARK, _ICC_MARK = b"Exif\0\0", b"ICC_PROFILE\0"
_LARGEST_SEGMENT = 65_533
_MAX_SEGMENTS = 4096
# Every scan of a progressive file passes over all pixels again; encoders write about ten.
_MAX_SCANS = 100
_SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
_COLOURS: dict[int, Colour] = {1: "grey", 3: "rgb", 4: "cmyk"}


def read_header(data: bytes) -> Header:
    """The header from the segments before the first scan."""
    frame: bytes | None = None
    exif: bytes | None = None
    icc_parts: dict[int, bytes] = {}
    for marker, start, end in _segments(data):
        segment = data[start:end]
        if marker in _OTHER_FRAMES:
            raise UnsupportedFormat("The file is a lossless or hierarchical JPEG; use a baseline or progressive one.")
        if marker in _FRAMES:
            frame = bytes([marker]) + segment
        elif marker == _APP1 and exif is None and segment.startswith(_EXIF_MARK):
            exif = bare(segment)
        elif marker == _APP2 and segment.startswith(_ICC_MARK):
            icc_parts[segment[len(_ICC_MARK)]] = segment[len(_ICC_MARK) + 2 :]
        elif marker == _SOS and frame is not None:
            _check_scans(data, end, frame, segment)
    if frame is None:
        raise ValueError("a scan comes before the frame")
    return _header(frame, exif, b"".join(part for _, part in sorted(icc_parts.items())) or None)


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first picture of the file. Multi-picture files (MPO) continue after it."""
    if header.colour == "cmyk":
        return _pillow.read_pixels(data, header)
    is_grey = header.colour == "grey"
    pixels = empty((header.stored_height, header.stored_width, 1 if is_grey else 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, "GRAY" if is_grey else "RGB", buffer=pixels)
    except Exception:
        # simplejpeg calls harmless faults errors too, such as stray bytes between segments. Pillow does not,
        # and refuses what is cut short all the same.
        return _pillow.read_pixels(data, header)
    return Samples(pixels[..., 0] if is_grey else pixels)


def write(samples: Samples, extras: Extras) -> bytes:
    """A baseline JPEG. Alpha is not written; an EXIF block beyond 64 KB does not fit and is left out."""
    pixels = samples.color[..., None] if samples.is_grey else samples.color
    file = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels),
        quality=extras.quality,
        colorspace="GRAY" if samples.is_grey else "RGB",
        colorsubsampling="Gray" if samples.is_grey else extras.subsampling,
    )
    metadata = _metadata(extras)
    if not metadata:
        return bytes(file)
    after_jfif = 4 + int.from_bytes(file[4:6], "big")
    return b"".join((file[:after_jfif], *metadata, memoryview(file)[after_jfif:]))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and start and end of the content, of the segments up to the first scan's, which comes last."""
    position = _SOI_END
    for _ in range(_MAX_SEGMENTS):
        position = data.index(b"\xff", position)
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in _WITHOUT_LENGTH or marker == 0:
            continue
        start, end = position + 2, position + int.from_bytes(data[position : position + 2], "big")
        if marker == _EOI or not start <= end <= len(data):
            raise ValueError("the file ends before its first scan")
        yield marker, start, end
        if marker == _SOS:
            return
        position = end
    raise ValueError(f"more than {_MAX_SEGMENTS} segments before the first scan")


def _header(frame: bytes, exif: bytes | None, icc: bytes | None) -> Header:
    precision, components = frame[1], frame[6]
    height, width = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    if precision != 8:
        raise UnsupportedFormat(f"The JPEG has {precision} bits a channel; accepted are 8.")
    if not (height and width and components in _COLOURS):
        raise ValueError(f"a frame of {width}x{height} with {components} components")
    return Header(
        PictureFormat.JPEG,
        width,
        height,
        colour=_COLOURS[components],
        orientation=orientation(exif),
        subsampling=_subsampling(frame) if components == 3 else None,
        icc=icc,
        exif=exif,
    )


def _subsampling(frame: bytes) -> str | None:
    """The usual name of the chroma subsampling, where both chroma channels are sampled alike."""
    (h, v), *chroma = ((factors >> 4, factors & 15) for factors in frame[8::3])
    if any(part != (1, 1) for part in chroma):
        return None
    return _SUBSAMPLING.get((h, v))


def _check_scans(data: bytes, position: int, frame: bytes, scan: bytes) -> None:
    """Refuse files whose many scans would make a small file cost minutes."""
    has_one_scan = frame[0] not in _PROGRESSIVE and scan[0] == frame[6]
    if not has_one_scan and data.count(b"\xff\xda", position) > _MAX_SCANS:
        raise UnreadablePicture(f"The JPEG has more than {_MAX_SCANS} scans.")


def _metadata(extras: Extras) -> list[bytes]:
    segments = []
    if extras.exif and len(_EXIF_MARK) + len(extras.exif) <= _LARGEST_SEGMENT:
        segments.append(_segment(_APP1, _EXIF_MARK + extras.exif))
    if extras.icc:
        size = _LARGEST_SEGMENT - len(_ICC_MARK) - 2
        parts = [extras.icc[start : start + size] for start in range(0, len(extras.icc), size)]
        if len(parts) <= 255:
            segments += [
                _segment(_APP2, _ICC_MARK + bytes([number, len(parts)]) + part)
                for number, part in enumerate(parts, start=1)
            ]
    return segments


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
