"""XMP packets (ISO 16684-1): removes what is no longer true of an enhanced picture, and the location if wanted.

Everything else stays byte for byte: the packet is cut, not rewritten, so that prefixes, order and padding survive. A
packet that cannot be parsed, is not UTF-8, has a document type or namespaces of absurd length, or is larger than
MAX_XMP_BYTES counts as absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_XMP_BYTES = 512 * 1024
"""The largest packet that is kept; a segment of JPEG holds 64 KiB, Lightroom's longest ones have some hundred."""

_STALE_PROPERTIES = {
    ("http://ns.adobe.com/tiff/1.0/", "Orientation"),
    ("http://ns.adobe.com/tiff/1.0/", "ImageWidth"),
    ("http://ns.adobe.com/tiff/1.0/", "ImageLength"),
    ("http://ns.adobe.com/exif/1.0/", "PixelXDimension"),
    ("http://ns.adobe.com/exif/1.0/", "PixelYDimension"),
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"),
    ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"),
}
# Of pictures and data that phones append to the file or put into an extended packet; answers have neither.
_STALE_NAMESPACES = (
    "http://ns.adobe.com/hdr-gain-map/",
    "http://ns.apple.com/HDRGainMap/",
    "http://ns.google.com/photos/",
)
_LOCATION = re.compile(
    r"gps.*|.*latitude|.*longitude|altitude|city|state|country.*|province.*|sublocation|location.*|worldregion|coverage",
    re.IGNORECASE,
)
# Possessive, and only from where white space begins: otherwise long white space would take the square of its length.
_ATTRIBUTE = re.compile(rb"(?<!\s)\s++([^\s=\"']++)\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')")
# Parsers put a namespace before every name that is in it. The longest one in use has some 60 characters.
_LONG_NAMESPACE = re.compile(rb"(?<=\s)xmlns[^\s=]*+\s*+=\s*+(?:\"[^\"]{257}|'[^']{257})")
_DOCUMENT_TYPE = b"<!DOCTYPE"
_WGS84 = "http://www.w3.org/2003/01/geo/wgs84_pos#"


def kept(packet: bytes | None, *, with_location: bool) -> bytes | None:
    """The packet as it may lie beside an upright, enhanced picture; None where nothing sound is left.

    Orientation, sizes, thumbnails and references to gain maps and appended files go. Without the location, so do all
    properties of EXIF's, IPTC's, Photoshop's and drones' schemas that name one, in whatever namespace they stand.
    """
    packet = (packet or b"").rstrip(b"\0")  # some writers count the zero behind their text
    if not packet or len(packet) > MAX_XMP_BYTES:
        return None
    cutter = _Cutter(packet, with_location)
    try:
        cutter.run()
    except (expat.ExpatError, _Unusual, UnicodeDecodeError):
        return None
    return cutter.result()


class _Unusual(Exception):
    """The packet has something that no XMP has, such as a document type."""


@dataclass
class _Cutter:
    """Walks over a packet, and notes which of its bytes go: every event reaches from its index to the next one's."""

    packet: bytes
    with_location: bool
    cuts: list[tuple[int, int]] = field(default_factory=list)
    depth: int = 0
    cut_depth: int | None = None
    cut_start: int = 0
    closing: bool = False
    tag: tuple[int, list[str]] | None = None

    def run(self) -> None:
        """Raises ExpatError or _Unusual where the packet is not sound."""
        _check(self.packet)
        # Without `intern`, or the parser would keep every name with its whole namespace.
        parser = expat.ParserCreate("utf-8", " ", intern=None)
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.buffer_text = False
        parser.StartElementHandler = lambda name, attributes: self._start(
            parser.CurrentByteIndex, name, attributes[::2]
        )
        parser.EndElementHandler = lambda _: self._end(parser.CurrentByteIndex)
        parser.DefaultHandler = lambda _: self._settle(parser.CurrentByteIndex)
        parser.Parse(self.packet, True)
        self._settle(len(self.packet))

    def result(self) -> bytes:
        """The packet without what was cut."""
        pieces, position = [], 0
        for start, end in self.cuts:
            pieces.append(self.packet[position:start])
            position = max(position, end)
        return b"".join((*pieces, self.packet[position:]))

    def _start(self, index: int, name: str, attributes: list[str]) -> None:
        self._settle(index)
        self.depth += 1
        if self.cut_depth is not None:
            return
        if self._goes(name):
            self.cut_depth, self.cut_start = self.depth, index
        elif gone := [attribute for attribute in attributes if self._goes(attribute)]:
            self.tag = index, gone

    def _end(self, index: int) -> None:
        self._settle(index)
        if self.cut_depth == self.depth:
            self.closing = True
        self.depth -= 1

    def _settle(self, index: int) -> None:
        """What was open until this event ends here."""
        if self.tag is not None and index > self.tag[0]:
            start, attributes = self.tag
            self.tag = None
            self._cut_attributes(start, index, attributes)
        if self.closing and index > self.cut_start:
            # An empty element ends where it starts, and its end is the start of what comes next.
            self.cuts.append((self.cut_start, index))
            self.cut_depth, self.closing = None, False

    def _cut_attributes(self, start: int, end: int, names: list[str]) -> None:
        gone = {_qualified(name) for name in names}
        found = [match for match in _ATTRIBUTE.finditer(self.packet, start, end) if match[1] in gone]
        if len(found) != len(gone):
            raise _Unusual("an attribute that is not where it should be")
        self.cuts += [match.span() for match in found]

    def _goes(self, name: str) -> bool:
        namespace, _, rest = name.partition(" ")
        local = rest.partition(" ")[0] or namespace
        if (namespace, local) in _STALE_PROPERTIES or namespace.startswith(_STALE_NAMESPACES):
            return True
        return not self.with_location and (namespace == _WGS84 or bool(_LOCATION.fullmatch(local)))


def _qualified(name: str) -> bytes:
    """An attribute as it is written, by expat's "namespace local prefix"."""
    *_, local, prefix = name.split(" ")
    return f"{prefix}:{local}".encode()


def _check(packet: bytes) -> None:
    """Refuse what makes a parser's work much larger than the packet, before it begins: it cannot be stopped."""
    packet.decode("utf-8")
    # Zeros are part of other codings, which the parser would recognise whatever it is told.
    if b"\0" in packet or _DOCUMENT_TYPE in packet or _LONG_NAMESPACE.search(packet):
        raise _Unusual("zeros, a document type, or a namespace of more than 256 bytes")
