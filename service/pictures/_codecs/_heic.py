"""HEIC by libheif (pi-heif, which decodes only and has no patent-laden encoder). Read as 8 bits."""

from __future__ import annotations

from typing import Any

import pi_heif

from service.pictures._codecs import _pillow
from service.pictures._codecs._heif import colours, main_item
from service.pictures._codecs._samples import Samples
from service.pictures._exif import bare
from service.pictures._formats import PictureFormat
from service.pictures._header import Header
from service.pictures._matrix_profiles import Colours


def read_header(data: bytes) -> Header:
    """The header by libheif, which parses the boxes. It turns pictures upright itself: there is no orientation."""
    image = _open(data)
    width, height = image.size
    is_grey = image.mode in ("L", "LA")
    icc = image.info.get("icc_profile")
    space = Colours(icc) if icc else colours(main_item(data), grey=is_grey)
    return Header(
        PictureFormat.HEIC,
        width,
        height,
        colour="grey" if is_grey else "rgb",
        has_alpha=image.has_alpha,
        icc=space.icc,
        hdr=space.hdr,
        exif=bare(image.info.get("exif")),
        xmp=image.info.get("xmp"),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The file's primary picture."""
    return _pillow.to_samples(_open(data).to_pillow(), header)


def _open(data: bytes) -> Any:
    file = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
    return file[file.primary_index]
