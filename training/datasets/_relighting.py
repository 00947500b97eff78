"""Simulates backlight and spotlight in photographs: light is redistributed along the contours of a mask."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Pixels = NDArray[np.uint8]
Share = Annotated[float, Field(ge=0, le=1)]
Stops = tuple[float, float]

GAMMA = 2.2
"""Exponent from code values to light."""

BRIGHT = 0.33
"""Least mean light of the surroundings, relative to white, for a subject to appear backlit."""

MOST_LIGHT = 3.0
"""Stops that surroundings are raised by, at most."""

LEAST_SHARE = 0.03
"""Least share of the picture on either side of a mask."""


class Relighting(BaseModel):
    """Darkens the subject before a bright background.

    Attributes:
        probability: share of samples that are relit, where their mask allows.
        loss: least and most stops that the subject loses; drawn uniformly.
        surroundings: least and most stops that the surroundings gain beyond those that make them bright.
        softness: least and largest deviation in pixels of the blur of the mask's contour; drawn log-uniformly.
        spotlight: share of relit samples in which the subject keeps its light, and the surroundings lose it.
        night: share of relit samples with night around the subject, black in the reference too, and half of the drawn
            loss: it teaches that black without texture stays black.
        uneven: deviation in stops of a smooth field over the dark side.
        fields: the view that is relit, the reference, and the mask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    probability: Share = 1.0
    loss: Stops = (1.5, 5.0)
    surroundings: Stops = (-0.5, 0.5)
    softness: tuple[float, float] = (0.5, 6.0)
    spotlight: Share = 0.2
    night: Share = 0.0
    uneven: float = Field(0.4, ge=0)
    fields: tuple[str, str, str] = ("dark", "reference", "mask")


def relight(
    view: Pixels, mask: Pixels, words: Relighting, random: np.random.Generator
) -> tuple[Pixels, Pixels] | None:
    """A photograph with its subject in the dark, and the same with the subject as it was.

    Args:
        view: uint8 [H, W, 3].
        mask: uint8 [H, W, 3], 0 where the surroundings are.
        words: how.
        random: decides.

    Returns:
        both uint8 [H, W, 3], with equal surroundings; None if one side of the mask is too small.
    """
    subject = (mask[..., 0] > 0).astype(np.float32)
    if random.random() < words.spotlight:
        subject = 1 - subject
    if not LEAST_SHARE <= subject.mean() <= 1 - LEAST_SHARE:
        return None
    light = (view.astype(np.float32) / 255) ** GAMMA
    around = float((light.mean(axis=2) * (1 - subject)).sum() / (1 - subject).sum())
    raised = float(np.clip(np.log2(BRIGHT / max(around, 1e-4)), 0, MOST_LIGHT)) + random.uniform(*words.surroundings)
    softness = float(np.exp(random.uniform(*np.log(words.softness))))
    soft = cv2.GaussianBlur(subject, (0, 0), softness)
    field = cv2.resize(
        random.normal(0, words.uneven, (3, 3)).astype(np.float32), view.shape[1::-1], interpolation=cv2.INTER_CUBIC
    )
    lost = random.uniform(*words.loss)
    if random.random() < words.night:
        reference = light * soft[..., None]
        return _codes(reference * np.exp2((field - lost) / 2 * soft)[..., None]), _codes(reference)
    reference = light * np.exp2(raised * (1 - soft))[..., None]
    dark = reference * np.exp2((np.minimum(field, lost) - lost) * soft)[..., None]
    return _codes(dark), _codes(reference)


def _codes(light: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.round(255 * np.clip(light, 0, 1) ** (1 / GAMMA)), np.uint8)
