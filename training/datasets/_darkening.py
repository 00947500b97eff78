"""A well-lit photo as a camera would have taken it in too little light."""

from __future__ import annotations

import io
import math
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

BACKLIT = (0.3, 0.75)
"""Code values over 255: below the first a backlit photo loses the most light, above the second none."""

EDGE_VARIANCE = 0.01
"""Variance of code values over 255 in a window from which it holds an edge that shadows follow."""


class Darkening(BaseModel):
    """A sensor model: code values to linear light and back, with less light, noise and compression between.

    Attributes:
        probability: share of samples that are darkened; the others stay unchanged, as identical pairs from which a
            network learns to leave well-lit photos alone.
        gain: smallest and largest share of the light that is left; drawn log-uniformly.
        backlit: share of darkened samples in which bright areas keep their light and dark areas keep the square root
            of the gain: a bright sky over a dark street, from which a network learns to lift only shadows.
        tone: smallest and largest exponent of the conversions to linear light and back; drawn uniformly for each, so
            that the tone curve changes, too.
        balance: standard deviation of the logarithm of the red and the blue gain: a wrong white balance.
        electrons: fewest and most electrons at white, which shot noise follows; drawn log-uniformly.
        read_noise: smallest and largest standard deviation of the read noise, in electrons; drawn uniformly.
        grain: smallest and largest width in pixels of the noise's grain, as of a photo that was enlarged; drawn
            log-uniformly.
        mosaic: share of darkened samples whose noise passes through a Bayer pattern, which correlates neighbours.
        chroma_blur: smallest and largest deviation in pixels of the blur of the noise's colour, which cameras smooth
            more than its luminance; drawn uniformly.
        jpeg: share of darkened samples that are compressed.
        quality: lowest and highest JPEG quality.
        fields: the views that are darkened.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: Share = 1.0
    gain: tuple[Positive, Positive] = (0.02, 0.5)
    backlit: Share = 0.0
    tone: tuple[Positive, Positive] = (2.0, 2.4)
    balance: float = Field(0.05, ge=0)
    electrons: tuple[Positive, Positive] = (1000.0, 20000.0)
    read_noise: tuple[float, float] = (1.0, 8.0)
    grain: tuple[Positive, Positive] = (1.0, 1.0)
    mosaic: Share = 0.0
    chroma_blur: tuple[float, float] = (0.0, 0.0)
    jpeg: Share = 0.5
    quality: tuple[int, int] = (75, 95)
    fields: tuple[str, ...] = ("low",)

    @property
    def camera(self) -> bool:
        """Whether noise is correlated like a camera's, and not independent in all pixels and channels."""
        return self.mosaic > 0 or self.grain != (1.0, 1.0) or self.chroma_blur != (0.0, 0.0)


def darken(view: Pixels, words: Darkening, random: np.random.Generator) -> Pixels:
    """One random dark version of a photo: uint8 [H, W, 3] to the same.

    Shot noise is Gaussian of the Poisson distribution's variance, which is close from some ten electrons on.
    """
    return darken_twice(view, words, random)[0]


def darken_twice(view: Pixels, words: Darkening, random: np.random.Generator) -> tuple[Pixels, NDArray[np.uint16]]:
    """The same, and the dark version without noise, rounding to 8 bits and compression: uint16 [H, W, 3]."""
    curve = (np.linspace(0, 1, 256) ** random.uniform(*words.tone)).astype(np.float32)
    light: NDArray[np.float32] = np.asarray(cv2.LUT(view, curve), np.float32)
    # Python numbers, since NumPy scalars would convert everything to double precision.
    gain = float(np.exp(random.uniform(*np.log(words.gain))))
    # If none is backlit nothing is drawn, so that earlier trainings can be repeated.
    backlit = words.backlit > 0 and random.random() < words.backlit
    light *= _backlight(view, math.sqrt(gain)) if backlit else np.float32(gain)
    light *= np.exp(random.normal(0, words.balance, 3) * (1, 0, 1)).astype(np.float32)
    electrons = float(np.exp(random.uniform(*np.log(words.electrons))))
    read_noise = random.uniform(*words.read_noise)
    clean = light.copy()
    if words.camera:
        light += _camera_noise(light, electrons, read_noise, words, random)
    else:
        light += _deviation(light, electrons, read_noise) * random.standard_normal(view.shape, np.float32)
    exponent = 1 / random.uniform(*words.tone)
    codes = cv2.pow(np.clip(light, 0, 1), exponent)  # ten times as fast as NumPy's
    dark = np.round(255 * codes).astype(np.uint8)
    if random.random() < words.jpeg:
        dark = _compressed(dark, words, random)
    return dark, np.round(65535 * cv2.pow(np.clip(clean, 0, 1), exponent)).astype(np.uint16)


