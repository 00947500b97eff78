"""Shared by all codecs: the values that they exchange, and the handling of their errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import NightliftError, OutOfMemory, UnreadablePicture, is_out_of_memory
from service.pictures._formats import PictureFormat
from service.pictures._header import Density, Header

Array: TypeAlias = NDArray[Any]


class Rows(Protocol):
    """Computes the pixels of a picture on demand."""

    def make(self, first: int, last: int) -> None:
        """Make rows [first, last) in this thread."""

    def make_all(self) -> object:
        """Make all of them, as fast as possible."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Decoded samples, or samples to encode.

    Attributes:
        color: uint8 or uint16, [H, W] grey or [H, W, 3] RGB, C-contiguous.
        alpha: [H, W] of the same type, not premultiplied, or None.
        rows: computes `color` while a JPEG is written; None: `color` is complete.
    """

    color: Array
    alpha: Array | None = None
    rows: Rows | None = None

    def __post_init__(self) -> None:
        assert self.color.dtype in (np.uint8, np.uint16)
        assert self.alpha is None or (self.alpha.dtype == self.color.dtype)

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel of colour."""
        return self.color.ndim == 2


@dataclass(frozen=True, slots=True)
class Extras:
    """What a file holds beside its samples.

    Attributes:
        icc: colour profile, or None.
        exif: EXIF block without prefix, or None.
        xmp: XMP packet, or None.
        iptc: IPTC block, or None.
        density: pixels an inch, across and down, or None.
        quality: 1 to 100, for lossy formats.
        subsampling: chroma subsampling for lossy formats that have a choice, such as "420".
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    density: Density | None = None
    quality: int = 90
    subsampling: str = "420"


@contextmanager
def reading(format: PictureFormat) -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into UnreadablePicture; our own refusals pass."""
    try:
        yield
    except NightliftError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory("there is not enough memory for this picture now") from error
        raise UnreadablePicture(
            f"The picture begins like {format.value.upper()}, but it is damaged or cut short; send the whole file."
        ) from error


def check_size(samples: Samples, header: Header) -> Samples:
    """ValueError unless the samples have the size that the header announced."""
    if samples.color.shape[:2] != (header.stored_height, header.stored_width):
        raise ValueError(f"the header announced {header}, decoding gave {samples.color.shape}")
    return samples
