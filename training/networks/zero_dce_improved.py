"""Zero-DCE-improved: half the width of Zero-DCE, a max-pool before the fourth convolution, a final gamma.

Aiemu, "Zero-DCE-improved" (source code, no paper); derives from Guo et al., CVPR 2020.
23,592 parameters; receptive field 17x17. The published pictures have a gamma of 1.15 applied after 8-bit
rounding, which darkens slightly; it is a property of serving (`NetworkSpec.output_gamma`), not of the network.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from training.networks._curves import CurveNetwork, register_published_trunk
from training.networks._registry import NetworkSpec, register

SPEC = NetworkSpec(
    name="zero_dce_improved",
    title="Zero-DCE-improved",
    paper="Aiemu, Zero-DCE-improved (source code), after Guo et al., CVPR 2020",
    recipe="zero_dce_improved",
    spatial_scope="local",
    halo=8,
    multiple=1,
    smallest_side=1,
    working_side=256,
    output_gamma=1.15,
)

FEATURES = 16


@register(SPEC)
class ZeroDCEImproved(CurveNetwork):
    """The published network."""

    def __init__(self) -> None:
        super().__init__(FEATURES)

    def pooled(self, features: Tensor) -> Tensor:
        """The largest of 3x3 neighbours."""
        return F.max_pool2d(features, kernel_size=3, stride=1, padding=1)


register_published_trunk(SPEC.name, FEATURES)
