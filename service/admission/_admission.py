"""Admission: a call gets a ticket, or is refused before a byte of its body is read."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from service.admission._addresses import caller_address
from service.admission._capacity import CapacityLimiter, Intake, Reservation
from service.admission._deadline import fail_at
from service.admission._keys import Scope
from service.admission._policy import AccessPolicy, Charge


class Servable(Protocol):
    """What a ticket needs to know of a model."""

    @property
    def intake(self) -> Intake:
        """The requests that were accepted for it."""
        ...


M = TypeVar("M", bound=Servable)


@dataclass(frozen=True)
class Call:
    """What is known of a call before its body.

    Attributes:
        need: the scope that a key for it must have.
        authorization: the header or metadata of that name.
        address: the client's.
        seconds: how long the client waits; the service's own limit applies too.
        started: `time.monotonic()` when it came.
    """

    need: Scope = Scope.ENHANCE
    authorization: str | None = None
    address: str = ""
    seconds: float = math.inf
    started: float = field(default_factory=time.monotonic)


class Ticket(Generic[M]):
    """The right to be served; a context manager, which releases what was reserved.

    Attributes:
        caller: whose share it counts for.
        deadline: `time.monotonic()` after which the answer is of no use.
        model: the model that `reserve` found; a reload meanwhile does not change it.
    """

    model: M

    def __init__(self, admission: Admission[M], caller: str, deadline: float, charge: Charge | None) -> None:
        self.caller = caller
        self.deadline = deadline
        self.capacity = admission.capacity
        self._find = admission.find
        self._charge = charge
        self._reservation: Reservation | None = None
        self._asked: tuple[str | None, int | None] = None, None

    def reserve(self, model: str | None = None, version: int | None = None) -> None:
        """Find the model, and reserve a slot in its queue; a second call for the same model keeps the slot.

        The slot is lost if the body is late, or if the model is taken out of service before the body has arrived.

        Raises:
            ModelNotFound, ModelNotReady, Draining: if there is no such model to call.
            QueueFull: if there is no room, or the answer could not be ready by the deadline.
        """
        kept = self._reservation
        if kept and kept.is_counted and not kept.intake.closed and self._asked == (model, version):
            return
        self.release()
        found = self._find(model, version)
        self._reservation = self.capacity.reserve(self.caller, found.intake, self.deadline)
        self._asked = model, version
        self.model = found

    def release(self) -> None:
        """Give the slot back."""
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            self.capacity.leave(reservation)

    @asynccontextmanager
    async def working(self, deadline: float) -> AsyncIterator[None]:
        """Run the block on a request that has fully arrived; the slot is freed before the client reads the answer.

        Raises DeadlineExceeded at `deadline`, and Draining if the model was taken out of service just before.
        """
        if self._reservation is not None:
            self.capacity.arrive(self._reservation)
        try:
            async with fail_at(deadline):
                yield
        finally:
            self.release()

    def charge_pixels(self, pixels: int) -> None:
        """Charge the caller's rate limit for pixels that are about to be processed."""
        if self._charge is not None:
            self._charge(pixels)

    def expect(self, stage: str, kind: str, pixels: int) -> float:
        """Register work that is now known; returns the seconds that it is expected to take."""
        if self._reservation is not None:
            self.capacity.expect(self._reservation, stage, kind, pixels)
        return self.capacity.costs.expected(stage, kind, pixels)

    def has_time_for(self, stage: str, kind: str, pixels: int) -> bool:
        """Whether there is time for additional work; see `CapacityLimiter.has_time_for`."""
        reservation = self._reservation
        return reservation is None or self.capacity.has_time_for(reservation, stage, kind, pixels)

    def done(self, stage: str, kind: str, pixels: int) -> None:
        """Register expected work as done."""
        if self._reservation is not None:
            self.capacity.done(self._reservation, stage, kind, pixels)

    def __enter__(self) -> Ticket[M]:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Admission(Generic[M]):
    """Issues tickets.

    Args:
        find: returns a model by name (None: the default) and version (None: the latest), or raises the reason why it
            cannot be called.
        capacity: see `CapacityLimiter`.
        longest: most seconds that a request may take.
        policy: who may call, and how often; None: everybody, without limits.
    """

    def __init__(
        self,
        find: Callable[[str | None, int | None], M],
        capacity: CapacityLimiter,
        longest: float,
        policy: AccessPolicy | None = None,
    ) -> None:
        self.find = find
        self.capacity = capacity
        self.longest = longest
        self.policy = policy

    def admit(self, call: Call) -> Ticket[M]:
        """Admit a call; its ticket then reserves the model.

        Raises:
            Unauthenticated, Forbidden, RateLimited: see `AccessPolicy.check`.
        """
        caller, charge = caller_address(call.address), None
        if self.policy is not None:
            caller, charge = self.policy.check(call.need, call.authorization, caller)
        return Ticket(self, caller, call.started + min(call.seconds, self.longest), charge)
