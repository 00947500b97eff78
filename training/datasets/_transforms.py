"""Turns a sample's pictures into a training input: the recipe's settings for it, and the operations on pixels.

All views of a sample get the same crop and flips. Everything is uint8 [H, W, 3] RGB until the batch is on its device,
and every random choice comes from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import BaseModel, ConfigDict, Field

from training.datasets._darkening import Darkening, darken
from training.datasets._lamps import Lamps, light_by_lamps
from training.datasets._relighting import Relighting, relight

Pixels = NDArray[np.uint8]
Side = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Flips(_Model):
    """Probabilities of mirroring left-right, up-down, and of exchanging rows and columns (square inputs only)."""

    horizontal: Share = 0.0
    vertical: Share = 0.0
    transpose: Share = 0.0


class Zoom(_Model):
    """With `probability`, cut out a part whose sides are `smallest` to 1 of the picture's, and enlarge it back."""

    probability: Share
    smallest: float = Field(gt=0, le=1)


class Exposure(_Model):
    """Changes the exposure of the dark views: code values `v -> gain * v^gamma + noise`, rounded to 8 bits again.

    Attributes:
        probability: share of samples that are changed.
        gain: smallest and largest factor; drawn log-uniformly.
        gamma: smallest and largest exponent; drawn log-uniformly.
        noise: smallest and largest standard deviation of Gaussian noise, in [0, 1] code values; drawn uniformly.
        fields: the views that are changed.
    """

    probability: Share = 1.0
    gain: tuple[float, float] = (1.0, 1.0)
    gamma: tuple[float, float] = (1.0, 1.0)
    noise: tuple[float, float] = (0.0, 0.0)
    fields: tuple[str, ...] = ("image", "low")


class Illumination(_Model):
    """Adds bright areas, such as lamps, windows and skies, which are equal in both views of a pair.

    Attributes:
        probability: share of samples that are changed.
        share: smallest and largest share of the picture that is lit; drawn uniformly.
        gain: smallest and largest factor on the reference there, clipped to code values; drawn log-uniformly.
        tint: standard deviation of the logarithm of the channels' additional factors.
        fields: the dark view, and its reference.
    """

    probability: Share = 0.0
    share: tuple[float, float] = (0.02, 0.6)
    gain: tuple[float, float] = (1.0, 2.5)
    tint: float = Field(0.3, ge=0)
    fields: tuple[str, str] = ("low", "high")


class Blacks(_Model):
    """Simulates night skies: the darkest parts of a picture turn black, the rest keeps its range.

    For samples whose views all show the same picture.

    Attributes:
        probability: share of samples that are changed.
        share: smallest and largest share of the pixels that turn black; drawn uniformly.
    """

    probability: Share = 0.0
    share: tuple[Share, Share] = (0.05, 0.4)


class ColouredLight(_Model):
    """Simulates coloured light, such as street lamps and neon, the same in all views.

    Attributes:
        probability: share of samples that are changed.
        spread: standard deviation of the logarithm of the channels' factors, of which the largest is then `gain`.
        gain: smallest and largest factor of the strongest channel, clipped to code values; drawn uniformly.
    """

    probability: Share = 0.0
    spread: float = Field(0.5, ge=0)
    gain: tuple[float, float] = (1.0, 1.5)


class Transforms(_Model):
    """What happens to a sample, in this order.

    Attributes:
        resize: (height, width), or one number for a square: the whole picture is resized to this when it is read,
            ignoring its aspect ratio, by Lanczos resampling. None: as it is.
        longest: most pixels of the long side; a larger picture is shrunk when it is read, keeping its aspect ratio.
        zoom: random part of the picture, enlarged back to its size.
        crop: (height, width), or one number: random crop; smaller pictures are extended by reflection.
        flips: mirror images.
        blacks: a higher black point of all views.
        coloured_light: one colour of light on all views.
        exposure: random exposure and noise of the dark views.
        illumination: bright areas, the same in the dark view and its reference.
        lamps: the light of lamps and windows instead of the even light of a photograph.
        relighting: darkens the subject before a bright background; needs a mask.
        darkening: dark views made from well-lit ones.
    """

    resize: Side | tuple[Side, Side] | None = None
    longest: Side | None = None
    zoom: Zoom | None = None
    crop: Side | tuple[Side, Side] | None = None
    flips: Flips = Flips()
    blacks: Blacks | None = None
    coloured_light: ColouredLight | None = None
    exposure: Exposure | None = None
    illumination: Illumination | None = None
    lamps: Lamps | None = None
    relighting: Relighting | None = None
    darkening: Darkening | None = None


