"""Limits that several parts keep, each stated once; light enough for the command line's help."""

MAX_PIXELS = 67_200_000
"""Most pixels of a picture, where no setting says otherwise: those of phones of "64 megapixels" pass."""

MIN_SIDE = 16
"""Shortest side in pixels of a picture and of a proxy; and of what a model takes, where it does not say otherwise."""

MAX_ASPECT_RATIO = 8.0
"""Longest side of a picture that is sent to the service, in short sides: of a longer one a proxy shows little."""

SHARE_RANGE = (0, 1)
"""Of the options `strength` and `protect`."""

GAMMA_RANGE = (0.3, 3)
"""Of the option `gamma`."""

EXPOSURE_RANGE = (-2, 2)
"""Of the option `exposure`, in stops."""

SHADOWS_RANGE = (-1, 1)
"""Of the option `shadows`."""

MAX_SIDE_RANGE = (16, 65_535)
"""Of the option `max_side`, in pixels."""
