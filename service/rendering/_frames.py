"""Video: the network's effect on a frame is averaged with its effects on the frames before.

A network that treats every frame by itself reacts to noise with small changes of brightness, which are visible as
flicker. Its effect is a local affine map, and maps, unlike finished frames, can be averaged: the average is applied
to the sharp new frame. Where the scene changes, the new map wins, and after a cut nothing of the old map is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from service.pictures import Picture
from service.rendering._affine import AffineMap, evaluate
from service.rendering._answer import Answer, affine_map
from service.rendering._grade import Grade, grade, light_and_gate, with_shadows
from service.rendering._options import RenderOptions
from service.rendering._pass import apply_map
from service.rendering._prepare import Prepared

CHANGE = (0.15, 0.5)
"""Relative changes of brightness at a position: up to the first it counts as noise; from the second the new map
wins."""

CUT = 0.35
"""Mean change of all positions, each at most 1, from which a frame counts as the first of a new scene."""

MOVED = 0.05
"""Mean change of all positions, each at most 1, from which a map is not taken over from one frame to another."""

DARKNESS = 0.02
"""Code value added to brightness before relative changes are computed; keeps black areas stable."""

WINDOW = 9
"""Side in proxy pixels of the window over which changes are averaged, so that sensor noise does not count."""


@dataclass(frozen=True)
class Effect:
    """A network's effect on one frame.

    Attributes:
        affine: its effect as a map.
        gate: the gate for bright pictures, 0 to 1.
        view: float32 [h, w, 3], 0 to 1, the frame at the proxy's size.
        means: the frame's area means on the grid of its local means, as in `Prepared`.
        told: the stops of the wanted exposure that the network has applied, as in `Prepared`.
    """

    affine: AffineMap
    gate: float
    view: NDArray[np.float32]
    means: NDArray[np.float32] | None
    told: float = 0.0

    def on(self, prepared: Prepared, options: RenderOptions) -> Effect:
        """The same map for another frame that looks alike."""
        gate = light_and_gate(prepared.view)[1] if options.gate else 1.0
        return Effect(self.affine, gate, prepared.view.colour, prepared.means, self.told)


@dataclass(frozen=True, eq=False)
class FrameAnswer(Answer):
    """A frame with an effect, which replaces a network's answer in `begin_answer`.

    Attributes:
        effect: of this frame; there are no `outputs`.
    """

    effect: Effect

    @cached_property
    def affine(self) -> AffineMap:
        """The effect's map."""
        return self.effect.affine

    def grading(self, options: RenderOptions) -> tuple[RenderOptions, Grade]:
        """See `Answer`; the gate is the effect's."""
        left = replace(options, exposure=options.exposure - self.effect.told)
        return left, grade(left, self.effect.gate, self.prepared.picture)


def fit_effect(prepared: Prepared, outputs: Sequence[NDArray[Any]], options: RenderOptions) -> Effect:
    """The network's effect on one frame; arguments as for `finish`, prepared for detail=guided.

    Raises:
        ValueError: if the plan is for another detail: then there is no map to average.
    """
    if prepared.plan.proxy is None:
        raise ValueError(f"frames are rendered with detail=guided, not {prepared.plan.detail}")
    gate = light_and_gate(prepared.view)[1] if options.gate else 1.0
    return Effect(affine_map(prepared, outputs), gate, prepared.view.colour, prepared.means, prepared.told)


def smooth_over_time(before: Effect | None, now: Effect, share: float) -> Effect:
    """The effect for this frame: `share` of its own, the rest of what was applied before.

    An exponential average over time, position by position; a position whose brightness changes by half takes the new
    map at once, and so does the whole frame after a cut or a change of size.

    Args:
        before: the result of this function for the previous frame; None for the first.
        now: the network's effect on this frame alone.
        share: above 0, at most 1; 1 averages nothing.
    """
    if before is None or before.affine.terms.shape != now.affine.terms.shape or before.view.shape != now.view.shape:
        return now
    change = scene_change(before.view, now.view)
    if np.minimum(change, 1.0).mean() > CUT:
        return now
    start, end = CHANGE
    part = np.clip((change - start) / (end - start), 0.0, 1.0)
    shares = share + (1 - share) * part * part * (3 - 2 * part)
    height, width = now.affine.terms.shape[1:3]
    weight = np.asarray(cv2.resize(shares, (width, height), interpolation=cv2.INTER_AREA), np.float32)[..., None]
    terms = before.affine.terms + weight * (now.affine.terms - before.affine.terms)
    gate = before.gate + float(shares.mean()) * (now.gate - before.gate)
    told = before.told + float(shares.mean()) * (now.told - before.told)
    return Effect(AffineMap(terms), gate, now.view, now.means, told)


def shows_another(before: Prepared, now: Prepared) -> bool:
    """Whether a frame is too different from another to use its map: the scene has changed, or there was a cut."""
    if before.view.colour.shape != now.view.colour.shape:
        return True
    change = scene_change(before.view.colour, now.view.colour)
    return bool(np.minimum(change, 1.0).mean() > MOVED)


def scene_change(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each position changed, relative to its brightness: float32 [h, w, 3] twice to [h, w], 0 and more."""
    window = (WINDOW, WINDOW)
    earlier, later = (cv2.blur(view.mean(axis=2), window, borderType=cv2.BORDER_REFLECT) for view in (before, now))
    return np.asarray(np.abs(later - earlier) / ((earlier + later) / 2 + DARKNESS), np.float32)


def apply_effect(frame: Picture, effect: Effect, options: RenderOptions) -> NDArray[Any]:
    """Apply an effect to every pixel of a frame: uint8 or uint16 [H, W, 3], like the frame."""
    options = replace(options, exposure=options.exposure - effect.told)
    grading = grade(options, effect.gate, frame)
    if grading.blend == 0:
        return frame.pixels
    grading = with_shadows(grading, options, frame, lambda: (effect.view, evaluate(effect.affine, effect.view)))
    return apply_map(frame.pixels, effect.affine, grading, effect.means).make_all()
