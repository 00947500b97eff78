"""A network's result for a picture: a map, or a picture of full size, in the picture's own colour space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.memory import empty
from service.rendering._affine import AffineMap, evaluate, fit_affine, predicted_affine
from service.rendering._colour import in_picture_space, is_srgb_space
from service.rendering._grade import WHOLE_EFFECT, Grade, grade, light_and_gate
from service.rendering._options import RenderOptions
from service.rendering._pass import apply_map
from service.rendering._plan import RenderPlan
from service.rendering._prepare import Pixels, Prepared, for_network, unit, visible
from service.rendering._shrink import shrink

STRIP_PIXELS = 1 << 18
"""Pixels of a picture of full size that are converted at a time: between colour spaces each takes some 130 bytes."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A network's result for a picture, before any option, in the picture's colour space.

    Attributes:
        prepared, outputs: as for `begin`.
    """

    prepared: Prepared
    outputs: Sequence[NDArray[Any]]

    @cached_property
    def affine(self) -> AffineMap:
        """The result as a map, if the plan is `through_map`."""
        return affine_map(self.prepared, self.outputs)

    @cached_property
    def enhanced(self) -> Pixels:
        """The result as a picture, uint8 [H, W, 3], if the plan is not `through_map`."""
        return _enhanced_codes(self.prepared, self.outputs)

    def from_afar(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Picture and answer shrunk to the size of the view, float32 [h, w, 3] each; the answer may leave 0 to 1."""
        colour = self.prepared.view.colour
        if self.prepared.plan.through_map:
            return colour, evaluate(self.affine, colour)
        return colour, _from_afar(self.enhanced, self.prepared)

    def pixels(self) -> NDArray[Any]:
        """The answer at full size, [H, W, 3] of the picture's type; not to be written to."""
        picture = self.prepared.picture
        if self.prepared.plan.through_map:
            return apply_map(picture.pixels, self.affine, WHOLE_EFFECT, self.prepared.means).make_all()
        return self.enhanced

    def grading(self, options: RenderOptions) -> tuple[RenderOptions, Grade]:
        """The options that the network has not applied itself, and the numbers for the kernels."""
        gate = light_and_gate(self.prepared.view)[1] if options.gate else 1.0
        left = replace(options, exposure=options.exposure - self.prepared.told)
        return left, grade(left, gate, self.prepared.picture)


def affine_map(prepared: Prepared, outputs: Sequence[NDArray[Any]]) -> AffineMap:
    """The network's effect as a map in the picture's colour space."""
    picture, plan, view = prepared.picture, prepared.plan, prepared.view
    if plan.proxy is None:
        return fit_affine(*_effect_at_full_size(prepared, outputs))
    predicted = None if outputs[0].shape[-1] == 3 else predicted_affine(outputs[0])
    if predicted is not None and is_srgb_space(picture):
        return predicted
    source = for_network(view.colour, picture.bits > 8)
    seen = picture.srgb(source)
    enhanced = unit(outputs[0]) if predicted is None else evaluate(predicted, unit(seen))
    target = in_picture_space(picture, source, seen, enhanced)
    if predicted is not None and predicted.has_base_and_detail:
        return predicted.moved(unit(source), target, grey=picture.is_grey)
    return fit_affine(unit(source), target)


def _effect_at_full_size(
    prepared: Prepared, outputs: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The picture as the network sees it, and the network's, both float32 [H, W, 3] in the picture's colour space."""
    enhanced = _assemble(prepared.plan, outputs)
    source, target = empty(enhanced.shape, np.float32), empty(enhanced.shape, np.float32)
    for rows, codes, colours in _in_strips(prepared, enhanced):
        source[rows], target[rows] = unit(codes), colours
    return source, target


def _enhanced_codes(prepared: Prepared, outputs: Sequence[NDArray[Any]]) -> Pixels:
    """The network's picture at full size, uint8 [H, W, 3], in the picture's colour space."""
    picture = prepared.picture
    enhanced = _assemble(prepared.plan, outputs)
    if is_srgb_space(picture):
        return enhanced
    result = empty(enhanced.shape, np.uint8)
    for rows, _, colours in _in_strips(prepared, enhanced):
        result[rows] = np.rint(colours * 255).astype(np.uint8)
    return result


def _in_strips(prepared: Prepared, enhanced: Pixels) -> Iterator[tuple[slice, Pixels, NDArray[np.float32]]]:
    """Rows of about `STRIP_PIXELS`; in them, the picture as the network sees it, and the network's in its space."""
    picture = prepared.picture
    step = max(1, STRIP_PIXELS // picture.width)
    for first in range(0, picture.height, step):
        rows = slice(first, first + step)
        alpha = None if picture.alpha is None else picture.alpha[rows]
        strip = replace(picture, pixels=picture.pixels[rows], alpha=alpha)
        codes = for_network(unit(visible(strip, prepared.view)), picture.bits > 8, first)
        yield rows, codes, in_picture_space(strip, codes, strip.srgb(codes), unit(enhanced[rows]))


def _from_afar(enhanced: Pixels, prepared: Prepared) -> NDArray[np.float32]:
    """The network's full-size picture shrunk to the size of the view, float32 [h, w, 3], 0 to 1."""
    view = prepared.view
    return shrink(replace(prepared.picture, pixels=enhanced), view.weight.shape).colour


def _assemble(plan: RenderPlan, outputs: Sequence[NDArray[Any]]) -> Pixels:
    """Put the kept parts of the windows together, uint8 [H, W, 3]."""
    if len(plan.windows) == 1:
        return outputs[0]
    corner = plan.windows[-1]
    result = np.empty((corner.rows.stop, corner.columns.stop, 3), np.uint8)
    for window, output in zip(plan.windows, outputs, strict=True):
        rows, columns = window.rows, window.columns
        result[rows.keep_start : rows.keep_stop, columns.keep_start : columns.keep_stop] = output[
            rows.keep_start - rows.start : rows.keep_stop - rows.start,
            columns.keep_start - columns.start : columns.keep_stop - columns.start,
        ]
    return result
