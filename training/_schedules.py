"""How the learning rate changes from step to step: each shape is a pure function of the step."""

from __future__ import annotations

from math import cos, pi
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(ge=0)]
Steps = Annotated[int, Field(ge=1)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(_Shape):
    """The base rate throughout."""

    shape: Literal["constant"] = "constant"

    def rate(self, base: float, step: int, steps: int) -> float:
        """Learning rate of `step` (from 0) in a training of `steps`, where the optimiser's is `base`."""
        return base


class Cosine(_Shape):
    """Linear warm-up from 0, then half a cosine from the base rate down (or up) to `floor` at the end."""

    shape: Literal["cosine"]
    floor: Rate = 0.0
    warmup: Annotated[int, Field(ge=0)] = 0

    def rate(self, base: float, step: int, steps: int) -> float:
        if step < self.warmup:
            return base * (step + 1) / self.warmup
        return _half_cosine(base, self.floor, (step - self.warmup) / max(1, steps - self.warmup))


class StepDecay(_Shape):
    """Multiplied by `factor` every `every` steps."""

    shape: Literal["stairs"]
    every: Steps
    factor: float = Field(gt=0)

    def rate(self, base: float, step: int, steps: int) -> float:
        return base * self.factor ** (step // self.every)


class CyclicCosine(_Shape):
    """One half cosine after another, each from the base rate to its own floor over its own number of steps.

    A floor above the base rate makes the rate rise, as it does first in Retinexformer's and DED-Net's recipes.
    After the last cycle the rate stays at its floor.
    """

    shape: Literal["cyclic_cosine"]
    cycles: tuple[Steps, ...]
    floors: tuple[Rate, ...]

    @model_validator(mode="after")
    def _check(self) -> CyclicCosine:
        if not self.cycles or len(self.cycles) != len(self.floors):
            raise ValueError("cycles and floors must be lists of the same length, at least 1")
        return self

    def rate(self, base: float, step: int, steps: int) -> float:
        for length, floor in zip(self.cycles, self.floors, strict=True):
            if step < length:
                return _half_cosine(base, floor, step / length)
            step -= length
        return self.floors[-1]


class OscillatingCosine(_Shape):
    """Down to 0 in `half_period` steps and up again, for ever.

    The result of stepping a cosine schedule for epochs at every iteration, as ExdNet's published code does.
    """

    shape: Literal["oscillating_cosine"]
    half_period: Steps

    def rate(self, base: float, step: int, steps: int) -> float:
        return _half_cosine(base, 0.0, step / self.half_period)


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + 0.5 * (start - end) * (1 + cos(pi * progress))


Schedule = Annotated[Constant | Cosine | StepDecay | CyclicCosine | OscillatingCosine, Field(discriminator="shape")]