def _deviation(light: NDArray[np.float32], electrons: float, read_noise: float) -> NDArray[np.float32]:
    """Of shot and read noise together, in the unit of the light."""
    return np.asarray(np.sqrt(np.maximum(light, 0) * electrons + read_noise**2) / electrons, np.float32)


def _camera_noise(
    light: NDArray[np.float32], electrons: float, read_noise: float, words: Darkening, random: np.random.Generator
) -> NDArray[np.float32]:
    """Noise [H, W, 3] of an image sensor, as demosaicing, smoothing and enlarging spread it."""
    height, width = light.shape[:2]
    grain = float(np.exp(random.uniform(*np.log(words.grain))))
    size = (max(8, round(width / grain)), max(8, round(height / grain)))
    small = light if grain == 1.0 else np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)
    noise = _deviation(small, electrons, read_noise) * random.standard_normal(small.shape, np.float32)
    if random.random() < words.mosaic:
        noise = _demosaiced(noise)
    blur = random.uniform(*words.chroma_blur)
    if blur > 0.3:
        grey = noise.mean(axis=2, keepdims=True)
        noise = grey + cv2.GaussianBlur(noise - grey, (0, 0), blur)
    if noise.shape != light.shape:
        return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return noise


def _demosaiced(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[H, W, 3] sampled in a Bayer pattern (RGGB) and interpolated linearly."""
    result = np.empty_like(planes)
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    green = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
    for channel, (places, weights) in enumerate((([(0, 0)], kernel), ([(0, 1), (1, 0)], green), ([(1, 1)], kernel))):
        sampled = np.zeros(planes.shape[:2], np.float32)
        for row, column in places:
            sampled[row::2, column::2] = planes[row::2, column::2, channel]
        result[..., channel] = cv2.filter2D(sampled, -1, weights, borderType=cv2.BORDER_REFLECT_101)
    return result


def _backlight(view: Pixels, gain: float) -> NDArray[np.float32]:
    """The remaining share of light, float32 [H, W, 1]: `gain` where a photo is dark, 1 where it is bright.

    It follows the photo's strong edges and is flat over its texture (guided by itself: He et al., "Guided Image
    Filtering", ECCV 2010), because shadows follow the contours of objects.
    """
    grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    window = 2 * (max(view.shape[:2]) // 16) + 1
    mean, square = (cv2.blur(values, (window, window)) for values in (grey, grey * grey))
    variance = np.maximum(square - mean * mean, 0)
    slope = variance / (variance + EDGE_VARIANCE)
    smooth = cv2.blur(slope, (window, window)) * grey + cv2.blur((1 - slope) * mean, (window, window))
    dark, bright = BACKLIT
    lit = np.clip((smooth - dark) / (bright - dark), 0, 1)
    return np.exp(np.log(gain) * (1 - lit * lit * (3 - 2 * lit)))[..., None].astype(np.float32)


def _compressed(view: Pixels, words: Darkening, random: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    lowest, highest = words.quality
    Image.fromarray(view).save(file, "JPEG", quality=int(random.integers(lowest, highest + 1)))
    return np.asarray(Image.open(file))
