"""JPEG (ITU-T T.81): libjpeg-turbo by simplejpeg, and Pillow for CMYK and for files with small faults.

simplejpeg decodes 12 megapixels about three times as fast as Pillow, but it knows no metadata; so the
segments are read and written here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import simplejpeg

from service.errors import UnreadablePicture, UnsupportedFormat
from service.memory import empty
from service.pictures import _iptc
from service.pictures._codecs import _jpeg_strips, _pillow
from service.pictures._codecs._jpeg_scans import END, EOI, MAX_SCANNED_PIXELS, SOS, Scans, find_scans
from service.pictures._codecs._samples import Extras, Samples
from service.pictures._exif import bare, is_adobe_rgb, orientation
from service.pictures._formats import PictureFormat
from service.pictures._header import Colour, Density, Header
from service.pictures._matrix_profiles import ADOBE_RGB, ADOBE_RGB_GAMMA, by_numbers

_SOI_END = 2
_APP0, _APP1, _APP2, _APP13 = 0xE0, 0xE1, 0xE2, 0xED
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_PROGRESSIVE = {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}
_EXIF_MARK, _ICC_MARK, _JFIF_MARK = b"Exif\0\0", b"ICC_PROFILE\0", b"JFIF\0"
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
# Of Ultra HDR: ISO 21496-1, and Adobe's before it.
_GAIN_MAP_MARK, _GAIN_MAP_NAMESPACE = b"urn:iso:std:iso:ts:21496:-1", b"http://ns.adobe.com/hdr-gain-map/"
_INCHES, _CENTIMETRES = 1, 2
_MAX_SEGMENT_BYTES = 65_533
_MARKER = re.compile(rb"\xff++[^\xff]")
# A body of the default size has room for as many full ones, and the event loop reads so many empty ones in time.
_MAX_SEGMENTS = 1024
# Encoders write about ten, optimisers up to twenty.
_MAX_SCANS = 100
_SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
# What libjpeg says of bytes between the end of a scan's data and the next marker, such as a phone's own trailer.
_STRAY_BYTES = "extraneous bytes"
_COLOURS: dict[int, Colour] = {1: "grey", 3: "rgb", 4: "cmyk"}


def read_header(data: bytes) -> Header:
    """The header from the segments before the first scan."""
    frame: bytes | None = None
    found = _Metadata()
    for marker, start, end in _segments(data):
        segment = data[start:end]
        if marker in _OTHER_FRAMES:
            raise UnsupportedFormat("The file is a lossless or hierarchical JPEG; use a baseline or progressive one.")
        if marker in _FRAMES:
            frame = bytes([marker]) + segment
        elif marker == SOS and frame is not None:
            _check_scans(data, start - 2, frame, segment)
        else:
            found.note(marker, segment)
    if frame is None:
        raise ValueError("a scan comes before the frame")
    return _header(frame, found)


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first picture of the file. Multi-picture files (MPO) continue after it."""
    if header.colour == "cmyk":
        scans = _scans(data)
        is_sound = scans.has_end or scans.is_torn
        return _pillow.read_pixels(data, header) if is_sound else _without_end(data, header, scans)
    try:
        return _decoded(data, header)
    except ValueError:
        scans = _scans(data)
        # simplejpeg calls harmless faults errors too, such as stray bytes between segments, and Pillow does not.
        # But it takes missing rows for grey ones where no end comes: what lacks an end must lack no more.
        if scans.has_end or scans.is_torn:
            return _pillow.read_pixels(data, header)
        return _without_end(data, header, scans)


def write(samples: Samples, extras: Extras) -> bytes:
    """A baseline JPEG. Alpha is not written; blocks of metadata beyond 64 KB do not fit and are left out."""
    pixels = samples.color[..., None] if samples.is_grey else samples.color
    if samples.is_grey or not _jpeg_strips.suits(samples.color, extras.subsampling):
        if samples.rows is not None:
            samples.rows.make_all()
        file = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels),
            quality=extras.quality,
            colorspace="GRAY" if samples.is_grey else "RGB",
            colorsubsampling="Gray" if samples.is_grey else extras.subsampling,
        )
    else:
        file = _jpeg_strips.write(samples.color, extras.quality, extras.subsampling, samples.rows)
    after_jfif = 4 + int.from_bytes(file[4:6], "big")
    head = (file[:_SOI_END], _jfif(extras.density), *_metadata(extras))
    return b"".join((*head, memoryview(file)[after_jfif:]))


