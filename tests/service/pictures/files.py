"""Encoded files for tests of the codecs, made by other encoders than the service's wherever there is one."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import tifffile
from PIL import Image

SIZE = (48, 72)
"""Height and width of the pictures here: not square, both above the smallest side."""


def color_pixels(bits: int = 8) -> np.ndarray:
    """Smooth colours that differ at every corner, [48, 72, 3] of 8 or 16 bits (no multiples of 257)."""
    rows, columns = np.mgrid[0:1:48j, 0:1:72j]
    planes = np.stack((0.1 + 0.8 * columns, 0.1 + 0.7 * rows, 0.8 - 0.6 * rows * columns), axis=-1)
    return np.round(planes * (2**bits - 1)).astype(f"uint{bits}")


def grey_pixels(bits: int = 8) -> np.ndarray:
    """The first channel of `color_pixels`, [48, 72]."""
    return np.ascontiguousarray(color_pixels(bits)[..., 0])


def alpha_pixels(bits: int = 8) -> np.ndarray:
    """Alpha from transparent to opaque, [48, 72]."""
    return np.round(np.tile(np.linspace(0, 1, 72), (48, 1)) * (2**bits - 1)).astype(f"uint{bits}")


def pillow_file(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """A file by Pillow, lossless where the format has such an option."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if format == "JPEG":
        options = {"quality": 95, "subsampling": 0, **options}
        if "exif" in options:
            options["exif"] = b"Exif\0\0" + options["exif"]
    elif format == "WEBP":
        options = {"lossless": True, "exact": True, **options}
    elif format == "AVIF":
        options = {"quality": 95, "speed": 10, "subsampling": "4:4:4", **options}
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def tiff_file(planes: np.ndarray, **options: Any) -> bytes:
    """A TIFF by tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(file, planes, metadata=None, **options)
    return file.getvalue()


def png_file(
    planes: np.ndarray, color_type: int, *, size: tuple[int, int] | None = None, chunks: tuple[bytes, ...] = ()
) -> bytes:
    """An unfiltered PNG of [H, W, C] planes by the standard; `size` may lie, `chunks` go before the pixels."""
    height, width = size or planes.shape[:2]
    depth = 8 * planes.itemsize
    rows = planes.astype(planes.dtype.newbyteorder(">")).view(np.uint8).reshape(planes.shape[0], -1)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", body), png_chunk(b"IEND", b""))
    )


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def tiff_repeating(file: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF whose first directory has a second entry of a tag, behind its first one."""
    (start,) = struct.unpack("<I", file[4:8])
    (count,) = struct.unpack("<H", file[start : start + 2])
    end = start + 2 + 12 * count
    entries = [file[i : i + 12] for i in range(start + 2, end, 12)]
    first = next(i for i, entry in enumerate(entries) if entry.startswith(struct.pack("<H", tag)))
    entries.insert(first + 1, struct.pack("<HHII", tag, 4, 1, value))
    directory = struct.pack("<H", count + 1) + b"".join(entries) + file[end : end + 4]
    return file[:4] + struct.pack("<I", len(file)) + file[8:] + directory


def webp_announcing(file: bytes, width: int, height: int, *, first: bool = True) -> bytes:
    """A plain WebP with an extended header of this size, before its frame or behind it."""
    header = struct.pack("<4sIB", b"VP8X", 10, 0) + bytes(3)
    header += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = header + file[12:] if first else file[12:] + header
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def avif_announcing(file: bytes, width: int, height: int) -> bytes:
    """An AVIF whose boxes claim this size, of items and of tracks, whatever its frames are."""
    for kind, skipped, unit in ((b"ispe", 4, 1), (b"tkhd", 88, 1 << 16)):
        before, *boxes = file.split(kind)
        size = struct.pack(">II", width * unit, height * unit)
        file = kind.join((before, *(content[:skipped] + size + content[skipped + 8 :] for content in boxes)))
    return file


def box(kind: bytes, *payload: bytes) -> bytes:
    """A box of an ISO media file."""
    content = b"".join(payload)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def strips(parts: list[bytes], compression: int, planes: np.ndarray, rows: int, *, planar: int = 1) -> bytes:
    """A TIFF of strips that are compressed already."""
    height, width, channels = planes.shape
    starts = np.cumsum([8, *map(len, parts[:-1])])
    values = {
        256: (width,),
        257: (height,),
        258: (8 * planes.itemsize,) * channels,
        259: (compression,),
        262: (2,),
        273: tuple(starts),
        277: (channels,),
        278: (rows,),
        279: tuple(map(len, parts)),
        284: (planar,),
    }
    return tiff_of_tags({tag: (4, list(numbers)) for tag, numbers in values.items()}, b"".join(parts))


