"""Losses averaged over the steps between two points of the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class RunningMean:
    """Sums that become means when they are taken; they stay on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count a step's losses, scalars by name."""
        for name, value in losses.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._steps += 1

    def take(self) -> dict[str, float]:
        """The means of the steps since the last time, by name."""
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._steps = dict(state["sums"]), state["steps"]