@dataclass
class _Metadata:
    """What the segments before the first scan say beside the picture."""

    exif: bytes | None = None
    xmp: bytes | None = None
    icc: dict[int, bytes] = field(default_factory=dict)
    resources: list[bytes] = field(default_factory=list)
    density: Density | None = None
    has_gain_map: bool = False

    def note(self, marker: int, segment: bytes) -> None:
        """Look at one segment; of EXIF and XMP the first ones count."""
        if marker == _APP1 and self.exif is None and segment.startswith(_EXIF_MARK):
            self.exif = bare(segment)
        elif marker == _APP1 and self.xmp is None and segment.startswith(_XMP_MARK):
            self.xmp = segment.removeprefix(_XMP_MARK)
            self.has_gain_map |= _GAIN_MAP_NAMESPACE in segment
        elif marker == _APP2 and segment.startswith(_ICC_MARK):
            self.icc[segment[len(_ICC_MARK)]] = segment[len(_ICC_MARK) + 2 :]
        elif marker == _APP2 and segment.startswith(_GAIN_MAP_MARK):
            self.has_gain_map = True
        elif marker == _APP13 and segment.startswith(_iptc.RESOURCES_MARK):
            self.resources.append(segment.removeprefix(_iptc.RESOURCES_MARK))
        elif marker == _APP0 and segment.startswith(_JFIF_MARK) and len(segment) >= 12:
            self.density = _density(segment)

    @property
    def profile(self) -> bytes | None:
        """The colour profile, put together from its parts."""
        return b"".join(part for _, part in sorted(self.icc.items())) or None


def _density(jfif: bytes) -> Density | None:
    """The print resolution of a JFIF segment (ITU-T T.871, section 10.1)."""
    scale = {_INCHES: 1.0, _CENTIMETRES: 2.54}.get(jfif[7])
    across, down = int.from_bytes(jfif[8:10], "big"), int.from_bytes(jfif[10:12], "big")
    return (across * scale, down * scale) if scale and across and down else None


def _decoded(data: bytes, header: Header) -> Samples:
    """The samples by simplejpeg, which raises ValueError at every fault."""
    is_grey = header.colour == "grey"
    pixels = empty((header.stored_height, header.stored_width, 1 if is_grey else 3), np.uint8)
    simplejpeg.decode_jpeg(data, "GRAY" if is_grey else "RGB", buffer=pixels)
    return Samples(pixels[..., 0] if is_grey else pixels)


def _without_end(data: bytes, header: Header, scans: Scans) -> Samples:
    """The samples of a file that lacks nothing but its end marker; ValueError where rows are missing.

    Whether the last scan is complete, decoding says. Of arithmetic coding it does not: such files must have an end.
    """
    if not scans.is_complete or _frame(data)[0] in _ARITHMETIC:
        raise ValueError("the file is cut short")
    whole = data[: scans.end] + END
    try:
        if header.colour != "cmyk":
            return _decoded(whole, header)
        simplejpeg.decode_jpeg(whole, "CMYK")
    except ValueError as error:
        if _STRAY_BYTES not in str(error):
            raise
    return _pillow.read_pixels(whole, header)


def _scans(data: bytes) -> Scans:
    """The scans of the first picture."""
    frame = _frame(data)
    first = next(start for marker, start, _ in _segments(data) if marker == SOS)
    return find_scans(data, first - 2, frame[7::3], _MAX_SCANS)


