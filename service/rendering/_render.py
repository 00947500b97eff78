"""From a picture to the network's work items, and from the network's answers to the finished picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import EVIDENCE, EXPOSURE, IMAGE, PROXY, ModelTraits
from service.pictures import Picture, PictureFormat
from service.rendering._affine import AffineMap, evaluate, fit_affine, predicted_affine
from service.rendering._colour import in_picture_space, is_srgb_space
from service.rendering._evidence import evidence
from service.rendering._grade import grade, light_and_gate, with_shadows
from service.rendering._options import RenderOptions
from service.rendering._pass import Pass, apply_map, blend
from service.rendering._plan import RenderPlan, Window, plan
from service.rendering._shrink import View, coarser, mean_luminance, shrink

MEASURING_SIDE = 256
"""Long side, in pixels, of the view on which light is measured where there is no proxy."""

SAMPLES = 15_000
"""Pixels of a finished picture by which its luminance is measured."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Rendered:
    """A finished picture and what is reported of it.

    Attributes:
        picture: the source with new pixels; same size, depth, colour space, alpha and metadata.
        gate: 0 (it was well exposed: left alone) to 1 (all of the effect), measured whether or not it was applied.
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
class Prepared:
    """A picture that is about to meet a network.

    Attributes:
        picture: the picture.
        plan: how it meets the network.
        view: the picture from afar: of the proxy's size for guided rendering, else for measuring light.
        items: what the network is to see: [h, w, 3], sRGB, of the shapes `plan.item_shapes`, in order; uint8, or
            float32 from 0 to 1 for models that take what is hidden beside it.
        hidden: for these, float32 [h, w, 3], what the proxy hides (`evidence`).
        told: for these, the stops of the wished exposure that the network is told: the gate's share, for the rest of
            the picture is not the network's. The exposure curve does what is left.
        means: float32 [h, w, 3], area means on the grid `plan.light`, code values from 0 to 1; None without one.
    """

    picture: Picture
    plan: RenderPlan
    view: View
    items: list[NDArray[Any]]
    means: NDArray[np.float32] | None = None
    hidden: NDArray[np.float32] | None = None
    told: float = 0.0

    def inputs(self) -> list[dict[str, NDArray[Any]]]:
        """The model's inputs for each work item, by name, each with a batch axis of one."""
        if self.hidden is None:
            return [{IMAGE: item[None]} for item in self.items]
        exposure = np.array([[self.told]], np.float32)
        return [{PROXY: item[None], EVIDENCE: self.hidden[None], EXPOSURE: exposure} for item in self.items]


def prepare(picture: Picture, plan: RenderPlan) -> Prepared:
    """Look at a picture from afar, and cut out or shrink what the network is to see."""
    deep = picture.bits > 8
    if plan.proxy is not None:
        view, means = shrink(picture, plan.light or plan.proxy), None
        if plan.light is not None:
            view, means = coarser(view, plan.proxy), view.colour
        if plan.exposure is None:
            return Prepared(picture, plan, view, [picture.srgb(_for_network(view.colour, deep))], means)
        hidden = evidence(picture.pixels, plan.proxy) * (view.weight[..., None] > 0)
        told = plan.exposure * (light_and_gate(view)[1] if plan.gate else 1.0)
        return Prepared(picture, plan, view, [_fine_srgb(picture, view.colour)], means, hidden, told)
    view = shrink(picture, _measuring_shape(picture))
    source = _visible(picture, view)
    if deep:
        source = _for_network(_unit(source), deep)
    return Prepared(picture, plan, view, [picture.srgb(_cut(source, window)) for window in plan.windows])


@dataclass(frozen=True)
class Rendering:
    """A picture whose pixels are still to be made.

    Attributes:
        picture, gate, luminance_before, detail: as in `Rendered`; the picture's pixels are not there yet.
        rows: makes them; None: the picture stays as it is.
    """

    picture: Picture
    gate: float
    luminance_before: float
    detail: str
    rows: Pass | None = None

    def rendered(self) -> Rendered:
        """What it became, once all pixels are made."""
        after = self.luminance_before if self.rows is None else _sampled_luminance(self.picture)
        return Rendered(self.picture, self.gate, self.luminance_before, after, self.detail)


def finish(prepared: Prepared, outputs: Sequence[NDArray[Any]], options: RenderOptions) -> Rendered:
    """Bring the network's effect to every pixel of the picture; arguments as for `begin`."""
    rendering = begin(prepared, outputs, options)
    if rendering.rows is not None:
        rendering.rows.make_all()
    return rendering.rendered()


def begin(prepared: Prepared, outputs: Sequence[NDArray[Any]], options: RenderOptions) -> Rendering:
    """All of `finish` but the pass over the full-size pixels, which may go strip by strip with the encoder's.

    Args:
        prepared: the picture.
        outputs: the network's answer to each work item, in order: `enhanced`, uint8 [h, w, 3], or for guided
            rendering also `affine`, FP32 [h, w, k], as `predicted_affine` defines it.
        options: strength, protect, gate, gamma, exposure and shadows; the detail is decided in the plan.
    """
    picture, plan, view = prepared.picture, prepared.plan, prepared.view
    before, gate = light_and_gate(view)
    options = replace(options, exposure=options.exposure - prepared.told)
    grading = grade(options, gate if options.gate else 1.0, picture)
    if grading.blend == 0:
        return Rendering(picture, gate, before, plan.label)
    if plan.through_map:
        affine = affine_map(prepared, outputs)
        grading = with_shadows(grading, options, picture, lambda: (view.colour, evaluate(affine, view.colour)))
        rows = apply_map(picture.pixels, affine, grading, prepared.means)
    else:
        enhanced = _enhanced_codes(prepared, outputs)
        grading = with_shadows(grading, options, picture, lambda: (view.colour, _from_afar(enhanced, prepared)))
        rows = blend(picture.pixels, enhanced, grading)
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