def tiff_of_tags(entries: dict[int, tuple[int, list[int]]], data: bytes) -> bytes:
    """A little-endian TIFF: the data behind the head, then one directory and the values that do not fit into it."""
    directory_at = 8 + len(data) + len(data) % 2
    rest_at = directory_at + 2 + 12 * len(entries) + 4
    head = struct.pack("<2sHI", b"II", 42, directory_at) + data + bytes(len(data) % 2)
    directory, rest = struct.pack("<H", len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        code = {3: "H", 16: "Q", 17: "q"}.get(kind, "I")
        packed = struct.pack(f"<{len(values)}{code}", *values)
        where = packed.ljust(4, b"\0")
        if len(packed) > 4:
            where, rest = struct.pack("<I", rest_at + len(rest)), rest + packed
        directory += struct.pack("<HHI", tag, kind, len(values)) + where
    return head + directory + bytes(4) + rest


def heic(pixels: np.ndarray, **options: Any) -> bytes:
    """A HEIC by libheif, with the encoder that the service has not."""
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, **{"quality": 90, **options})
    return file.getvalue()


def heif_of(items: dict[int, bytes], references: list[tuple[bytes, int, list[int]]]) -> bytes:
    """The boxes of a HEIF whose main picture is item 1; those of coding hvc1 have 64x64 pixels."""
    entries = [box(b"infe", b"\2\0\0\0", struct.pack(">HH", item, 0), kind, b"\0") for item, kind in items.items()]
    coded = [item for item, kind in items.items() if kind == b"hvc1"]
    places = b"".join(struct.pack(">HBB", item, 1, 1) for item in coded)
    made_of = [
        box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
        for kind, source, targets in references
    ]
    parameters = box(b"hvcC", _content(heic(np.zeros((64, 64, 3), np.uint8)), b"hvcC"))
    return box(
        b"meta",
        bytes(4),
        box(b"pitm", bytes(4), b"\0\1"),
        box(b"iinf", bytes(4), len(entries).to_bytes(2, "big"), *entries),
        box(b"iref", bytes(4), *made_of),
        box(b"iprp", box(b"ipco", parameters), box(b"ipma", bytes(4), struct.pack(">I", len(coded)), places)),
    )


def heif_described(file: bytes, *, add: tuple[bytes, ...] = (), alpha_without: bytes = b"") -> bytes:
    """A file of libavif whose main picture has more boxes that describe it, or whose alpha has one kind fewer."""
    meta = _content(file, b"meta")
    ipco, ipma = _content(meta, b"ipco"), _content(meta, b"ipma")
    known = _kinds(ipco)
    rows, position = b"", 8
    for item in range(1, 1 + int.from_bytes(ipma[4:8], "big")):
        places = list(ipma[position + 3 : position + 3 + ipma[position + 2]])
        position += 3 + len(places)
        if item == 1:
            places += [number | _essential(part) for number, part in enumerate(add, len(known) + 1)]
        elif alpha_without:
            places = [place for place in places if known[(place & 127) - 1] != alpha_without]
        rows += struct.pack(">HB", item, len(places)) + bytes(places)
    changed = file
    for old, new in ((ipco, ipco + b"".join(add)), (ipma, ipma[:8] + rows)):
        changed = changed.replace(
            struct.pack(">I", 8 + len(old)) + _before(file, old), box(_before(file, old), new)[:8]
        )
        changed = changed.replace(old, new)
    delta = len(changed) - len(file)
    for kind in (b"iprp", b"meta"):
        size = 8 + len(_content(file, kind))
        changed = changed.replace(struct.pack(">I4s", size, kind), struct.pack(">I4s", size + delta, kind))
    iloc = _content(file, b"iloc")
    moved = bytearray(iloc)
    for start in range(8, len(iloc), 14):  # number, reference, one extent: its start and size
        place = int.from_bytes(iloc[start + 6 : start + 10], "big") + delta
        moved[start + 6 : start + 10] = place.to_bytes(4, "big")
    return changed.replace(iloc, bytes(moved))


def _essential(part: bytes) -> int:
    """The mark of boxes that change what is shown."""
    return 0x80 if part[4:8] in (b"clap", b"irot", b"imir") else 0


def _before(file: bytes, content: bytes) -> bytes:
    start = file.index(content)
    return file[start - 4 : start]


def _content(file: bytes, kind: bytes) -> bytes:
    start = file.index(kind)
    return file[start + 4 : start - 4 + int.from_bytes(file[start - 4 : start], "big")]


