"""Zero-DCE: a small network predicts per-pixel brightening curves, trained without reference pictures.

Guo et al., "Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement", CVPR 2020.
Seven 3x3 convolutions of constant width with symmetric skips; 79,416 parameters; receptive field 15x15.
"""

from __future__ import annotations

from training.networks._curves import CurveNetwork, register_published_trunk
from training.networks._registry import NetworkSpec, register

SPEC = NetworkSpec(
    name="zero_dce",
    title="Zero-DCE",
    paper="Guo et al., Zero-Reference Deep Curve Estimation for Low-Light Image Enhancement, CVPR 2020",
    recipe="zero_dce",
    spatial_scope="local",
    halo=7,
    multiple=1,
    smallest_side=1,
    working_side=256,
)

FEATURES = 32


@register(SPEC)
class ZeroDCE(CurveNetwork):
    """The published network."""

    def __init__(self) -> None:
        super().__init__(FEATURES)


register_published_trunk(SPEC.name, FEATURES)