def read_picture(path: Path, resize: int | tuple[int, int] | None = None, longest: int | None = None) -> Pixels:
    """A picture file as uint8 [H, W, 3] RGB, upright; resized to (height, width) by Lanczos where asked.

    Args:
        path: of the file.
        resize: (height, width), or one number for a square.
        longest: pixels of the long side, at most; a larger picture is shrunk by Lanczos before it is resized.

    Raises:
        OSError: the file is missing or cannot be decoded.
    """
    with Image.open(path) as file:
        if longest is not None:
            file.draft("RGB", (longest, longest))  # JPEG decodes at a half, a quarter or an eighth much faster
        picture = ImageOps.exif_transpose(file).convert("RGB")
    if longest is not None:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    if resize is not None:
        height, width = _both(resize)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def transform(views: Mapping[str, Pixels], words: Transforms, random: np.random.Generator) -> dict[str, Pixels]:
    """One random version of a sample that was read at the recipe's `resize`; all views change consistently."""
    height, width = next(iter(views.values())).shape[:2]
    result = dict(views)
    if words.zoom is not None and random.random() < words.zoom.probability:
        box = _random_box(height, width, random.uniform(words.zoom.smallest, 1, 2) * (height, width), random)
        result = {
            name: np.asarray(Image.fromarray(_cut(view, box)).resize((width, height), Image.Resampling.LANCZOS))
            for name, view in result.items()
        }
    if words.crop is not None:
        wanted = _both(words.crop)
        result = {name: _extend(view, wanted) for name, view in result.items()}
        height, width = next(iter(result.values())).shape[:2]
        box = _random_box(height, width, np.asarray(wanted), random)
        result = {name: _cut(view, box) for name, view in result.items()}
    if random.random() < words.flips.horizontal:
        result = {name: view[:, ::-1] for name, view in result.items()}
    if random.random() < words.flips.vertical:
        result = {name: view[::-1] for name, view in result.items()}
    if random.random() < words.flips.transpose:
        result = {name: view.swapaxes(0, 1) for name, view in result.items()}
    if words.blacks is not None and random.random() < words.blacks.probability:
        brightest = next(iter(result.values())).max(axis=2)
        black = min(int(np.quantile(brightest, random.uniform(*words.blacks.share))), 254)
        result = {name: _blackened(view, black) for name, view in result.items()}
    if words.coloured_light is not None and random.random() < words.coloured_light.probability:
        colours = random.normal(0, words.coloured_light.spread, 3)
        factors = random.uniform(*words.coloured_light.gain) * np.exp(colours - colours.max())
        result = {name: _tinted(view, factors) for name, view in result.items()}
    if words.exposure is not None and random.random() < words.exposure.probability:
        for name in words.exposure.fields:
            if name in result:
                result[name] = _relight(result[name], words.exposure, random)
    if words.illumination is not None and random.random() < words.illumination.probability:
        dark, reference = words.illumination.fields
        result[dark], result[reference] = _illuminate(result[dark], result[reference], words.illumination, random)
    if words.lamps is not None and random.random() < words.lamps.probability:
        dark, reference = words.lamps.fields
        result[dark], result[reference] = light_by_lamps(result[reference], words.lamps, random)
    if words.relighting is not None and random.random() < words.relighting.probability:
        dark, reference, mask = words.relighting.fields
        relit = relight(result[dark], result[mask], words.relighting, random)
        if relit is not None:
            result[dark], result[reference] = relit
    if words.darkening is not None and random.random() < words.darkening.probability:
        for name in words.darkening.fields:
            if name in result:
                result[name] = darken(result[name], words.darkening, random)
    return result


def _blackened(view: Pixels, black: int) -> Pixels:
    levels = np.maximum(np.arange(256) - black, 0) * (255 / (255 - black))
    return np.round(levels).astype(np.uint8)[view]


def _tinted(view: Pixels, factors: NDArray[np.float64]) -> Pixels:
    curves = np.round(255 * np.clip(np.linspace(0, 1, 256)[:, None] * factors, 0, 1)).astype(np.uint8)
    return np.stack([curves[view[..., channel], channel] for channel in range(3)], axis=-1)


def _relight(view: Pixels, exposure: Exposure, random: np.random.Generator) -> Pixels:
    gain = np.exp(random.uniform(*np.log(exposure.gain)))
    gamma = np.exp(random.uniform(*np.log(exposure.gamma)))
    curve = (gain * np.linspace(0, 1, 256) ** gamma).astype(np.float32)
    light = curve[view]
    deviation = random.uniform(*exposure.noise)
    if deviation > 0:
        light = light + deviation * random.standard_normal(view.shape, np.float32)
    return np.round(255 * np.clip(light, 0, 1)).astype(np.uint8)


def _illuminate(
    dark: Pixels, reference: Pixels, words: Illumination, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Both views with the same light where a smooth random field is highest."""
    cells = random.random(random.integers(2, 7, 2), np.float32)
    field = np.asarray(Image.fromarray(cells).resize(dark.shape[1::-1], Image.Resampling.BICUBIC))
    threshold = np.quantile(field, 1 - random.uniform(*words.share))
    softness = np.exp(random.uniform(*np.log((0.01, 0.3))))
    lit = np.clip((field - threshold) / softness + 0.5, 0, 1)[..., None]
    factors = np.exp(random.uniform(*np.log(words.gain)) + random.normal(0, words.tint, 3))
    light = np.minimum(reference * factors.astype(np.float32), 255)
    views = (view + lit * (light - view) for view in (dark, reference))
    first, second = (np.round(view).astype(np.uint8) for view in views)
    return first, second


def _both(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _random_box(
    height: int, width: int, size: NDArray[np.number], random: np.random.Generator
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a box of this size, rounded, somewhere inside."""
    rows, columns = (max(1, round(float(side))) for side in size)
    top = int(random.integers(height - rows + 1))
    left = int(random.integers(width - columns + 1))
    return top, left, rows, columns


def _cut(view: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    top, left, height, width = box
    return view[top : top + height, left : left + width]


def _extend(view: Pixels, wanted: tuple[int, int]) -> Pixels:
    """At least the wanted size, by reflection at the bottom and right."""
    missing = [max(0, side - view.shape[axis]) for axis, side in enumerate(wanted)]
    if not any(missing):
        return view
    return np.pad(view, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