def _kinds(boxes: bytes) -> list[bytes]:
    kinds, position = [], 0
    while position < len(boxes):
        kinds.append(boxes[position + 4 : position + 8])
        position += int.from_bytes(boxes[position : position + 4], "big")
    return kinds


def clean_aperture(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    """A box `clap`: this much of a picture, moved from its middle by half pixels."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


def colours_by_number(primaries: int, transfer: int) -> bytes:
    """A box `colr` of code points."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 0x80))


XMP = (
    "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''"
    " xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'"
    " xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'"
    " xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:ext='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'"
    " xmlns:drone='http://www.dji.com/drone-dji/1.0/' xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'"
    " xmp:Rating='4' photoshop:City = \"Stock>holm\" drone:GpsLatitude='+59.3' hdrgm:Version='1.0'"
    " tiff:Orientation='6'>"
    "<exif:GPSLatitude>59,19.55N</exif:GPSLatitude><photoshop:Country/>"
    "<dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>\u00a9 Nightlift</rdf:li></rdf:Alt></dc:rights>"
    "<ext:LocationShown><rdf:Bag><rdf:li rdf:parseType='Resource'><ext:City>Stockholm</ext:City></rdf:li></rdf:Bag>"
    "</ext:LocationShown><dc:subject><rdf:Bag><rdf:li>night</rdf:li></rdf:Bag></dc:subject>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end='w'?>"
).encode()
"""A packet with a rating, rights and a keyword, a place in five ways, and what an enhanced picture makes untrue."""


def iptc_block(*places: int) -> bytes:
    """An IPTC block with a caption and a keyword, and "Stockholm" in these fields."""
    fields = [(120, b"Harbour at night"), (25, b"night"), *((number, b"Stockholm") for number in places)]
    return b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in fields)


def iptc_resources(block: bytes) -> bytes:
    """A segment of JPEG with Photoshop's resources: another one, with a name, and the IPTC block."""
    other = b"8BIM" + struct.pack(">H", 0x03ED) + b"\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    record = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(block)) + block + bytes(len(block) % 2)
    content = b"Photoshop 3.0\0" + other + record
    return b"\xff\xed" + struct.pack(">H", 2 + len(content)) + content


def with_segment(jpeg: bytes, segment: bytes) -> bytes:
    """A JPEG with another segment behind its first one."""
    start = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:start] + segment + jpeg[start:]


def bmp_in_runs(width: int, height: int) -> bytes:
    """A BMP of one grey, run-length compressed: two bytes for up to 255 pixels."""
    row = b"".join(bytes((min(255, width - x), 7)) for x in range(0, width, 255)) + b"\0\0"
    runs, palette = row * height + b"\0\1", bytes(i for level in range(256) for i in (level, level, level, 0))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + palette + runs


def exif_block(orientation: int | None = None, *, location: bool = True, thumbnail: bytes = b"") -> bytes:
    """An EXIF block as cameras write it: maker, time, sizes, a place, and a second directory with a thumbnail."""
    exif = Image.Exif()
    exif[0x010F] = "Nightlift Optical"
    if orientation is not None:
        exif[0x0112] = orientation
    details = exif.get_ifd(0x8769)
    details[0x9003] = "2026:11:21 08:00:00"
    details[0x829A] = 0.5
    details[0xA002], details[0xA003] = SIZE[1], SIZE[0]
    if location:
        place = exif.get_ifd(0x8825)
        place[1], place[2] = "N", (59.0, 19.0, 33.25)
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    return _with_thumbnail(block, thumbnail) if thumbnail else block


def photo_with_place() -> bytes:
    """A dark JPEG with an EXIF block that names a maker and a place, as telephones take it."""
    return pillow_file(color_pixels() // 8, "JPEG", exif=exif_block())


def told_by(file: bytes) -> set[str]:
    """What the EXIF block of a file tells, of "maker" and "place"."""
    exif = Image.open(io.BytesIO(file)).getexif()
    told = {"maker": exif.get(0x010F) == "Nightlift Optical", "place": bool(exif.get_ifd(0x8825))}
    return {name for name, tells in told.items() if tells}


def _with_thumbnail(block: bytes, thumbnail: bytes) -> bytes:
    order = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack(order + "I", block[4:8])
    (count,) = struct.unpack(order + "H", block[first : first + 2])
    link = first + 2 + 12 * count
    entries = struct.pack(order + "HHHII", 2, 0x0201, 4, 1, len(block) + 30)
    entries += struct.pack(order + "HHIII", 0x0202, 4, 1, len(thumbnail), 0)
    return block[:link] + struct.pack(order + "I", len(block)) + block[link + 4 :] + entries + thumbnail
