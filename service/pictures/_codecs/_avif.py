"""AVIF, by Pillow (libavif). Pictures of 10 and 12 bits are read as 8."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from service.errors import UnreadablePicture
from service.pictures._codecs import _pillow
from service.pictures._codecs._av1 import frame_pixels
from service.pictures._codecs._heif import Crop, clean_aperture, colours, has_gain_map, main_item
from service.pictures._codecs._heif_repair import with_brand, with_sizes
from service.pictures._codecs._iso_media import av1_data
from service.pictures._codecs._samples import Extras, Samples
from service.pictures._exif import bare, orientation
from service.pictures._formats import PictureFormat
from service.pictures._header import Header
from service.pictures._matrix_profiles import Colours

# Measured at quality 90 on photos: speed 9 takes 0.6 s for 12 MP, 8 takes 1.4 s for files 2 % smaller, and 6
# (libavif's default) takes 6 s.
_SPEED = 9
_LOSSLESS_ALPHA = {"alpha:lossless": "1"}
_SUBSAMPLING = {"444": "4:4:4", "422": "4:2:2"}
# Pixels of all frames together, in multiples of the picture's: colour, alpha, and the same in up to four layers.
_MAX_FRAMES = 8


def read_header(data: bytes) -> Header:
    """The header by libavif, which parses the boxes and decodes nothing; rotation boxes become an orientation."""
    frames = frame_pixels(av1_data(data))
    image = _open(data)
    exif = bare(image.info.get("exif"))
    width, height = image.size
    _check_frames(frames, width, height)
    item = main_item(data)
    crop = clean_aperture(item, width, height)
    is_grey = image.mode == "L"
    icc = image.info.get("icc_profile")
    space = Colours(icc) if icc else colours(item, grey=is_grey)
    return Header(
        PictureFormat.AVIF,
        crop.width if crop else width,
        crop.height if crop else height,
        colour="grey" if is_grey else "rgb",
        has_alpha=_pillow.has_transparency(image),
        is_animated=getattr(image, "n_frames", 1) > 1,
        orientation=orientation(exif),
        has_gain_map=has_gain_map(data),
        icc=space.icc,
        hdr=space.hdr,
        exif=exif,
        xmp=image.info.get("xmp"),
    )


def read_pixels(data: bytes, header: Header) -> Samples:
    """The picture, or the first frame of a sequence, cut to its clean aperture."""
    image = _open(data)
    crop = clean_aperture(main_item(data), *image.size)
    samples = _pillow.to_samples(image, header)
    return samples if crop is None else _cut(samples, crop)


def write(samples: Samples, extras: Extras) -> bytes:
    """A lossy AVIF of 8 bits with lossless alpha; grey is written as one channel.

    One thread, as requests run side by side.
    """
    is_grey = samples.is_grey and samples.alpha is None
    file = io.BytesIO()
    _pillow.to_image(samples).save(
        file,
        format="AVIF",
        quality=extras.quality,
        speed=_SPEED,
        subsampling="4:0:0" if is_grey else _SUBSAMPLING.get(extras.subsampling, "4:2:0"),
        advanced={} if samples.alpha is None else _LOSSLESS_ALPHA,
        max_threads=1,
        exif=extras.exif or b"",
        icc_profile=extras.icc or b"",
        xmp=extras.xmp or b"",
    )
    return file.getvalue()


def _open(data: bytes) -> Image.Image:
    """Pillow's lazy image, by a second way where libavif refuses the first."""
    try:
        return _pillow.open_image(data, PictureFormat.AVIF)
    except UnidentifiedImageError:
        return _pillow.open_image(with_sizes(with_brand(data, b"avif")), PictureFormat.AVIF)


def _cut(samples: Samples, crop: Crop) -> Samples:
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    alpha = None if samples.alpha is None else np.ascontiguousarray(samples.alpha[rows, columns])
    return Samples(np.ascontiguousarray(samples.color[rows, columns]), alpha)


def _check_frames(frames: list[int], width: int, height: int) -> None:
    """Refuse frames larger than the file announces, which libavif would accept, decode and then shrink."""
    if not frames:
        raise ValueError("there is no frame")
    largest, total = max(frames), sum(frames)
    if largest > width * height or total > _MAX_FRAMES * width * height:
        raise UnreadablePicture(
            f"The AVIF announces {width}x{height} pixels, but its {len(frames)} frames have up to {largest}; "
            f"none may be larger than the picture, and all together at most {_MAX_FRAMES} times as large."
        )
