"""The picture formats, and the choice of an answer's format."""

from __future__ import annotations

import importlib.util
from enum import StrEnum
from functools import cache
from pathlib import Path

from service.errors import InvalidParameter, NotAcceptable


class PictureFormat(StrEnum):
    """Every format that is read; the value is the name used in parameters, listings and metrics."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    TIFF = "tiff"
    BMP = "bmp"
    GIF = "gif"
    HEIC = "heic"
    RAW = "raw"

    @property
    def media_type(self) -> str:
        """The format's media type, such as `image/jpeg`."""
        return f"image/{self.value}"

    @property
    def is_written(self) -> bool:
        """Whether answers can have this format; the others are only read."""
        return self in WRITTEN_FORMATS

    @property
    def answered_as(self) -> PictureFormat:
        """The format an answer takes when nobody asks for another one."""
        return _ANSWERS.get(self, self)


WRITTEN_FORMATS = (
    PictureFormat.JPEG,
    PictureFormat.PNG,
    PictureFormat.WEBP,
    PictureFormat.AVIF,
    PictureFormat.TIFF,
)
"""Formats of answers; the first is preferred where a client likes several equally."""

RAW_SUFFIXES = (
    ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw",
    ".3fr", ".iiq", ".mrw", ".x3f",
)  # fmt: skip
"""Of the cameras of Adobe's format, Canon, Nikon, Sony, Fujifilm, Panasonic, Olympus, Pentax, Samsung, and others."""

SUFFIXES = {
    ".jpg": PictureFormat.JPEG,
    ".jpeg": PictureFormat.JPEG,
    ".jpe": PictureFormat.JPEG,
    ".mpo": PictureFormat.JPEG,
    ".png": PictureFormat.PNG,
    ".webp": PictureFormat.WEBP,
    ".avif": PictureFormat.AVIF,
    ".tif": PictureFormat.TIFF,
    ".tiff": PictureFormat.TIFF,
    ".bmp": PictureFormat.BMP,
    ".gif": PictureFormat.GIF,
    ".heic": PictureFormat.HEIC,
    ".heif": PictureFormat.HEIC,
    ".hif": PictureFormat.HEIC,
    **dict.fromkeys(RAW_SUFFIXES, PictureFormat.RAW),
}
"""Suffix of a file's name -> the format it speaks of; the first one of a format is that of new files."""

_ANSWERS = {
    PictureFormat.BMP: PictureFormat.PNG,
    PictureFormat.GIF: PictureFormat.PNG,
    PictureFormat.HEIC: PictureFormat.JPEG,
    PictureFormat.RAW: PictureFormat.JPEG,
}

_MAX_SIDE = {
    PictureFormat.JPEG: 65_500,  # libjpeg's JPEG_MAX_DIMENSION
    PictureFormat.WEBP: 16_383,  # 14 bits in the bitstream
    PictureFormat.AVIF: 32_768,  # libavif's default dimension limit
}

_ALIASES = {"image/jpg": "image/jpeg", "image/tif": "image/tiff"}

FORMAT_ALIASES = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff"}
"""Other names that clients use for the formats of answers."""


def is_picture(path: Path) -> bool:
    """Whether a file has the suffix of a supported picture; raw files count only if their extra is installed.

    Otherwise they would fail beside the JPEGs that the camera made of them.
    """
    format = SUFFIXES.get(path.suffix.lower())
    return format is not None and not path.name.startswith(".") and (format is not PictureFormat.RAW or reads_raw())


@cache
def reads_raw() -> bool:
    """Whether LibRaw is installed, by the extra `nightlift[raw]`."""
    return importlib.util.find_spec("rawpy") is not None


def negotiate_format(
    requested: PictureFormat | str | None, accept: str | None, source: PictureFormat
) -> PictureFormat:
    """The format of an answer: `requested`, else the source's own unless `accept` excludes it.

    Args:
        requested: the `format` parameter; it wins over everything.
        accept: the `Accept` header (RFC 9110, section 12.5.1), with wildcards and q-values; None means `*/*`.
        source: format of the picture that came in; BMP and GIF are answered as PNG, HEIC as JPEG.

    Raises:
        InvalidParameter: `requested` is not a format that is written.
        NotAcceptable: `accept` leaves none.
    """
    if requested is not None:
        return _written(requested)
    own = source.answered_as
    if accept is None or not accept.strip():
        return own
    ranges = _media_ranges(accept)
    if _quality(own, ranges) > 0:
        return own
    best = max(WRITTEN_FORMATS, key=lambda candidate: _quality(candidate, ranges))
    if _quality(best, ranges) <= 0:
        names = ", ".join(candidate.media_type for candidate in WRITTEN_FORMATS)
        raise NotAcceptable(f"'Accept' allows none of the output formats: {names}.")
    return best


def check_writable(format: PictureFormat, width: int, height: int) -> None:
    """Refuse early what `encode` would have to refuse at the end.

    Raises:
        InvalidParameter: the format is not written, or holds no picture with a side this long.
    """
    _written(format)
    largest = _MAX_SIDE.get(format)
    if largest is not None and max(width, height) > largest:
        raise InvalidParameter(
            f"A picture of {width}x{height} does not fit into {format.value}, "
            f"which holds at most {largest} pixels a side; ask for png or tiff.",
            parameter="format",
        )


def _written(requested: PictureFormat | str) -> PictureFormat:
    requested = FORMAT_ALIASES.get(requested, requested)
    if requested not in set(WRITTEN_FORMATS):
        names = ", ".join(WRITTEN_FORMATS)
        raise InvalidParameter(f"'format' is {str(requested)[:40]!r}; it can be {names}.", parameter="format")
    return PictureFormat(requested)


def _media_ranges(accept: str) -> dict[str, float]:
    """Media range -> q-value; what cannot be parsed is left out."""
    ranges: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            ranges[_ALIASES.get(name, name)] = quality
    return ranges


def _quality(format: PictureFormat, ranges: dict[str, float]) -> float:
    """The q-value of the most specific range that matches, 0 where none does."""
    for name in (format.media_type, "image/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
