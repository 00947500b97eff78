"""Data sets: file layouts of published collections, transforms of samples, and endless batches.

To read another collection, write a function from its folder to samples, decorate it with `register_layout`, and
import its file here.
"""

# Importing a layout's file registers it.
from training.datasets import (
    answers,
    boxes,
    brackets,
    exdark,
    folders,
    fused,
    objects,
    open_photos,
    publishers,
    well_exposed,
)
from training.datasets._darkening import Darkening, darken
from training.datasets._samples import (
    Sample,
    find_samples,
    hold_out,
    layout_names,
    list_pictures,
    paired_samples,
    read_scenes,
    register_layout,
)
from training.datasets._streams import Stream, held_out_batches
from training.datasets._transforms import Transforms, read_picture

__all__ = [
    "Darkening",
    "Sample",
    "Stream",
    "Transforms",
    "answers",
    "boxes",
    "brackets",
    "darken",
    "exdark",
    "find_samples",
    "folders",
    "fused",
    "held_out_batches",
    "hold_out",
    "layout_names",
    "list_pictures",
    "objects",
    "open_photos",
    "paired_samples",
    "publishers",
    "read_picture",
    "read_scenes",
    "register_layout",
    "well_exposed",
]
