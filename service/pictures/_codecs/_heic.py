"""HEIC by libheif (pi-heif, which only decodes and so has no patented encoder). Read as 8 bits."""

from __future__ import annotations

from typing import Any

import pi_heif

from service.errors import UnreadablePicture
from service.pictures._codecs import _pillow
from service.pictures._codecs._heif import colours, has_gain_map, hevc_pixels, main_item
from service.pictures._codecs._hevc import Units, data_pixels
from service.pictures._codecs._iso_media import item_data
from service.pictures._codecs._samples import Samples
from service.pictures._exif import bare
from service.pictures._formats import PictureFormat
from service.pictures._header import Header
from service.pictures._matrix_profiles import Colours

_LENGTH_BYTES = 4  # before every unit, as all writers have it
_MARGIN = 1024
# Colour, alpha, and other images that libheif reads.
_MAX_FRAMES = 4


def read_header(data: bytes) -> Header:
    """The header by libheif, which parses the boxes. It turns pictures upright itself: there is no orientation."""
    image = _open(data)
    width, height = image.size
    _check_frames(data, width, height)
    is_grey = image.mode in ("L", "LA")
    icc = image.info.get("icc_profile")
    space = Colours(icc) if icc else colours(main_item(data), grey=is_grey)
    return Header(
        PictureFormat.HEIC,
        width,
        height,
        colour="grey" if is_grey else "rgb",
        has_alpha=image.has_alpha,
        has_gain_map=has_gain_map(data),
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


def _check_frames(data: bytes, width: int, height: int) -> None:
    """Refuse coded pictures larger than the file announces, which libheif would decode before it complains."""
    units = Units()
    frames = hevc_pixels(data, units)
    # Coded sizes are multiples of up to 64, and the tiles of a grid stand out over its edges by up to a tile.
    frames += [pixels for piece in item_data(data, b"hvc1") for pixels in data_pixels(piece, _LENGTH_BYTES, units)]
    allowed = (width + _MARGIN) * (height + _MARGIN)
    if not frames or max(frames) > allowed or sum(frames) > _MAX_FRAMES * allowed:
        raise UnreadablePicture(
            f"The HEIC announces {width}x{height} pixels, but its {len(frames)} coded pictures have up to "
            f"{max(frames, default=0)}; all together may be {_MAX_FRAMES} times as large."
        )
