"""Pillow: BMP, AVIF, and whatever the faster decoders of the other formats leave over."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image

from service.errors import UnsupportedFormat
from service.pictures._codecs._samples import Samples
from service.pictures._colour import cmyk_to_srgb
from service.pictures._formats import PictureFormat
from service.pictures._header import Header

# Our own limits are checked before any decoder is called, and are finer; Pillow's would warn or raise on top.
Image.MAX_IMAGE_PIXELS = None
# Faults that Pillow works around are of no interest to the operator, and come with every odd upload.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ALPHA_MODES = {"RGBA", "RGBa", "LA", "La", "PA"}


def open_image(data: bytes, format: PictureFormat) -> Image.Image:
    """Pillow's lazy image: its header is read, no pixel is decoded yet."""
    return Image.open(io.BytesIO(data), formats=[format.value.upper()])


def read_pixels(data: bytes, header: Header) -> Samples:
    """The first frame, of 8 bits a channel; CMYK is converted to sRGB by `header.icc`."""
    image = open_image(data, header.format)
    if image.size != (header.stored_width, header.stored_height):
        raise ValueError(f"the header announced {header}, Pillow sees {image.size}")
    return to_samples(image, header)


def to_samples(image: Image.Image, header: Header) -> Samples:
    """The samples of a Pillow image, grey or RGB as the header says."""
    if image.mode.startswith(("I", "F")):
        raise UnsupportedFormat("The picture's samples are neither 8- nor 16-bit integers.")
    if image.mode == "CMYK":
        return Samples(np.asarray(cmyk_to_srgb(image, header.icc)))
    mode = "L" if header.colour == "grey" else "RGB"
    if not has_transparency(image):
        return Samples(np.asarray(image.convert(mode)))
    planes = np.asarray(image.convert(mode + "A"))
    color = planes[..., 0] if mode == "L" else planes[..., :3]
    return Samples(np.ascontiguousarray(color), np.ascontiguousarray(planes[..., -1]))


def has_transparency(image: Image.Image) -> bool:
    """Whether the image has an alpha channel, or a palette entry or colour that stands for transparent."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def to_image(samples: Samples) -> Image.Image:
    """A Pillow image of 8-bit samples: L, RGB, LA or RGBA."""
    image = Image.fromarray(samples.color)
    if samples.alpha is not None:
        image.putalpha(Image.fromarray(samples.alpha))
    return image
