"""The ticket: whose share, which model, until when, and that everything comes back."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from service.admission import Admission, Call, CapacityLimiter, Intake
from service.admission._capacity import ARRIVAL_SECONDS
from service.errors import ModelNotReady


@dataclass
class Model:
    """Something that can be reserved."""

    name: str
    intake: Intake = field(default_factory=lambda: Intake("m/1"))


class Models:
    """Those that are loaded, and what was asked for."""

    def __init__(self) -> None:
        self.loaded: dict[str | None, Model] = {"m": Model("m"), None: Model("default")}
        self.asked: list[tuple[str | None, int | None]] = []

    def find(self, name: str | None, version: int | None) -> Model:
        """See `Admission`."""
        self.asked.append((name, version))
        if name not in self.loaded:
            raise ModelNotReady("it is loading")
        return self.loaded[name]


def door(models: Models) -> Admission[Model]:
    """One that lets everybody in, for a minute."""
    return Admission(models.find, CapacityLimiter(), 60.0)


def test_a_ticket_knows_whose_share_and_until_when() -> None:
    admission = door(Models())
    with admission.admit(Call(address="2001:db8::1", seconds=5.0, started=100.0)) as ticket:
        assert (ticket.caller, ticket.deadline) == ("2001:db8::/64", 105.0)
    with admission.admit(Call(address="10.0.0.1", seconds=90.0, started=100.0)) as ticket:
        assert (ticket.caller, ticket.deadline) == ("10.0.0.1", 160.0)


def test_the_model_is_looked_up_once_and_a_reload_does_not_change_it() -> None:
    models = Models()
    with door(models).admit(Call()) as ticket:
        ticket.reserve("m")
        taken = ticket.model
        models.loaded["m"] = Model("m, reloaded")
        ticket.reserve("m")
        assert ticket.model is taken
        assert models.asked == [("m", None)]
        ticket.reserve("m", 1)  # what a form asks for may be another than the URL's
        assert ticket.model is models.loaded["m"]
        assert taken.intake.total == 0


def test_leaving_gives_everything_back() -> None:
    models = Models()
    admission = door(models)
    intake = models.loaded["m"].intake
    with suppress(RuntimeError), admission.admit(Call()) as ticket:
        ticket.reserve("m")
        ticket.expect("network", "m/1", 1000)
        assert (intake.total, admission.capacity.backlog > 0) == (1, True)
        raise RuntimeError
    assert (intake.total, admission.capacity.backlog) == (0, 0.0)


async def test_a_place_is_free_when_the_work_is_done_whoever_reads_the_answer() -> None:
    intake = (models := Models()).loaded["m"].intake
    with door(models).admit(Call()) as ticket:
        ticket.reserve("m")
        async with ticket.working(ticket.deadline):
            assert intake.total == 1
        assert intake.total == 0


def test_what_cannot_be_reserved_takes_nothing() -> None:
    admission = door(Models())
    with admission.admit(Call()) as ticket:
        ticket.reserve("m")
        with pytest.raises(ModelNotReady):
            ticket.reserve("absent")
        assert admission.capacity.backlog == 0.0


def test_a_model_that_goes_while_a_body_comes_is_looked_for_again() -> None:
    models = Models()
    with door(models).admit(Call()) as ticket:
        ticket.reserve("m")
        old = ticket.model.intake
        old.closed = True  # which is what its queue does
        models.loaded["m"] = Model("m, reloaded", Intake("m/2"))
        ticket.reserve("m")
        assert ticket.model is models.loaded["m"]
        assert (old.total, ticket.model.intake.total) == (0, 1)


def test_a_body_that_came_late_asks_again() -> None:
    models = Models()
    admission = door(models)
    with admission.admit(Call()) as late, admission.admit(Call()) as other:
        late.reserve("m")
        time.sleep(ARRIVAL_SECONDS + 0.05)
        other.reserve("m")  # at which the late one is noticed
        del models.loaded["m"]
        other.reserve("m")
        with pytest.raises(ModelNotReady):
            late.reserve("m")
