"""A decoded picture: upright pixels, and everything that the answer must keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.pictures import _colour
from service.pictures._formats import PictureFormat
from service.pictures._header import Density


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture, or its enhanced successor by `dataclasses.replace(picture, pixels=...)`.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3], RGB in the picture's own colour space, upright, C-contiguous. Not to
            be written to.
        format: the format it came in.
        alpha: [H, W] of the same type, not premultiplied, or None.
        icc: the profile of the picture's colour space, known to be usable; None means sRGB.
        exif: EXIF block without the "Exif" prefix, without orientation and thumbnail, location still in.
        xmp: XMP packet without what an enhanced picture makes untrue, location still in.
        iptc: IPTC block, location still in.
        density: pixels an inch, across and down, or None.
        is_grey: one channel in the file: the three of `pixels` are equal, and `encode` writes one.
        is_neutral: three channels in the file, equal in every pixel: `encode` writes three that are.
        subsampling: chroma subsampling of the JPEG it came from, such as "420", or None.
    """

    pixels: NDArray[Any] = field(repr=False)
    format: PictureFormat
    alpha: NDArray[Any] | None = field(default=None, repr=False)
    icc: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    iptc: bytes | None = field(default=None, repr=False)
    density: Density | None = None
    is_grey: bool = False
    is_neutral: bool = False
    subsampling: str | None = None

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> int:
        """Depth of a channel, 8 or 16."""
        return 8 * self.pixels.itemsize

    @property
    def is_srgb(self) -> bool:
        """Whether the picture's colour space is sRGB, within one 8-bit code value."""
        return _colour.is_srgb(self.icc, self._colour)

    def srgb(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Pixels of this picture's colour space, uint8 or uint16 [h, w, 3], as sRGB uint8 [h, w, 3].

        Gives back the array itself where it is 8-bit sRGB already.
        """
        return self.to_srgb()(to_8_bit(pixels))

    def to_srgb(self) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
        """`srgb` of 8-bit pixels, for several calls."""
        return _colour.to_srgb(self.icc, self._colour)

    @property
    def _colour(self) -> _colour.Colour:
        return "grey" if self.is_grey else "rgb"


def to_8_bit(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """uint16 as the nearest uint8 (65535 becomes 255); uint8 as it is."""
    if pixels.dtype == np.uint8:
        return pixels
    # 1/257 of an integer is never halfway between two integers, so float32 rounds all 65536 values right.
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), np.uint8).reshape(pixels.shape)
