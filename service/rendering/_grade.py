"""Grading after the network: gamma, exposure, shadows, strength, the gate for bright pictures, protection of lamps.

In code values x of the source and y of the network, both 0 to 1:

    y <- y^gamma
    target = E(F * (x + gate * (y - x)))
    out = x + strength * (1 - protect * s(l)) * (target - x),    s(l) = c / sqrt((1 - l)^2 + c^2),  c = 0.15

E is the curve of `exposure` (`_exposure`), F the factor of `shadows` (`_shadows`); at 0 they change nothing. They act
after the gate, so they also apply to pictures that the gate leaves alone.

l is the luminance of x, and p = protect * s. Why s has this form: a grey ramp must stay monotonic, whatever the
options and the network. The worst network clips to white: y = 1 from some grey on. There out = 1 - p(x) * (1 - x), so
p(x) * (1 - x) must never increase. A p that starts from zero at black could then never rise. s starts at 0.148, which
at the default `protect` of 0.5 costs shadows 7 % of the effect, and reaches 0.29 at l = 0.5, 0.6 at 0.8 and 1 at
white. Where a network darkens instead, a growing p only steepens the ramp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.pictures import Picture
from service.rendering._colour import grey_tones
from service.rendering._exposure import exposure_curve
from service.rendering._options import RenderOptions
from service.rendering._shadows import NO_SHADOWS, Shadows, shadow_factors
from service.rendering._shrink import View, mean_light

DARK = (0.1, 0.3)
"""Luminance up to which an area counts as dark, and from which it does not at all; smooth in between."""

DARK_SHARE = (0.1, 0.4)
"""Share of dark areas up to which a picture counts as well exposed, and from which it gets the full effect.

On the LOL, LIME and DICM photos: 0.31 to 1.0 for those taken in too little light (0.31 to 0.35 are backlit scenes
with a mean luminance of 0.45, which a gate on the mean would reject), 0.0 to 0.14 for most well-lit ones.
"""

TONE_STEPS = 1 << 16

NOTHING = np.empty(0, np.float32)
"""A table that is not needed."""


@dataclass(frozen=True)
class Grade:
    """The options of one picture as numbers for the kernels.

    Attributes:
        blend: strength, times the gate if neither exposure nor shadows are set: 0 to 1.
        protect: 0 to 1.
        tone: float32 [65536], y^gamma over y from 0 to 1; empty for gamma 1.
        gate: 0 to 1, if exposure or shadows are set.
        curve: float32 [65536], E over code values from 0 to 1; empty for exposure 0.
        shadows: F.
    """

    blend: np.float32
    protect: np.float32
    tone: NDArray[np.float32]
    gate: np.float32
    curve: NDArray[np.float32]
    shadows: Shadows


WHOLE_EFFECT = Grade(np.float32(1), np.float32(0), NOTHING, np.float32(1), NOTHING, NO_SHADOWS)
"""The network's answer and nothing else."""


def grade(options: RenderOptions, gate: float, picture: Picture) -> Grade:
    """Turn options and the picture's gate (0 to 1) into numbers for the kernels, except the shadows."""
    tone = curve = NOTHING
    if options.gamma != 1.0:
        tone = (np.linspace(0.0, 1.0, TONE_STEPS) ** options.gamma).astype(np.float32)
    if options.exposure != 0.0:
        curve = exposure_curve(options.exposure, grey_tones(picture), TONE_STEPS)
    blend = options.strength if options.changes_light else options.strength * gate
    return Grade(np.float32(blend), np.float32(options.protect), tone, np.float32(gate), curve, NO_SHADOWS)


def with_shadows(
    grade: Grade,
    options: RenderOptions,
    picture: Picture,
    seen: Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> Grade:
    """The same with the factors of `options.shadows`.

    Args:
        grade: of these options.
        options: of the picture.
        picture: gives the colour space.
        seen: x and y from afar, float32 [h, w, 3] each, code values from 0 to 1; called if there are shadows.
    """
    if options.shadows == 0.0:
        return grade
    source, enhanced = seen()
    light = source + grade.gate * (np.clip(enhanced, 0, 1) ** np.float32(options.gamma) - source)
    return replace(grade, shadows=shadow_factors(light, options.shadows, grey_tones(picture)))


def light_and_gate(view: View) -> tuple[float, float]:
    """Mean luminance of visible pixels, 0 to 1, and the gate.

    The gate is 1 for a dark picture and falls smoothly to 0 for a well-exposed one; 1 if nothing is visible. It
    depends on the visible share of dark areas, not on mean luminance, so that a dark room with a bright window counts
    as dark.
    """
    light, dark_share = mean_light(view.colour, view.weight, *DARK)
    start, end = DARK_SHARE
    part = min(max(0.0, (dark_share - start) / (end - start)), 1.0)
    return light, part * part * (3 - 2 * part)
