"""A running average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ModelEma:
    """Exponential moving average of parameters and floating-point buffers; other buffers are copied.

    In the first steps the decay is `(1 + n) / (10 + n)` where that is less, so that the initial weights are soon
    forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.updates = 0
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the module has the average weights."""
        present = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        _copy(self.values, self.module)
        try:
            yield
        finally:
            _copy(present, self.module)

    def state_dict(self) -> dict[str, object]:
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, object]) -> None:
        updates, values = state["updates"], state["values"]
        assert isinstance(updates, int)
        assert isinstance(values, dict)
        self.updates = updates
        for name, value in values.items():
            self.values[name].copy_(value)


@torch.no_grad()
def _copy(values: dict[str, Tensor], module: nn.Module) -> None:
    for name, value in module.state_dict().items():
        value.copy_(values[name])