def _frame(data: bytes) -> bytes:
    """The frame's marker and segment."""
    return next(bytes([marker]) + data[start:end] for marker, start, end in _segments(data) if marker in _FRAMES)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and start and end of the content, of the segments up to the first scan's, which comes last."""
    position = _SOI_END
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.match(data, data.index(b"\xff", position))
        if found is None:
            raise ValueError("the file ends before its first scan")
        position = found.end()
        marker = data[position - 1]
        if marker in _WITHOUT_LENGTH or marker == 0:
            continue
        start, end = position + 2, position + int.from_bytes(data[position : position + 2], "big")
        if marker == EOI or not start <= end <= len(data):
            raise ValueError("the file ends before its first scan")
        yield marker, start, end
        if marker == SOS:
            return
        position = end
    raise UnreadablePicture(f"The JPEG has more than {_MAX_SEGMENTS} segments before its first scan.")


def _header(frame: bytes, found: _Metadata) -> Header:
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
        orientation=orientation(found.exif),
        subsampling=_subsampling(frame) if components == 3 else None,
        icc=found.profile or _profile_by_exif(found.exif, components),
        has_gain_map=found.has_gain_map,
        exif=found.exif,
        xmp=found.xmp,
        iptc=_iptc.from_resources(b"".join(found.resources)),
        density=found.density,
    )


def _profile_by_exif(exif: bytes | None, components: int) -> bytes | None:
    """The profile of cameras that name Adobe RGB, and do not embed it."""
    if components != 3 or not is_adobe_rgb(exif):
        return None
    return by_numbers(ADOBE_RGB, ADOBE_RGB_GAMMA, grey=False)


def _subsampling(frame: bytes) -> str | None:
    """The usual name of the chroma subsampling, where both chroma channels are sampled alike."""
    (h, v), *chroma = ((factors >> 4, factors & 15) for factors in frame[8::3])
    if any(part != (1, 1) for part in chroma):
        return None
    return _SUBSAMPLING.get((h, v))


def _check_scans(data: bytes, position: int, frame: bytes, scan: bytes) -> None:
    """Refuse files whose many scans would make a small file cost minutes."""
    if frame[0] not in _PROGRESSIVE and scan[0] == frame[6]:
        return  # a sequential file whose first scan has all components has no other
    pixels = int.from_bytes(frame[2:4], "big") * int.from_bytes(frame[4:6], "big")
    most = min(_MAX_SCANS, MAX_SCANNED_PIXELS // max(pixels, 1))
    if find_scans(data, position, frame[7::3], most + 1).count > most:
        raise UnreadablePicture(
            f"The JPEG has more than {most} scans; so many are allowed at {pixels / 1e6:.1f} million pixels."
        )


def _metadata(extras: Extras) -> list[bytes]:
    """The segments of what is kept; what does not fit into one is left out."""
    blocks = []
    if extras.exif:
        blocks.append((_APP1, _EXIF_MARK + extras.exif))
    if extras.xmp:
        blocks.append((_APP1, _XMP_MARK + extras.xmp))
    if extras.iptc:
        blocks.append((_APP13, _iptc.to_resources(extras.iptc)))
    segments = [_segment(marker, block) for marker, block in blocks if len(block) <= _MAX_SEGMENT_BYTES]
    if extras.icc:
        size = _MAX_SEGMENT_BYTES - len(_ICC_MARK) - 2
        parts = [extras.icc[start : start + size] for start in range(0, len(extras.icc), size)]
        if len(parts) <= 255:
            segments += [
                _segment(_APP2, _ICC_MARK + bytes([number, len(parts)]) + part)
                for number, part in enumerate(parts, start=1)
            ]
    return segments


def _jfif(density: Density | None) -> bytes:
    """The JFIF segment: version 1.1, and the print resolution or square pixels."""
    unit, across, down = (_INCHES, *map(round, density)) if density else (0, 1, 1)
    if max(across, down) > 0xFFFF:
        unit, across, down = 0, 1, 1
    size = across.to_bytes(2, "big") + down.to_bytes(2, "big")
    return _segment(_APP0, _JFIF_MARK + bytes([1, 1, unit]) + size + bytes(2))


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload
