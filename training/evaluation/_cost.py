"""What a network costs: parameters and multiply-accumulate operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from training import networks


def parameter_count(network: nn.Module) -> int:
    """Number of trained values, without running statistics."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_accumulates(name: str, options: Mapping[str, Any], height: int, width: int) -> int:
    """Multiply-accumulates of one pass over a picture of this size, padded to the network's multiple.

    Convolutions and matrix products count, elementwise operations, pooling and resizing do not: half of what
    `torch.utils.flop_counter` counts. Nothing is computed, only shapes are propagated.
    """
    multiple = networks.spec(name).multiple
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        networks.create(name, **options).eval()(torch.zeros(1, 3, height, width))
    return counter.get_total_flops() // 2
