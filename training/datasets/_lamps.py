"""Simulates lamps and windows: mixed colours, falloff and shadows for evenly lit photographs.

A photograph's linear light is multiplied by a field of illumination, so that black stays black. The field is a sum of
sources; each has the colour of a temperature, falls off with the square of the distance, and is partly hidden by an
object with soft edges. Depth is unknown, so distances are measured in the picture.
"""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
Light = NDArray[np.float32]
Share = Annotated[float, Field(ge=0, le=1)]
Kelvin = Annotated[float, Field(ge=1667, le=25000)]

GAMMA = 2.2
"""Exponent from code values to light."""

XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""From CIE XYZ to linear sRGB (IEC 61966-2-1)."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of linear sRGB (IEC 61966-2-1)."""

COARSE = 96
"""Long side in pixels at which fields are computed: they are smooth, but for the edges of what hides a source."""


class Lamps(BaseModel):
    """Light sources that replace the even light of a photograph.

    Attributes:
        probability: share of samples that are relit.
        count: fewest and most sources.
        windows: share of sources that are windows: a lit quadrilateral, in the colour of daylight.
        temperature: lowest and highest colour temperature of lamps, in kelvin; drawn uniformly in 1/T.
        daylight: the same of windows.
        balance: lowest and highest temperature for which the camera is balanced.
        height: smallest and largest distance of a lamp from the surface it lights, in long sides; drawn
            log-uniformly.
        hidden: share of sources that are partly hidden.
        ambient: smallest and largest light where no source reaches, relative to the brightest; drawn log-uniformly.
        gain: smallest and largest light of the brightest place, relative to the photograph's; drawn log-uniformly.
        kept: smallest and largest exponent of the field in the reference: at 0 it is evenly lit, at 1 like the dark
            view.
        visible: share of lamps that are visible themselves, white in both views.
        fields: the dark view, and the reference, which is the photograph to be relit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: Share = 1.0
    count: tuple[int, int] = (1, 4)
    windows: Share = 0.35
    temperature: tuple[Kelvin, Kelvin] = (2000, 5000)
    daylight: tuple[Kelvin, Kelvin] = (5000, 9000)
    balance: tuple[Kelvin, Kelvin] = (3500, 6500)
    height: tuple[float, float] = (0.08, 0.5)
    hidden: Share = 0.5
    ambient: tuple[float, float] = (0.01, 0.15)
    gain: tuple[float, float] = (0.3, 1.2)
    kept: tuple[Share, Share] = (0.15, 0.4)
    visible: Share = 0.3
    fields: tuple[str, str] = ("low", "high")


def light_by_lamps(view: Pixels, words: Lamps, random: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A photograph in the light of lamps and windows, and the same with that light evened out.

    Args:
        view: uint8 [H, W, 3].
        words: how.
        random: decides.

    Returns:
        dark view and reference, both uint8 [H, W, 3] and in the same colours of light.
    """
    height, width = view.shape[:2]
    field, glow = _field(height, width, words, random)
    strength = field @ LUMINANCE
    strength /= max(float(np.quantile(strength, 0.98)), 1e-6)
    colour = field / np.maximum(field @ LUMINANCE, 1e-6)[..., None]
    kept = strength ** random.uniform(*words.kept)
    light = (view.astype(np.float32) / 255) ** GAMMA
    gain = float(np.exp(random.uniform(*np.log(words.gain))))
    dark = light * colour * (gain * strength)[..., None]
    reference = light * colour * (kept / max(float(np.quantile(kept, 0.8)), 1e-6))[..., None]
    # Where lamps make it brighter than even light, the reference is as bright.
    return _codes(dark + glow), _codes(np.maximum(reference, dark) + glow)


def planck_colour(kelvin: float) -> Light:
    """Linear sRGB [3] of luminance 1 of a black body, not below 0, relative to a white of 6504 K.

    The locus is Kim et al.'s cubic approximation (US patent 7024034, 2006), from 1667 to 25000 K.
    """
    t = 1000 / kelvin
    if kelvin <= 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    return _rgb(x, y)


def daylight_colour(kelvin: float) -> Light:
    """The same of daylight from 4000 to 25000 K: CIE 015:2018, section 4.1.2, the D series."""
    t = 1000 / kelvin
    if kelvin <= 7000:
        x = -4.6070 * t**3 + 2.9678 * t**2 + 0.09911 * t + 0.244063
    else:
        x = -2.0064 * t**3 + 1.9018 * t**2 + 0.24748 * t + 0.237040
    return _rgb(x, -3.000 * x * x + 2.870 * x - 0.275)


def falloff(squared: Light, height: float) -> Light:
    """Light by the inverse square of the distance from a lamp, 1 right below it.

    Args:
        squared: square of the distance in the picture from the place below the lamp.
        height: of the lamp above that place, in the same unit.
    """
    return np.asarray(height**2 / (height**2 + squared), np.float32)


