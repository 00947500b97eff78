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
    """The first frame, whatever Pillow's mode; CMYK is converted to sRGB by `header.icc`."""
    image = open_image(data, header.format)
    if image.size != (header.stored_width, header.stored_height):
        raise ValueError(f"the header announced {header}, Pillow sees {image.size}")
    return to_samples(image, header.icc)


def to_samples(image: Image.Image, icc: bytes | None = None) -> Samples:
    """The samples of a Pillow image of 8 bits a channel."""
    if image.mode.startswith(("I", "F")):
        raise UnsupportedFormat(
            f"The picture's samples (Pillow mode {image.mode}) are not supported; use 8 or 16 bits."
        )
    if image.mode == "CMYK":
        return Samples(np.asarray(cmyk_to_srgb(image, icc)))
    has_alpha = has_transparency(image)
    if image.mode in ("1", "L", "LA", "La"):
        planes = np.asarray(image.convert("LA" if has_alpha else "L"))
        return _split(planes) if has_alpha else Samples(planes)
    planes = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    return _split(planes) if has_alpha else Samples(planes)


def has_transparency(image: Image.Image) -> bool:
    """Whether the image has an alpha channel, or a palette entry or colour that stands for transparent."""
    return image.mode in _ALPHA_MODES or "transparency" in image.info


def _split(planes: np.ndarray) -> Samples:
    color = planes[..., 0] if planes.shape[2] == 2 else planes[..., :3]
    return Samples(np.ascontiguousarray(color), np.ascontiguousarray(planes[..., -1]))


def to_image(samples: Samples) -> Image.Image:
    """A Pillow image of 8-bit samples: L, RGB, LA or RGBA."""
    image = Image.fromarray(samples.color)
    if samples.alpha is not None:
        image.putalpha(Image.fromarray(samples.alpha))
    return image
