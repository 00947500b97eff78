"""A well-lit photo as a camera would have taken it in too little light."""

from __future__ import annotations

import io
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Darkening(BaseModel):
    """A sensor model: code values to linear light and back, with less light, noise and compression between.

    Attributes:
        probability: share of samples that are darkened; the others stay as they are, pairs of equals from which a
            network learns to leave well-lit photos alone.
        gain: smallest and largest share of the light that is left; drawn log-uniformly.
        tone: smallest and largest exponent of the way to linear light and back; drawn uniformly for each way, so
            that the tone curve changes with the light.
        balance: standard deviation of the logarithm of the red and the blue gain: a white balance that is off.
        electrons: fewest and most electrons at white, which shot noise follows; drawn log-uniformly.
        read_noise: smallest and largest standard deviation of the read noise, in electrons; drawn uniformly.
        jpeg: share of darkened samples that are compressed.
        quality: lowest and highest JPEG quality.
        fields: the views that are darkened.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: Share = 1.0
    gain: tuple[Positive, Positive] = (0.02, 0.5)
    tone: tuple[Positive, Positive] = (2.0, 2.4)
    balance: float = Field(0.05, ge=0)
    electrons: tuple[Positive, Positive] = (1000.0, 20000.0)
    read_noise: tuple[float, float] = (1.0, 8.0)
    jpeg: Share = 0.5
    quality: tuple[int, int] = (75, 95)
    fields: tuple[str, ...] = ("low",)


def darken(view: Pixels, words: Darkening, random: np.random.Generator) -> Pixels:
    """One random dark version of a photo: uint8 [H, W, 3] to the same.

    Shot noise is Gaussian of the Poisson distribution's variance, which is close from some ten electrons on.
    """
    light = (np.linspace(0, 1, 256) ** random.uniform(*words.tone)).astype(np.float32)[view]
    light *= np.exp(random.uniform(*np.log(words.gain)))
    light *= np.exp(random.normal(0, words.balance, 3) * (1, 0, 1)).astype(np.float32)
    electrons = np.exp(random.uniform(*np.log(words.electrons)))
    deviation = np.sqrt(light * electrons + random.uniform(*words.read_noise) ** 2) / electrons
    light = light + deviation.astype(np.float32) * random.standard_normal(view.shape, np.float32)
    codes = np.clip(light, 0, 1) ** (1 / random.uniform(*words.tone))
    dark = np.round(255 * codes).astype(np.uint8)
    return _compressed(dark, words, random) if random.random() < words.jpeg else dark


def _compressed(view: Pixels, words: Darkening, random: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    lowest, highest = words.quality
    Image.fromarray(view).save(file, "JPEG", quality=int(random.integers(lowest, highest + 1)))
    return np.asarray(Image.open(file))
