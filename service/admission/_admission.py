"""The door: a call comes in and gets a ticket, or is refused before a byte of its body is read."""

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
        """The requests that were taken for it."""
        ...


M = TypeVar("M", bound=Servable)


@dataclass(frozen=True)
class Call:
    """What is known of a call before its body.

    Attributes:
        need: the scope that a key for it must have.
        authorization: the header or metadata of that name.
        address: the client's.
        seconds: how long the client waits; the service's own limit holds too.
        started: `time.monotonic()` when it came.
    """

    need: Scope = Scope.ENHANCE
    authorization: str | None = None
    address: str = ""
    seconds: float = math.inf
    started: float = field(default_factory=time.monotonic)


class Ticket(Generic[M]):
    """The right to be served; a context manager, which gives back what was taken.

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
        """Find the model, and take a slot in its queue, kept if the same is asked for again.

        A slot is lost by a body that is late, and by a model that is taken out of service before it has come.

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
        """All of the request has come, and the block works on it; the slot is free again before the answer is read.

        Raises DeadlineExceeded at `deadline`, and Draining if the model was taken out of service in the last moment.
        """
        if self._reservation is not None:
            self.capacity.arrive(self._reservation)
        try:
            async with fail_at(deadline):
                yield
        finally:
            self.release()

    def charge_pixels(self, pixels: int) -> None:
        """So many pixels are about to be worked on."""
        if self._charge is not None:
            self._charge(pixels)

    def expect(self, stage: str, kind: str, pixels: int) -> float:
        """Some of the work is known now; gives the seconds that are expected of it."""
        if self._reservation is not None:
            self.capacity.expect(self._reservation, stage, kind, pixels)
        return self.capacity.costs.expected(stage, kind, pixels)

    def has_time_for(self, stage: str, kind: str, pixels: int) -> bool:
        """Whether there is time for more work than what is expected; see `CapacityLimiter.has_time_for`."""
        reservation = self._reservation
        return reservation is None or self.capacity.has_time_for(reservation, stage, kind, pixels)

    def done(self, stage: str, kind: str, pixels: int) -> None:
        """Some of the work that was expected was done."""
        if self._reservation is not None:
            self.capacity.done(self._reservation, stage, kind, pixels)

    def __enter__(self) -> Ticket[M]:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Admission(Generic[M]):
    """Gives tickets.

    Args:
        find: gives a model by name (None: the default) and version (None: the latest), or raises why it cannot be
            called.
        capacity: see there.
        longest: seconds that a request may take at most.
        policy: who may call, and how often; None lets everybody.
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
        """Let a call in; what it asks of a model is then reserved with its ticket.

        Raises:
            Unauthenticated, Forbidden, RateLimited: see `AccessPolicy.check`.
        """
        caller, charge = caller_address(call.address), None
        if self.policy is not None:
            caller, charge = self.policy.check(call.need, call.authorization, caller)
        return Ticket(self, caller, call.started + min(call.seconds, self.longest), charge)
