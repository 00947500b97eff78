"""How one picture meets one network: whole, guided by a small proxy, or in tiles; then gamma, exposure, shadows,
strength, protection.

`plan` decides from sizes alone, `prepare` gives what the network is to see, `finish` brings its answers to every
pixel (`begin` leaves the pixels to be made strip by strip); for the frames of a video `fit_effect`,
`smooth_over_time` and `apply_effect` take its place. All are synchronous and pure, release the GIL in the long loops
(`_native`), and know nothing of engines.
"""

from service.rendering._frames import Effect, apply_effect, fit_effect, shows_another, smooth_over_time
from service.rendering._options import NEUTRAL, Detail, RenderOptions
from service.rendering._plan import RenderPlan, plan
from service.rendering._render import Prepared, Rendered, Rendering, begin, finish, prepare, render_array

__all__ = [
    "NEUTRAL",
    "Detail",
    "Effect",
    "Prepared",
    "RenderOptions",
    "RenderPlan",
    "Rendered",
    "Rendering",
    "apply_effect",
    "begin",
    "finish",
    "fit_effect",
    "plan",
    "prepare",
    "render_array",
    "shows_another",
    "smooth_over_time",
]
