"""The networks, one per file, and their registry.

Every network is an `nn.Module` from float NCHW RGB in [0, 1] to an enhanced float NCHW of the same size, which may
leave [0, 1]; serving and evaluation clamp it. Sides must be multiples of `NetworkSpec.multiple`, which
`pad_to_multiple` ensures.
"""

# Importing a network's file registers it.
from training.networks import (
    ded_net,
    drbn,
    drgn,
    exdnet,
    nightlift,
    restorer,
    zero_dce,
    zero_dce_improved,
)
from training.networks._affine import MIN_SIDE_OF_MAP, STEP, apply_map, proxy_size, shrink
from training.networks._curves import apply_curves
from training.networks._official import OfficialLayout, load_official, register_official
from training.networks._padding import pad_to_multiple
from training.networks._registry import NetworkSpec, create, names, register, spec
from training.networks._separable import Separable

__all__ = [
    "MIN_SIDE_OF_MAP",
    "STEP",
    "NetworkSpec",
    "OfficialLayout",
    "Separable",
    "apply_curves",
    "apply_map",
    "create",
    "ded_net",
    "drbn",
    "drgn",
    "exdnet",
    "load_official",
    "names",
    "nightlift",
    "pad_to_multiple",
    "proxy_size",
    "register",
    "register_official",
    "restorer",
    "shrink",
    "spec",
    "zero_dce",
    "zero_dce_improved",
]
