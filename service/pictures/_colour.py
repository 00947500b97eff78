"""Colour profiles (ICC.1) by Little CMS: whether a profile is usable, whether it is sRGB, and conversion to sRGB.

Transforms are built once per profile and shared by all pictures and threads: photos of one kind of phone
carry the same profile. The profiles themselves are not kept, and profiles over MAX_PROFILE_BYTES are not used.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from PIL import Image, ImageCms

from service.pictures._header import Colour

MAX_PROFILE_BYTES = 4 * 1024 * 1024
"""The largest profile that is used, in every format; those of presses have up to 3 MB."""

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_SIGNATURES: dict[bytes, Colour] = {b"RGB ": "rgb", b"GRAY": "grey", b"CMYK": "cmyk"}
_MODES: dict[Colour, str] = {"rgb": "RGB", "grey": "L", "cmyk": "CMYK"}
_HEADER_BYTES = 128
# Little CMS prefers tables of floating-point elements to all others, and takes the square of their number.
_ELEMENT_TABLES = {table + number for table in (b"D2B", b"B2D") for number in (b"0", b"1", b"2", b"3")}
_RECORD_BYTES = 12
_MAX_RECORDS = 100  # Little CMS refuses more
# What counts as no difference between two colour spaces, in 8-bit code values.
_SAME = 1
_MAX_CONVERSIONS = 32


@dataclass(frozen=True, slots=True)
class _Conversion:
    """The transform of a profile to sRGB, and whether it changes nothing."""

    transform: ImageCms.ImageCmsTransform
    is_identity: bool


_conversions: OrderedDict[tuple[bytes, Colour], _Conversion] = OrderedDict()
"""By the digest of the profile, the latest used last."""
_lock = Lock()


def usable_profile(icc: bytes | None, colour: Colour) -> bytes | None:
    """The profile if it can be read and is one for such pictures, else None."""
    return icc if icc and _conversion(icc, colour) else None


def is_srgb(icc: bytes | None, colour: Colour) -> bool:
    """Whether colours under the profile are sRGB's within one code value; no profile means sRGB."""
    if not icc:
        return True
    conversion = _conversion(icc, colour)
    return conversion is not None and conversion.is_identity


def to_srgb(icc: bytes | None, colour: Colour) -> Callable[[np.ndarray], np.ndarray]:
    """Converts 8-bit pixels [H, W, 3] under a profile to sRGB, uint8 too; gives back its input if nothing changes.

    Under a grey profile the first channel counts. For several calls: looking the profile up takes its digest.
    """
    conversion = _conversion(icc, colour) if icc else None
    assert conversion is not None or not icc, "Picture.icc is checked when it is decoded"
    if conversion is None or conversion.is_identity:
        return lambda pixels: pixels
    apply = conversion.transform.apply

    def convert(pixels: np.ndarray) -> np.ndarray:
        source = np.ascontiguousarray(pixels[..., 0] if colour == "grey" else pixels)
        return np.asarray(apply(Image.fromarray(source)))

    return convert


def cmyk_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK image as sRGB, by its profile where it has a usable one, else by Pillow's plain formula."""
    conversion = _conversion(icc, "cmyk") if icc else None
    return image.convert("RGB") if conversion is None else conversion.transform.apply(image)


def _conversion(icc: bytes, colour: Colour) -> _Conversion | None:
    """The conversion by a profile; None for unusable ones, which are not remembered."""
    if not _HEADER_BYTES <= len(icc) <= MAX_PROFILE_BYTES or icc[36:40] != b"acsp":
        return None
    if _SIGNATURES.get(icc[16:20]) != colour:
        return None
    key = hashlib.sha256(icc).digest(), colour
    with _lock:
        if key in _conversions:
            _conversions.move_to_end(key)
            return _conversions[key]
    try:
        transform = _transform(icc, colour)
        conversion = _Conversion(transform, colour != "cmyk" and _is_identity(transform, colour))
    except Exception:  # Little CMS refuses in many ways
        return None
    with _lock:
        _conversions[key] = conversion
        if len(_conversions) > _MAX_CONVERSIONS:
            _conversions.popitem(last=False)
    return conversion


def _transform(icc: bytes, colour: Colour) -> ImageCms.ImageCmsTransform:
    """A transform to sRGB, relative colorimetric with black point compensation."""
    return ImageCms.ImageCmsTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(_without_elements(icc))),
        _SRGB,
        _MODES[colour],
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _without_elements(icc: bytes) -> bytes:
    """The profile with its element tables under unknown names: they only refine others (ICC.1:2022, section 8)."""
    changed = bytearray(icc)
    count = min(int.from_bytes(icc[_HEADER_BYTES : _HEADER_BYTES + 4], "big"), _MAX_RECORDS)
    for start in range(_HEADER_BYTES + 4, _HEADER_BYTES + 4 + count * _RECORD_BYTES, _RECORD_BYTES):
        if (name := icc[start : start + 4]) in _ELEMENT_TABLES:
            changed[start : start + 4] = name.lower()
    return bytes(changed)


def _is_identity(transform: ImageCms.ImageCmsTransform, colour: Colour) -> bool:
    """Try the transform on a lattice of colours: names and tags of profiles lie, results do not."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    if colour == "grey":
        before = np.repeat(steps[None, :, None], 3, axis=2)
        after = np.asarray(transform.apply(Image.fromarray(before[..., 0].copy())))
    else:
        before = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
        after = np.asarray(transform.apply(Image.fromarray(before)))
    return int(np.abs(after.astype(int) - before.astype(int)).max()) <= _SAME
