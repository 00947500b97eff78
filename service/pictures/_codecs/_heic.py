"""HEIC by libheif (pillow-heif), which comes with the extra `nightlift[heic]`. Read as 8 bits."""

from __future__ import annotations

import importlib
from typing import Any

from service.errors import UnsupportedFormat
from service.pictures._codecs import _pillow
from service.pictures._codecs._samples import Samples
from service.pictures._exif import bare
from service.pictures._formats import PictureFormat
from service.pictures._header import Header


def read_header(data: bytes) -> Header:
    """The header by libheif, which parses the boxes. It turns pictures upright itself: there is no orientation."""
    image = _open(data)
    width, height = image.size
    return Header(
        PictureFormat.HEIC,
        width,
        height,
        colour="grey" if image.mode in ("L", "LA") else "rgb",
        has_alpha=image.has_alpha,
        icc=image.info.get("icc_profile"),
        exif=bare(image.info.get("exif")),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The file's primary picture."""
    return _pillow.to_samples(_open(data).to_pillow(), header)


def _open(data: bytes) -> Any:
    try:
        heif = importlib.import_module("pillow_heif")
    except ImportError:
        raise UnsupportedFormat(
            "The file is HEIC, which this installation does not read; its operator can install 'nightlift[heic]'."
        ) from None
    file = heif.open_heif(data, convert_hdr_to_8bit=True)
    return file[file.primary_index]
