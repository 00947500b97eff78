"""Colour profiles (ICC.1) by Little CMS: is a profile usable, is it sRGB, and what are its colours in sRGB.

Transforms are built once per profile and shared by all pictures and threads: photos of one kind of phone
carry the same profile.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from service.pictures._header import Colour

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_SIGNATURES: dict[bytes, Colour] = {b"RGB ": "rgb", b"GRAY": "grey", b"CMYK": "cmyk"}
_MODES: dict[Colour, str] = {"rgb": "RGB", "grey": "L", "cmyk": "CMYK"}
_HEADER_BYTES = 128
# What counts as no difference between two colour spaces, in 8-bit code values.
_SAME = 1


def usable_profile(icc: bytes | None, colour: Colour) -> bytes | None:
    """The profile if it can be read and is one for such pictures, else None."""
    return icc if icc and _transform(icc, colour) is not None else None


def is_srgb(icc: bytes | None, colour: Colour) -> bool:
    """Whether colours under the profile are sRGB's within one code value; no profile means sRGB."""
    return not icc or _is_identity(icc, colour)


def to_srgb(pixels: np.ndarray, icc: bytes | None, colour: Colour) -> np.ndarray:
    """8-bit pixels [H, W, 3] under a profile as sRGB, uint8 [H, W, 3]; the input itself where nothing changes.

    Under a grey profile the first channel counts.
    """
    if is_srgb(icc, colour):
        return pixels
    assert icc is not None
    transform = _transform(icc, colour)
    assert transform is not None, "Picture.icc is checked when it is decoded"
    source = np.ascontiguousarray(pixels[..., 0] if colour == "grey" else pixels)
    return np.asarray(transform.apply(Image.fromarray(source)))


def cmyk_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK image as sRGB, by its profile where it has a usable one, else by Pillow's plain formula."""
    transform = _transform(icc, "cmyk") if icc else None
    return image.convert("RGB") if transform is None else transform.apply(image)


@lru_cache(maxsize=32)
def _transform(icc: bytes, colour: Colour) -> ImageCms.ImageCmsTransform | None:
    """A transform to sRGB, relative colorimetric with black point compensation; None for unusable profiles."""
    if len(icc) < _HEADER_BYTES or icc[36:40] != b"acsp" or _SIGNATURES.get(icc[16:20]) != colour:
        return None
    try:
        return ImageCms.ImageCmsTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            _SRGB,
            _MODES[colour],
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception:  # Little CMS refuses in many ways
        return None


@lru_cache(maxsize=32)
def _is_identity(icc: bytes, colour: Colour) -> bool:
    """Try the profile on a lattice of colours: names and tags of profiles lie, results do not."""
    transform = _transform(icc, colour)
    if transform is None:
        return False
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    if colour == "grey":
        before = np.repeat(steps[None, :, None], 3, axis=2)
        after = np.asarray(transform.apply(Image.fromarray(before[..., 0].copy())))
    else:
        before = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
        after = np.asarray(transform.apply(Image.fromarray(before)))
    return int(np.abs(after.astype(int) - before.astype(int)).max()) <= _SAME
