"""BMP, by Pillow; run-length compressed files are refused, because Pillow decodes them slowly."""

from __future__ import annotations

from service.errors import UnsupportedFormat
from service.pictures._codecs import _pillow
from service.pictures._codecs._samples import Samples
from service.pictures._formats import PictureFormat
from service.pictures._header import Header

_RUN_LENGTHS = {1, 2}


def read_header(data: bytes) -> Header:
    """The header by Pillow, which reads only the file's first bytes and its palette."""
    image = _pillow.open_image(data, PictureFormat.BMP)
    # Pillow unpacks them in Python, a second for six million pixels under the interpreter lock.
    if image.info["compression"] in _RUN_LENGTHS:
        raise UnsupportedFormat("The BMP is run-length compressed; use an uncompressed one, or PNG.")
    width, height = image.size
    return Header(
        PictureFormat.BMP,
        width,
        height,
        colour="grey" if image.mode in ("1", "L") else "rgb",
        has_alpha=_pillow.has_transparency(image),
        density=image.info.get("dpi"),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The picture."""
    return _pillow.read_pixels(data, header)
