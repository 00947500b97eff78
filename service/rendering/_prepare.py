"""Makes a network's inputs from a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import EVIDENCE, EXPOSURE, IMAGE, PROXY
from service.pictures import Picture
from service.rendering._colour import is_srgb_space
from service.rendering._evidence import evidence
from service.rendering._grade import light_and_gate
from service.rendering._plan import RenderPlan, Window
from service.rendering._shrink import View, coarser, shrink

MEASURING_SIDE = 256
"""Long side, in pixels, of the view on which luminance is measured if there is no proxy."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prepared:
    """A picture with the network's inputs.

    Attributes:
        picture: the picture.
        plan: how the network is applied.
        view: the shrunk picture: of the proxy's size for guided rendering, else for measuring luminance.
        items: the network's inputs: [h, w, 3], sRGB, of the shapes `plan.item_shapes`, in order; uint8, or float32
            from 0 to 1 for models that take evidence beside it.
        hidden: for these models, float32 [h, w, 3], the detail that the proxy hides (`evidence`).
        told: for these models, the stops of the wanted exposure that the network applies: the gate's share, since the
            rest of the result does not come from the network. The exposure curve applies the remainder.
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
    """Shrink a picture for measuring, and crop or shrink it for the network."""
    deep = picture.bits > 8
    if plan.proxy is not None:
        view, means = shrink(picture, plan.light or plan.proxy), None
        if plan.light is not None:
            view, means = coarser(view, plan.proxy), view.colour
        if plan.exposure is None:
            return Prepared(picture, plan, view, [picture.srgb(for_network(view.colour, deep))], means)
        hidden = evidence(picture.pixels, plan.proxy) * (view.weight[..., None] > 0)
        told = plan.exposure * (light_and_gate(view)[1] if plan.gate else 1.0)
        return Prepared(picture, plan, view, [_fine_srgb(picture, view.colour)], means, hidden, told)
    view = shrink(picture, _measuring_shape(picture))
    source = visible(picture, view)
    if deep:
        source = for_network(unit(source), deep)
    return Prepared(picture, plan, view, [picture.srgb(_cut(source, window)) for window in plan.windows])


def visible(picture: Picture, view: View) -> NDArray[Any]:
    """The picture's pixels; fully transparent ones get the mean visible colour, so that nothing hidden leaks."""
    if picture.alpha is None or picture.alpha.all():
        return picture.pixels
    white = np.iinfo(picture.pixels.dtype).max
    filling = np.rint(view.mean_colour * white).astype(picture.pixels.dtype)
    return np.where(picture.alpha[..., None] == 0, filling, picture.pixels)


def for_network(colour: NDArray[np.float32], deep: bool, first: int = 0) -> Pixels:
    """Code values from 0 to 1 in 8 bits, [h, w, 3] to the same; dithered if the picture is `deep`er than that.

    `first` is the row of the whole picture with which `colour` begins.

    The network takes 8 bits. It cannot see the finer steps of a dark 16-bit picture, and a map fitted between two
    codes would be flat. With ordered dither, every window of the fit has both codes in the right proportion. For
    8-bit pictures dither only adds noise: it costs 0.02 dB on LOL's eval15.
    """
    codes = colour * np.float32(255)
    if deep:
        row, column = np.ogrid[first : first + colour.shape[0], : colour.shape[1]]
        rank = 5 * ((row + 2 * column) % 5) + (2 * row + column) % 5  # any 5 x 5 places hold each of 0 to 24 once
        codes += ((rank + 0.5) / 25 - 0.5).astype(np.float32)[..., None]
    return np.clip(np.rint(codes, out=codes), 0, 255, out=codes).astype(np.uint8)


def unit(codes: NDArray[Any]) -> NDArray[np.float32]:
    return codes * np.float32(1 / np.iinfo(codes.dtype).max)


def _cut(pixels: NDArray[Any], window: Window) -> NDArray[Any]:
    return pixels[window.rows.start : window.rows.stop, window.columns.start : window.columns.stop]


def _measuring_shape(picture: Picture) -> tuple[int, int]:
    height, width = picture.pixels.shape[:2]
    scale = min(1.0, MEASURING_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _fine_srgb(picture: Picture, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """A proxy as the network sees it, float32 [h, w, 3] from 0 to 1, in more than 8 bits where no profile is read."""
    if is_srgb_space(picture):
        return np.clip(colour, 0, 1)
    return unit(picture.srgb(for_network(colour, picture.bits > 8)))
