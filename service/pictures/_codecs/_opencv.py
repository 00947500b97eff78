"""OpenCV: the fastest decoder of PNG and WebP at hand, and the one that keeps 16 bits."""

from __future__ import annotations

import cv2
import numpy as np

from service.pictures._codecs._samples import Samples, check_size
from service.pictures._formats import PictureFormat
from service.pictures._header import Header

# OpenCV writes every fault of every upload to standard error; the caller gets the refusal instead.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def read_pixels(data: bytes, header: Header) -> Samples:
    """The samples of a PNG, WebP or TIFF, whose alpha and greyness are as the header says."""
    can_give_rgb = header.format is not PictureFormat.TIFF
    as_is = header.has_alpha or header.colour == "grey" or not can_give_rgb
    planes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if as_is else _RGB)
    if planes is None:
        raise ValueError("OpenCV cannot decode the picture")
    if planes.dtype != (np.uint16 if header.bits == 16 else np.uint8):
        raise ValueError(f"the header announced {header}, OpenCV gave {planes.dtype}")
    if as_is and planes.ndim == 3 and planes.shape[2] == 3:
        planes = cv2.cvtColor(planes, cv2.COLOR_BGR2RGB)
    return check_size(_samples(planes, header), header)


def _samples(planes: np.ndarray, header: Header) -> Samples:
    is_grey = header.colour == "grey"
    channels = 1 if planes.ndim == 2 else planes.shape[2]
    if not header.has_alpha and channels == (1 if is_grey else 3):
        return Samples(planes)
    if header.has_alpha and channels == 4:
        color = cv2.extractChannel(planes, 0) if is_grey else cv2.cvtColor(planes, cv2.COLOR_BGRA2RGB)
        return Samples(color, cv2.extractChannel(planes, 3))
    raise ValueError(f"the header announced {header}, OpenCV gave {channels} channels")
