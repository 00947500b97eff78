"""The network speaks sRGB; its effect has to arrive in the picture's own colour space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.pictures import Picture
from service.rendering._shrink import luminance

CORRECTIONS = 8
"""Rounds of inverting a colour profile; the residue shrinks by more than half in each."""

DAMPING = 0.6
"""Below 2 divided by the largest stretch of saturated colours on the way to sRGB, which is 2.2 for ProPhoto RGB."""

Floats = NDArray[np.float32]


def in_picture_space(picture: Picture, source: NDArray[Any], seen: NDArray[np.uint8], enhanced: Floats) -> Floats:
    """What `enhanced` is in the picture's own colour space.

    A grey picture stays grey: there the network's luminance counts. Under a colour profile the *change* from `seen`
    to `enhanced` is carried over, so that colours outside sRGB, which the network saw clipped, keep their
    saturation, and a network that changes nothing changes nothing.

    Args:
        picture: gives the colour space.
        source: colours of the picture as they are, its dtype [h, w, 3].
        seen: the same as the network saw them, uint8 [h, w, 3], sRGB.
        enhanced: what the network made of them, float32 [h, w, 3], sRGB, 0 to 1.

    Returns:
        float32 [h, w, 3], 0 to 1.
    """
    if picture.is_grey:
        enhanced = np.repeat(luminance(enhanced)[..., None], 3, axis=2)
    if picture.is_srgb:
        return enhanced
    return _carried_over(picture, source, seen, enhanced)


def speaks_srgb(picture: Picture) -> bool:
    """Whether `in_picture_space` would change nothing: a colour picture in sRGB."""
    return picture.is_srgb and not picture.is_grey


def _carried_over(picture: Picture, source: NDArray[Any], seen: NDArray[np.uint8], enhanced: Floats) -> Floats:
    """Invert `picture.srgb` from `source` on: the colours that it would turn into `enhanced`, where there are any.

    The profile's tone curve is inverted exactly, along greys; colours by damped fixed-point rounds.
    """
    dtype = source.dtype
    white = np.float32(np.iinfo(dtype).max)
    codes = np.linspace(0.0, 1.0, 1024, dtype=np.float32)
    greys = np.rint(np.repeat(codes[None, :, None], 3, axis=2) * white).astype(dtype)
    tones = luminance(_unit(picture.srgb(greys)))[0]
    start = source / white
    tone = np.interp(start, codes, tones)
    shown = _unit(seen)
    for _ in range(CORRECTIONS):
        tone = np.clip(tone + DAMPING * (enhanced - shown), 0.0, 1.0)
        estimate = np.interp(tone, tones, codes)
        shown = _unit(picture.srgb(np.rint(estimate * white).astype(dtype)))
    begun = np.interp(np.interp(start, codes, tones), tones, codes)
    return np.clip(start + estimate - begun, 0.0, 1.0).astype(np.float32)


def _unit(codes: NDArray[np.uint8]) -> Floats:
    return codes * np.float32(1 / 255)
