"""The options of the renderer, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from service.errors import InvalidParameter
from service.limits import EXPOSURE_RANGE, GAMMA_RANGE, SHADOWS_RANGE, SHARE_RANGE


class Detail(StrEnum):
    """How the network is applied to the picture."""

    AUTO = "auto"
    """Whole while the picture is small enough for the model, else guided."""

    WHOLE = "whole"
    """One pass at full size: exact."""

    GUIDED = "guided"
    """The network sees a small proxy; its effect is applied to every full-size pixel."""

    TILES = "tiles"
    """Overlapping tiles, for networks that look only locally: exact."""


@dataclass(frozen=True)
class RenderOptions:
    """The caller's options for one picture.

    Attributes:
        detail: how the network is applied to the picture; a `Detail` or its text.
        strength: 0 (the picture as it came) to 1 (all of the network's effect).
        protect: 0 to 1, how far bright areas of the source keep their tone.
        gate: whether well-exposed pictures are left alone.
        gamma: 0.3 to 3, exponent on the network's output; above 1 darkens.
        exposure: -2 to 2 stops, relative to the brightness that the network chose.
        shadows: -1 to 1, how far only the dark areas are lifted or darkened; 0 changes nothing.

    Raises:
        InvalidParameter: if a value is outside its range; the message names the range.
    """

    detail: Detail = Detail.AUTO
    strength: float = 1.0
    protect: float = 0.5
    gate: bool = True
    gamma: float = 1.0
    exposure: float = 0.0
    shadows: float = 0.0

    def __post_init__(self) -> None:
        if self.detail not in tuple(Detail):
            allowed = ", ".join(Detail)
            raise InvalidParameter(f"detail is {self.detail!r}; allowed are {allowed}")
        object.__setattr__(self, "detail", Detail(self.detail))
        _check_range("strength", self.strength, *SHARE_RANGE)
        _check_range("protect", self.protect, *SHARE_RANGE)
        _check_range("gamma", self.gamma, *GAMMA_RANGE)
        _check_range("exposure", self.exposure, *EXPOSURE_RANGE)
        _check_range("shadows", self.shadows, *SHADOWS_RANGE)

    @property
    def changes_light(self) -> bool:
        """Whether exposure or shadows are asked for."""
        return self.exposure != 0.0 or self.shadows != 0.0


def _check_range(name: str, value: float, lowest: float, highest: float) -> None:
    if not math.isfinite(value) or not lowest <= value <= highest:
        raise InvalidParameter(f"{name} is {value}; allowed is {lowest:g} to {highest:g}")


NEUTRAL = RenderOptions(strength=1.0, protect=0.0, gate=False, gamma=1.0)
"""The network's effect and nothing else: for benchmarks and evaluation."""
