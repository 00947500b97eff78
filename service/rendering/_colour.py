"""Transfers the effect of the network, which works in sRGB, to the picture's own colour space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.pictures import Picture
from service.rendering._shrink import luminance

CORRECTIONS = 8
"""Iterations to invert a colour profile; each more than halves the residual."""

DAMPING = 0.6
"""Below 2 divided by the largest stretch of saturated colours on the way to sRGB, which is 2.2 for ProPhoto RGB."""

Floats = NDArray[np.float32]


def in_picture_space(
    picture: Picture,
    source: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    enhanced: Floats,
    rounds: int = CORRECTIONS,
) -> Floats:
    """`enhanced` in the picture's own colour space.

    A grey picture stays grey: it gets the network's luminance. With a colour profile, the *change* from `seen` to
    `enhanced` is transferred, so that colours outside sRGB, which the network saw clipped, keep their saturation, and
    a network without effect changes nothing.

    Args:
        picture: gives the colour space.
        source: colours of the picture, uint8 [h, w, 3], in its own space.
        seen: the same as the network saw them, uint8 [h, w, 3], sRGB.
        enhanced: the network's result for them, float32 [h, w, 3], sRGB, 0 to 1.
        rounds: iterations to invert the profile.

    Returns:
        float32 [h, w, 3], 0 to 1.
    """
    if picture.is_grey:
        enhanced = np.repeat(luminance(enhanced)[..., None], 3, axis=2)
    if picture.is_srgb:
        return enhanced
    return _carried_over(picture, source, seen, enhanced, rounds)


def is_srgb_space(picture: Picture) -> bool:
    """Whether `in_picture_space` would change nothing: a colour picture in sRGB."""
    return picture.is_srgb and not picture.is_grey


def grey_tones(picture: Picture) -> NDArray[np.float64]:
    """The tone curve of a picture's colour space: its 256 greys in sRGB, float64 [256], 0 to 1.

    Conversions give whole code values; so small steps are smoothed, by the binomial filter of five.
    """
    if picture.is_srgb:
        return np.linspace(0, 1, 256)
    padded = np.pad(_shown_greys(picture.to_srgb()), 2, mode="reflect", reflect_type="odd")
    return np.convolve(padded, (1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16), mode="valid") / 255


def _shown_greys(to_srgb: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The 256 greys of a colour space in sRGB, float64 [256], 0 to 255."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    return np.asarray(to_srgb(greys)[0].mean(axis=1))


def _carried_over(
    picture: Picture, source: NDArray[np.uint8], seen: NDArray[np.uint8], enhanced: Floats, rounds: int
) -> Floats:
    """Invert `picture.srgb`, starting from `source`: the colours that it would convert to `enhanced`, if there are
    any.

    The profile's tone curve is inverted exactly, along greys; colours by damped fixed-point iteration.
    """
    to_srgb = picture.to_srgb()
    codes, tones = np.arange(256), _shown_greys(to_srgb)
    start = tone = np.interp(source, codes, tones)
    shown = seen.astype(np.float32)
    for _ in range(rounds):
        tone = np.clip(tone + DAMPING * (255 * enhanced - shown), 0, 255)
        shown = to_srgb(np.rint(np.interp(tone, tones, codes)).astype(np.uint8)).astype(np.float32)
    change = np.interp(tone, tones, codes) - np.interp(start, tones, codes)
    return np.clip((source + change) / 255, 0, 1).astype(np.float32)
