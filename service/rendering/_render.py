"""From a network's answers to the finished picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import ModelTraits
from service.pictures import Picture, PictureFormat
from service.rendering._answer import Answer
from service.rendering._grade import light_and_gate, with_shadows
from service.rendering._options import RenderOptions
from service.rendering._pass import Pass, apply_map, blend
from service.rendering._plan import plan
from service.rendering._prepare import Pixels, Prepared, prepare, unit
from service.rendering._shrink import mean_luminance

SAMPLES = 15_000
"""Pixels of a finished picture by which its luminance is measured."""


@dataclass(frozen=True)
class Rendered:
    """A finished picture and what is reported of it.

    Attributes:
        picture: the source with new pixels; same size, depth, colour space, alpha and metadata.
        gate: 0 (well exposed, left alone) to 1 (full effect), measured whether or not it was applied.
        luminance_before, luminance_after: mean Rec. 709 luminance of the visible pixels' code values, 0 to 1; of the
            finished picture as a sample tells, within about 0.003.
        detail: what was done, `RenderPlan.label`.
    """

    picture: Picture
    gate: float
    luminance_before: float
    luminance_after: float
    detail: str


@dataclass(frozen=True)
class Rendering:
    """A picture whose pixels are still to be computed.

    Attributes:
        picture, gate, luminance_before, detail: as in `Rendered`; the picture's pixels are undefined until `rows`
            ran.
        rows: computes them; None: the picture stays as it is.
    """

    picture: Picture
    gate: float
    luminance_before: float
    detail: str
    rows: Pass | None = None

    def rendered(self) -> Rendered:
        """The finished picture, once all pixels are computed."""
        after = self.luminance_before if self.rows is None else _sampled_luminance(self.picture)
        return Rendered(self.picture, self.gate, self.luminance_before, after, self.detail)


def finish(prepared: Prepared, outputs: Sequence[NDArray[Any]], options: RenderOptions) -> Rendered:
    """Apply the network's effect to every pixel of the picture; arguments as for `begin`."""
    rendering = begin(prepared, outputs, options)
    if rendering.rows is not None:
        rendering.rows.make_all()
    return rendering.rendered()


def begin(prepared: Prepared, outputs: Sequence[NDArray[Any]], options: RenderOptions) -> Rendering:
    """All of `finish` except the pass over the full-size pixels, which can then run strip by strip with the encoder.

    Args:
        prepared: the picture.
        outputs: the network's answer to each work item, in order: `enhanced`, uint8 [h, w, 3], or for guided
            rendering also `affine`, FP32 [h, w, k], as `predicted_affine` defines it.
        options: strength, protect, gate, gamma, exposure and shadows; the detail is decided in the plan.
    """
    return begin_answer(Answer(prepared, outputs), options)


def begin_answer(answer: Answer, options: RenderOptions, restored: NDArray[Any] | None = None) -> Rendering:
    """Like `begin`, for an existing answer.

    Args:
        answer: of the network.
        options: as for `begin`.
        restored: the answer at full size without its noise, [H, W, 3] of the picture's type; None: the answer.
    """
    prepared = answer.prepared
    picture, plan = prepared.picture, prepared.plan
    before, gate = light_and_gate(prepared.view)
    left, grading = answer.grading(options)
    if grading.blend == 0:
        return Rendering(picture, gate, before, plan.label)
    grading = with_shadows(grading, left, picture, answer.from_afar)
    if restored is not None:
        rows = blend(picture.pixels, restored, grading)
    elif plan.through_map:
        rows = apply_map(picture.pixels, answer.affine, grading, prepared.means)
    else:
        rows = blend(picture.pixels, answer.enhanced, grading)
    return Rendering(replace(picture, pixels=rows.pixels), gate, before, plan.label, rows)


def render_array(
    image: Pixels, run: Callable[[Pixels], NDArray[Any]], traits: ModelTraits, options: RenderOptions
) -> Pixels:
    """The whole path for one sRGB picture and any network, uint8 [H, W, 3] to the same: for evaluation and tests.

    Args:
        image: uint8 [H, W, 3], sRGB.
        run: takes uint8 [1, h, w, 3] and answers the same, or FP32 [1, h, w, coefficients] of a `MapLayout`, for
            guided rendering.
        traits: of the network.
        options: how to render; `NEUTRAL` for the network's effect alone.

    Raises:
        UnsupportedShape, InvalidParameter: as `plan`.
    """
    height, width = image.shape[:2]
    render_plan = plan(width, height, 8, traits, options)
    prepared = prepare(Picture(pixels=image, format=PictureFormat.PNG), render_plan)
    return finish(prepared, [run(item[None])[0] for item in prepared.items], options).picture.pixels


def _sampled_luminance(picture: Picture) -> float:
    """Mean luminance of what is visible, from a grid of about `SAMPLES` pixels, 0 to 1."""
    step = max(1, math.isqrt(picture.height * picture.width // SAMPLES))
    colour = unit(picture.pixels[step // 2 :: step, step // 2 :: step])
    if picture.alpha is None:
        weight = np.ones(colour.shape[:2], np.float32)
    else:
        weight = unit(picture.alpha[step // 2 :: step, step // 2 :: step])
    return mean_luminance(colour, weight)
