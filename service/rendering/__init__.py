"""Applies a network to a picture: at full size, guided by a small proxy, or in tiles; then gamma, exposure, shadows,
strength and protection.

`plan` decides from sizes alone, `prepare` makes the network's inputs, and `finish` applies its outputs to every pixel
(`begin` leaves the pixels to be computed strip by strip). In between, a `Restoration` removes noise from the enhanced
picture where `visible_noise` finds any. For video frames, `fit_effect`, `smooth_over_time` and `apply_effect` replace
`finish`. All functions are synchronous and pure, release the GIL in the long loops (`_native`), and are independent
of engines.
"""

from service.rendering._answer import Answer
from service.rendering._frames import (
    Effect,
    FrameAnswer,
    apply_effect,
    fit_effect,
    shows_another,
    smooth_over_time,
)
from service.rendering._options import NEUTRAL, Detail, RenderOptions
from service.rendering._plan import RenderPlan, plan
from service.rendering._prepare import Prepared, prepare
from service.rendering._render import Rendered, Rendering, begin, begin_answer, finish, render_array
from service.rendering._restoration import SCALES, Restoration, RestorationPlan, plan_restoration, restoration_of
from service.rendering._visible_noise import visible_noise

__all__ = [
    "NEUTRAL",
    "SCALES",
    "Answer",
    "Detail",
    "Effect",
    "FrameAnswer",
    "Prepared",
    "RenderOptions",
    "RenderPlan",
    "Rendered",
    "Rendering",
    "Restoration",
    "RestorationPlan",
    "apply_effect",
    "begin",
    "begin_answer",
    "finish",
    "fit_effect",
    "plan",
    "plan_restoration",
    "prepare",
    "render_array",
    "restoration_of",
    "shows_another",
    "smooth_over_time",
    "visible_noise",
]
