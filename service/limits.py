"""Limits shared by several parts; quick to import, for the command line's help."""

MAX_PIXELS = 67_200_000
"""Default for most pixels of a picture; pictures of "64 megapixel" phones are within it."""

MIN_SIDE = 16
"""Shortest side in pixels of a picture and of a proxy, and, by default, of a model's input."""

MAX_ASPECT_RATIO = 8.0
"""Largest aspect ratio of a picture that is sent to the service; beyond it, a proxy shows little."""

SHARE_RANGE = (0, 1)
"""Range of the options `strength`, `protect` and `denoise`."""

GAMMA_RANGE = (0.3, 3)
"""Range of the option `gamma`."""

EXPOSURE_RANGE = (-2, 2)
"""Range of the option `exposure`, in stops."""

SHADOWS_RANGE = (-1, 1)
"""Range of the option `shadows`."""

MAX_SIDE_RANGE = (16, 65_535)
"""Range of the option `max_side`, in pixels."""
