"""Recognises formats by their first bytes alone; file names and Content-Type are ignored."""

from __future__ import annotations

from service.errors import UnreadablePicture, UnsupportedFormat
from service.pictures._codecs._heif import coding
from service.pictures._codecs._raw_kinds import is_raw
from service.pictures._formats import PictureFormat

ACCEPTED = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF and (with the extra 'nightlift[raw]') camera raw"

_SIGNATURES = (
    (b"\xff\xd8\xff", PictureFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", PictureFormat.PNG),
    (b"GIF87a", PictureFormat.GIF),
    (b"GIF89a", PictureFormat.GIF),
    (b"BM", PictureFormat.BMP),
    (b"II*\0", PictureFormat.TIFF),
    (b"MM\0*", PictureFormat.TIFF),
)

_REFUSED = (
    (b"%PDF", "a PDF document"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\x00\x00\x01\xba", "an MPEG video"),
    (b"\x00\x00\x01\xb3", "an MPEG video"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"P1", "a Netpbm picture"),
    (b"P2", "a Netpbm picture"),
    (b"P3", "a Netpbm picture"),
    (b"P4", "a Netpbm picture"),
    (b"P5", "a Netpbm picture"),
    (b"P6", "a Netpbm picture"),
)

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_AVIF_BRANDS = {b"avif", b"avis"}
# Of files that do not say how their picture is coded.
_HEIF_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf"}
_CODED = {b"av01": PictureFormat.AVIF, b"hvc1": PictureFormat.HEIC}
_CODINGS = {
    b"avc1": "a HEIF with a picture coded by H.264",
    b"j2k1": "a HEIF with a picture coded by JPEG 2000",
    b"jpeg": "a HEIF with a picture coded by JPEG",
    b"vvc1": "a HEIF with a picture coded by H.266",
    b"unci": "a HEIF with an uncompressed picture",
}


def sniff(data: bytes) -> PictureFormat:
    """The format of encoded bytes.

    Raises:
        UnreadablePicture: there are no bytes, or they are text.
        UnsupportedFormat: another kind of file, named where it is known.
    """
    if not data:
        raise UnreadablePicture(f"The picture is empty: it has no bytes. Accepted are {ACCEPTED}.")
    if is_raw(data):
        return PictureFormat.RAW
    for signature, format in _SIGNATURES:
        if data.startswith(signature):
            return format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return PictureFormat.WEBP
    if data[4:8] == b"ftyp":
        return _sniff_iso_media(data)
    for signature, name in _REFUSED:
        if data.startswith(signature):
            raise _refusal(name)
    if data[:4] == b"RIFF":
        raise _refusal("a RIFF file (such as AVI or WAV)")
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head):
        raise _refusal("SVG")
    if _looks_like_text(head):
        raise UnreadablePicture(f"The bytes are text, not a picture. Accepted are {ACCEPTED}.")
    raise _refusal("of an unknown kind")


def _sniff_iso_media(data: bytes) -> PictureFormat:
    """AVIF, HEIC or a video, by the brands in the `ftyp` box (ISO/IEC 14496-12, section 4.3)."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12]} | {data[i : i + 4] for i in range(16, size, 4)}
    if brands & _AVIF_BRANDS:
        return PictureFormat.AVIF
    if brands & _HEIC_BRANDS:
        return PictureFormat.HEIC
    if brands & _HEIF_BRANDS:
        coded = coding(data)
        if coded in _CODED:
            return _CODED[coded]
        raise _refusal(_CODINGS.get(coded, "a HEIF whose picture is coded in a way of its own"))
    raise _refusal("a video")


def _looks_like_text(head: bytes) -> bool:
    try:
        head[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head[:512]) - 3:  # a character cut at the end is no objection
            return False
    return not any(byte < 9 or 13 < byte < 32 for byte in head[:512])


def _refusal(name: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"The file is {name}, which is not supported. Accepted are {ACCEPTED}.")