def _rgb(x: float, y: float) -> Light:
    """Linear sRGB of a chromaticity at luminance 1; what lies outside of sRGB is moved to its border."""
    colour = np.maximum(XYZ_TO_RGB @ np.array([x / y, 1.0, (1 - x - y) / y]), 0).astype(np.float32)
    return np.asarray(colour / float(colour @ LUMINANCE), np.float32)


def _field(height: int, width: int, words: Lamps, random: np.random.Generator) -> tuple[Light, Light]:
    """Illumination [H, W, 3], and the light of lamps that are seen themselves, [H, W, 3]."""
    longest = max(height, width)
    rows, columns = (max(2, round(side * COARSE / longest)) for side in (height, width))
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float32) / COARSE
    white = planck_colour(_temperature(words.balance, random))
    total = np.zeros((height, width, 3), np.float32)
    glow = np.zeros_like(total)
    for _ in range(int(random.integers(words.count[0], words.count[1] + 1))):
        power = float(np.exp(random.normal(0, 0.5)))
        place = random.uniform((-0.1, -0.1), (down.max() + 0.1, across.max() + 0.1))
        if random.random() < words.windows:
            colour = daylight_colour(max(4000.0, _temperature(words.daylight, random))) / white
            lit = _quadrilateral(rows, columns, place, random)
        else:
            colour = planck_colour(_temperature(words.temperature, random)) / white
            near = float(np.exp(random.uniform(*np.log(words.height))))
            squared = (down - place[0]) ** 2 + (across - place[1]) ** 2
            lit = falloff(squared, near)
            if random.random() < words.visible:
                glow += _disc(height, width, place * longest, random) * np.minimum(2 * colour, 4)
        lit = np.asarray(cv2.resize(lit, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        if random.random() < words.hidden:
            lit = lit * (1 - random.uniform(0.5, 1) * _polygon(height, width, random))
        total += power * lit[..., None] * colour
    ambient = float(np.exp(random.uniform(*np.log(words.ambient))))
    colour = daylight_colour(max(4000.0, _temperature(words.daylight, random))) / white
    return total + ambient * float((total @ LUMINANCE).max()) * colour, glow


def _temperature(span: tuple[float, float], random: np.random.Generator) -> float:
    return 1 / random.uniform(1 / span[1], 1 / span[0])


def _quadrilateral(rows: int, columns: int, place: NDArray[np.float64], random: np.random.Generator) -> Light:
    """Light through a window: [rows, columns], 1 inside a slanted quadrilateral with soft borders."""
    half = random.uniform(0.08, 0.35, 2) * COARSE
    slant = random.uniform(-0.5, 0.5) * half[0]
    middle = place[::-1] * COARSE
    corners = [(-half[1] + slant, -half[0]), (half[1] + slant, -half[0]), (half[1] - slant, half[0])]
    corners.append((-half[1] - slant, half[0]))
    lit = np.zeros((rows, columns), np.float32)
    cv2.fillPoly(lit, [np.round(middle + np.array(corners)).astype(np.int32)], 1.0)
    sharp = cv2.GaussianBlur(lit, (0, 0), random.uniform(0.5, 4))
    return np.asarray(0.8 * sharp + 0.2 * cv2.GaussianBlur(lit, (0, 0), COARSE / 6), np.float32)


def _polygon(height: int, width: int, random: np.random.Generator) -> Light:
    """The shadow of an object before a source: [H, W], 1 in the shadow, with soft borders."""
    angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 8))))
    radii = random.uniform(0.15, 0.7, len(angles)) * max(height, width)
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    shadow = np.zeros((height, width), np.float32)
    cv2.fillPoly(shadow, [np.round(random.uniform((0, 0), (width, height)) + corners).astype(np.int32)], 1.0)
    softness = float(np.exp(random.uniform(np.log(0.002), np.log(0.05)))) * max(height, width)
    return np.asarray(cv2.GaussianBlur(shadow, (0, 0), max(0.5, softness)), np.float32)


def _disc(height: int, width: int, place: NDArray[np.float64], random: np.random.Generator) -> Light:
    """A visible lamp: [H, W, 1], 1 on its disc, with a weak halo."""
    radius = random.uniform(0.005, 0.03) * max(height, width)
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.sqrt((down - place[0]) ** 2 + (across - place[1]) ** 2)
    disc = np.clip(radius - distance + 0.5, 0, 1)
    halo = 0.04 * np.exp(-distance / (4 * radius))
    return np.asarray(disc + halo, np.float32)[..., None]


def _codes(light: Light) -> Pixels:
    return np.asarray(np.round(255 * cv2.pow(np.clip(light, 0, 1), 1 / GAMMA)), np.uint8)
