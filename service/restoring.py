"""Noise reduction by a second model: whether it runs, at what size, and its tiles through the model's queue."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.concurrency import MAX_CONCURRENT, gather_limited
from service.contract import CORRECTION
from service.errors import InvalidParameter, NightliftError
from service.inference import LoadedModel
from service.rendering import (
    SCALES,
    Answer,
    RenderOptions,
    Restoration,
    RestorationPlan,
    plan_restoration,
    visible_noise,
)

Denoise: TypeAlias = float | Literal["auto"]
"""Noise reduction: a share from 0 to 1, equal everywhere, or `auto`, where noise would be visible."""

MAX_RESTORED_PIXELS = 12_500_000
"""Default of `max_restored_pixels` on a CPU: photos of "12 megapixels" have up to 12.3 million."""

LEAST_BLEND = 1 / 32
"""Share of the enhanced picture in the result below which `auto` does not restore: the difference is invisible."""

InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs work in a thread."""


@dataclass(frozen=True)
class Restored:
    """The outcome of a restoration.

    Attributes:
        pixels: the restored answer at full size, [H, W, 3] of the picture's type; None: nothing was restored.
        scale: size of the restoration relative to the picture: 1, 0.5 or 0.25; 0: nothing was restored.
        share: of the picture that was restored, 0 to 1.
        tiles: number of tiles that the restorer processed.
    """

    pixels: NDArray[Any] | None = None
    scale: float = 0.0
    share: float = 0.0
    tiles: int = 0


NOT_RESTORED = Restored()


@dataclass(frozen=True)
class Wish:
    """The noise to remove from a picture.

    Attributes:
        noise: where, float32 [h, w]; None: everywhere.
        strength: 0 to 1.
        plans: one for each size, the largest first; empty if there is nothing to restore.
    """

    noise: NDArray[np.float32] | None
    strength: float
    plans: tuple[RestorationPlan, ...] = ()


def restorer_for(denoise: Denoise, find: Callable[[], LoadedModel | None]) -> LoadedModel | None:
    """The model that removes noise; None if it is not needed, or if `denoise` is `auto` and it cannot be called.

    Args:
        denoise: the option.
        find: returns the model, None if there is none; raises why it cannot be called.

    Raises:
        InvalidParameter: if there is none, and `denoise` is a share above 0.
        ModelNotReady: if there is one that is not loaded yet.
    """
    if denoise == 0:
        return None
    if isinstance(denoise, str):
        try:
            found = find()
        except NightliftError:
            return None
        return found if found is not None and found.ready else None
    if (found := find()) is None:
        raise InvalidParameter(
            f"denoise is {denoise:g}, but there is no model here for noise reduction; allowed are 0 and auto",
            parameter="denoise",
        )
    return found


def look(answer: Answer, options: RenderOptions, denoise: Denoise) -> Wish:
    """Find the noise to remove; takes some milliseconds for a large photo."""
    picture, blend = answer.prepared.picture, float(answer.grading(options)[1].blend)
    if not isinstance(denoise, str):
        if blend == 0 or denoise == 0:
            return Wish(None, denoise)
        return Wish(None, denoise, _plans(picture.height, picture.width, None))
    noise = visible_noise(answer) if blend >= LEAST_BLEND else None
    if noise is None or not noise.any():
        return Wish(None, 1.0)
    return Wish(noise, 1.0, _plans(picture.height, picture.width, noise))


def most_pixels(restorer: LoadedModel, setting: int | None) -> float:
    """Pixels of one picture that may be restored."""
    if setting is not None:
        return setting
    return math.inf if restorer.engine.info.on_gpu else MAX_RESTORED_PIXELS


def choose(
    plans: Sequence[RestorationPlan], most: float, has_time: Callable[[RestorationPlan], bool]
) -> RestorationPlan | None:
    """The plan to use; None: the picture stays as it is.

    Args:
        plans: one for each size, the largest first.
        most: most pixels that may be restored; the largest plan within this limit is chosen.
        has_time: whether there is time for a plan; if not, half of that size is tried, and nothing smaller.
    """
    fitting = [plan for plan in plans if plan.windows and plan.pixels <= most]
    return next((plan for plan in fitting[:2] if has_time(plan)), None)


async def restore(
    restorer: LoadedModel,
    restoration: Restoration,
    in_thread: InThread,
    *,
    deadline: float | None = None,
    caller: str = "",
    done: Callable[[int], None] = lambda pixels: None,
) -> Restored:
    """Run all tiles through the restorer's queue, a few at a time; `done` is called with the pixels of each.

    Raises:
        NightliftError: the error of the first tile that failed, as for `BatchQueue.submit` and `Restoration.add`.
    """
    plan = restoration.plan

    async def one(index: int) -> None:
        window = plan.windows[index]
        inputs = await in_thread(partial(restoration.inputs, window))
        outcome = await restorer.queue.submit(inputs, (CORRECTION,), deadline, None, caller)
        await in_thread(partial(restoration.add, window, outcome.tensors[CORRECTION][0]))
        done(window.rows.length * window.columns.length)

    with restorer.queue.in_use():
        at_once = max(MAX_CONCURRENT, restorer.queue.batch_size)
        await gather_limited([partial(one, index) for index in range(len(plan.windows))], at_once)
    return Restored(restoration.pixels, 1 / plan.scale, plan.share, len(plan.windows))


def _plans(height: int, width: int, noise: NDArray[np.float32] | None) -> tuple[RestorationPlan, ...]:
    return tuple(plan_restoration(height, width, noise, scale) for scale in SCALES)
