"""The facts about a picture that are known before any pixel is decoded, and the limits on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from service.errors import UnsupportedShape
from service.limits import MAX_ASPECT_RATIO, MAX_PIXELS, MIN_SIDE
from service.pictures._formats import PictureFormat
from service.pictures._matrix_profiles import Hdr

Colour = Literal["grey", "rgb", "cmyk"]

Density: TypeAlias = tuple[float, float]
"""Pixels an inch, across and down: at which size a picture is printed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the size of a picture.

    Attributes:
        max_pixels: largest width times height.
        smallest_side: shortest side allowed, in pixels.
        longest_ratio: longest side allowed, in multiples of the shorter one.
    """

    max_pixels: int = MAX_PIXELS
    smallest_side: int = MIN_SIDE
    longest_ratio: float = MAX_ASPECT_RATIO

    def check(self, width: int, height: int) -> None:
        """Raises UnsupportedShape, naming the size and the limit that it breaks."""
        if width * height > self.max_pixels:
            raise UnsupportedShape(
                f"The picture has {width}x{height} pixels, {width * height / 1e6:.1f} million; "
                f"at most {self.max_pixels / 1e6:g} million are allowed.",
                width=width,
                height=height,
                max_pixels=self.max_pixels,
            )
        shorter, longer = sorted((width, height))
        if shorter < self.smallest_side:
            raise UnsupportedShape(
                f"The picture is {width}x{height}; each side must have at least {self.smallest_side} pixels.",
                width=width,
                height=height,
                smallest_side=self.smallest_side,
            )
        if longer > shorter * self.longest_ratio:
            raise UnsupportedShape(
                f"The picture is {width}x{height}, {longer / shorter:.1f}:1; "
                f"at most {self.longest_ratio:g}:1 is allowed.",
                width=width,
                height=height,
                longest_ratio=self.longest_ratio,
            )


@dataclass(frozen=True, slots=True)
class Header:
    """A picture's facts from its file header.

    Attributes:
        format: the sniffed format; MPO counts as JPEG.
        stored_width: pixels a row in the file, before the orientation is applied.
        stored_height: rows in the file.
        bits: depth that decoding gives, 8 or 16 a channel.
        colour: what the file stores; palettes count as rgb.
        has_alpha: whether decoding gives an alpha channel.
        is_animated: whether more frames follow the first, which is the only one that is decoded.
        has_gain_map: whether the file says how the picture looks on HDR displays, which no answer does.
        orientation: EXIF orientation, 1 to 8.
        subsampling: a JPEG's chroma subsampling such as "420", or None where it is unknown or does not apply.
        icc: the embedded colour profile, or one made of the numbers that stand for it; unchecked.
        hdr: the transfer function of an HDR picture, which decoding maps to SDR.
        exif: the EXIF block as a TIFF structure (without the "Exif" prefix), unchecked.
        xmp: the XMP packet, unchecked.
        iptc: the IPTC block, unchecked.
        density: as it is stored, before the orientation is applied; None where only EXIF may say it.
        decoded_bytes: memory in bytes a pixel that decoding takes, where the file's layout needs more than its format
            usually does.
    """

    format: PictureFormat
    stored_width: int
    stored_height: int
    bits: int = 8
    colour: Colour = "rgb"
    has_alpha: bool = False
    is_animated: bool = False
    has_gain_map: bool = False
    orientation: int = 1
    subsampling: str | None = None
    icc: bytes | None = field(default=None, repr=False)
    hdr: Hdr | None = None
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    iptc: bytes | None = field(default=None, repr=False)
    density: Density | None = None
    decoded_bytes: int = 0

    @property
    def width(self) -> int:
        """Width of the upright picture, in pixels."""
        return self.stored_height if self.orientation >= 5 else self.stored_width

    @property
    def height(self) -> int:
        """Height of the upright picture, in pixels."""
        return self.stored_width if self.orientation >= 5 else self.stored_height

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.stored_width * self.stored_height

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parts of the file that no answer has."""
        parts = {"frames": self.is_animated, "gain-map": self.has_gain_map}
        return tuple(name for name, is_there in parts.items() if is_there)

    @property
    def megapixels(self) -> float:
        """Pixels in millions."""
        return self.pixels / 1e6