def affine_map(prepared: Prepared, outputs: Sequence[NDArray[Any]]) -> AffineMap:
    """The network's effect as a map in the picture's colour space."""
    picture, plan, view = prepared.picture, prepared.plan, prepared.view
    deep = picture.bits > 8
    if plan.proxy is None:
        source = _for_network(_unit(_visible(picture, view)), deep)
        seen, enhanced = picture.srgb(source), _unit(_assemble(plan, outputs))
    else:
        predicted = None if outputs[0].shape[-1] == 3 else predicted_affine(outputs[0])
        if predicted is not None and is_srgb_space(picture):
            return predicted
        source = _for_network(view.colour, deep)
        seen = picture.srgb(source)
        if predicted is None:
            enhanced = _unit(outputs[0])
        else:
            if predicted.has_base_and_detail:
                light = in_picture_space(picture, source, seen, evaluate(predicted, _unit(seen)))
                return predicted.moved(_unit(source), light, grey=picture.is_grey)
            enhanced = evaluate(predicted, _unit(seen))
    return fit_affine(_unit(source), in_picture_space(picture, source, seen, enhanced))


def _sampled_luminance(picture: Picture) -> float:
    """Mean luminance of what is visible, from a grid of about `SAMPLES` pixels, 0 to 1."""
    step = max(1, math.isqrt(picture.height * picture.width // SAMPLES))
    colour = _unit(picture.pixels[step // 2 :: step, step // 2 :: step])
    if picture.alpha is None:
        weight = np.ones(colour.shape[:2], np.float32)
    else:
        weight = _unit(picture.alpha[step // 2 :: step, step // 2 :: step])
    return mean_luminance(colour, weight)


def _enhanced_codes(prepared: Prepared, outputs: Sequence[NDArray[Any]]) -> Pixels:
    """The network's picture at full size, uint8 [H, W, 3], in the picture's colour space."""
    picture = prepared.picture
    enhanced = _assemble(prepared.plan, outputs)
    if is_srgb_space(picture):
        return enhanced
    source = _visible(picture, prepared.view)
    seen = picture.srgb(source)
    return np.rint(in_picture_space(picture, source, seen, _unit(enhanced)) * 255).astype(np.uint8)


def _from_afar(enhanced: Pixels, prepared: Prepared) -> NDArray[np.float32]:
    """The network's picture of full size as small as the view is, float32 [h, w, 3], 0 to 1."""
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


def _cut(pixels: NDArray[Any], window: Window) -> NDArray[Any]:
    return pixels[window.rows.start : window.rows.stop, window.columns.start : window.columns.stop]


def _visible(picture: Picture, view: View) -> NDArray[Any]:
    """The picture's pixels, those that are wholly transparent in its mean visible colour, so that nothing leaks."""
    if picture.alpha is None or picture.alpha.all():
        return picture.pixels
    white = np.iinfo(picture.pixels.dtype).max
    filling = np.rint(view.mean_colour * white).astype(picture.pixels.dtype)
    return np.where(picture.alpha[..., None] == 0, filling, picture.pixels)


def _measuring_shape(picture: Picture) -> tuple[int, int]:
    height, width = picture.pixels.shape[:2]
    scale = min(1.0, MEASURING_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _fine_srgb(picture: Picture, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """A proxy as the network sees it, float32 [h, w, 3] from 0 to 1, in more than 8 bits where no profile is read."""
    if is_srgb_space(picture):
        return np.clip(colour, 0, 1)
    return _unit(picture.srgb(_for_network(colour, picture.bits > 8)))


def _for_network(colour: NDArray[np.float32], deep: bool) -> Pixels:
    """Code values from 0 to 1 in 8 bits, [h, w, 3] to the same; dithered where the picture is `deep`er than that.

    The network takes 8 bits. The finer steps of a dark 16-bit picture are lost to it, and a map fitted between two
    codes would be flat. With ordered dither every window of the fit sees both codes in the right proportion. For
    8-bit pictures dither only adds noise: it costs 0.02 dB on LOL's eval15.
    """
    codes = colour * np.float32(255)
    if deep:
        row, column = np.ogrid[: colour.shape[0], : colour.shape[1]]
        rank = 5 * ((row + 2 * column) % 5) + (2 * row + column) % 5  # any 5 x 5 places hold each of 0 to 24 once
        codes += ((rank + 0.5) / 25 - 0.5).astype(np.float32)[..., None]
    return np.clip(np.rint(codes, out=codes), 0, 255, out=codes).astype(np.uint8)


def _unit(codes: NDArray[Any]) -> NDArray[np.float32]:
    return codes * np.float32(1 / np.iinfo(codes.dtype).max)
