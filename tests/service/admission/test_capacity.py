"""What is taken on, what is refused, and what is said about when to come back."""

from __future__ import annotations

import math

import pytest

from service.admission import CapacityLimiter, Intake
from service.admission import _capacity as capacity
from service.admission._capacity import (
    MIN_QUEUE_DEPTH,
    STOP_MARGIN,
    Reservation,
    StageCosts,
    ThroughputEstimator,
)
from service.errors import QueueFull

LATER = math.inf
DECODE = "decode", "jpeg"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """See `time`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the limiter."""
    clock = Clock()
    monkeypatch.setattr(capacity, "time", clock)
    return clock


def limiter(seconds: float = math.inf, stop: float = math.inf, cost: float = 1.0) -> CapacityLimiter:
    """One before a model whose requests are known to cost so much."""
    made = CapacityLimiter(seconds, stop)
    made.costs.observe("request", "m/1", 1, cost)
    return made


def fill(one: CapacityLimiter, intake: Intake, caller: str = "a", deadline: float = LATER) -> list[Reservation]:
    """As many requests as are taken, of a thousand."""
    taken = []
    for _ in range(1000):
        try:
            taken.append(one.reserve(caller, intake, deadline))
        except QueueFull:
            return taken
        one.arrive(taken[-1])
    return taken


def test_the_cost_of_a_stage_follows_what_was_measured() -> None:
    costs = StageCosts()
    guess = costs.expected("decode", "jpeg", 1e6)
    assert 0 < guess < 1
    for _ in range(50):
        costs.observe("decode", "jpeg", 2e6, 0.1)
    assert costs.expected("decode", "jpeg", 1e6) == pytest.approx(0.05, rel=0.02)
    assert costs.expected("decode", "png", 1e6) == guess


def test_the_pace_is_that_of_the_whole_service_while_it_is_busy() -> None:
    """Two requests of one second at a time, with a rest of a minute after each ten."""
    costs, throughput, now = StageCosts(), ThroughputEstimator(), 0.0
    costs.observe(*DECODE, 1, 1.0)
    for _ in range(5):
        throughput.since = now
        for _ in range(10):
            now += 1.0
            throughput.done(DECODE, 1, now)
            throughput.done(DECODE, 1, now)
        now += 60.0
    assert throughput.pace(costs) == pytest.approx(0.5, rel=0.05)


def test_a_lone_caller_may_have_what_the_setting_says_and_others_a_quarter_more(clock: Clock) -> None:
    one, intake = limiter(seconds=30.0), Intake("m/1")
    assert len(fill(one, intake)) in (30, 31)
    assert 5 <= len(fill(one, intake, "b")) <= 7
    assert len(fill(one, intake, "c")) <= 2
    assert one.backlog <= 1.25 * 30 + 1


def test_a_stop_bounds_it_whatever_the_setting_says(clock: Clock) -> None:
    one, intake = limiter(seconds=1000.0, stop=15.0 * STOP_MARGIN), Intake("m/1")
    assert len(fill(one, intake)) in (15, 16)
    assert one.backlog < 15.0 * STOP_MARGIN


def test_a_few_may_wait_under_the_strict_setting(clock: Clock) -> None:
    one, intake = limiter(seconds=0.25), Intake("m/1", concurrency=lambda: 2)
    assert len(fill(one, intake)) == MIN_QUEUE_DEPTH + 2


def test_the_queue_of_a_model_is_bounded_by_number_and_keeps_places_for_others(clock: Clock) -> None:
    one, intake = limiter(cost=0.001), Intake("m/1", max_waiting=98, concurrency=lambda: 2)
    assert len(fill(one, intake)) == 100
    assert len(fill(one, intake, "b")) == 20
    with pytest.raises(QueueFull, match="118 requests are waiting"):
        one.reserve("a", intake, LATER)
    assert one.reserve("a", Intake("another/1", max_waiting=8), LATER)


def test_who_cannot_be_answered_in_time_is_refused_at_once(clock: Clock) -> None:
    one, intake = limiter(cost=1.0), Intake("m/1")
    waiting = [one.reserve("a", intake, LATER) for _ in range(5)]
    with pytest.raises(QueueFull, match=r"about 6 s, but the request allows 3 s") as refused:
        one.reserve("a", intake, clock.now + 3.0)
    assert refused.value.retry_after == 4.0  # there is room when nearly four of the six are done
    one.reserve("a", intake, clock.now + 7.6)
    for reservation in waiting:
        one.leave(reservation)
    one.reserve("a", intake, clock.now + 3.0)


def test_a_caller_waits_for_its_share_and_not_for_all_of_anothers(clock: Clock) -> None:
    """Two seconds: its own, and as much of the other's a hundred meanwhile."""
    one, intake = limiter(cost=1.0), Intake("m/1")
    for _ in range(100):
        one.reserve("many", intake, LATER)
    one.reserve("few", intake, clock.now + 2.6)
    with pytest.raises(QueueFull):
        one.reserve("many", intake, clock.now + 50.0)


def test_the_first_is_taken_even_if_it_may_take_too_long(clock: Clock) -> None:
    one, intake = limiter(seconds=1.0, cost=100.0), Intake("m/1")
    assert one.reserve("a", intake, clock.now + 1.0)


def test_those_who_are_refused_are_told_to_come_one_after_the_other(clock: Clock) -> None:
    one, intake = limiter(seconds=10.0, cost=1.0), Intake("m/1")
    fill(one, intake)
    told = []
    for _ in range(100):
        with pytest.raises(QueueFull) as refused:
            one.reserve("a", intake, LATER)
        told.append(refused.value.retry_after)
    assert told[0] <= 3
    assert told == sorted(told)
    assert 10 <= told[12] <= 16
    assert told[-1] == capacity.MAX_RETRY_AFTER
    clock.now += 90.0
    with pytest.raises(QueueFull) as refused:
        one.reserve("a", intake, LATER)
    assert refused.value.retry_after <= 3


def test_what_is_known_takes_the_place_of_a_guess_and_is_worked_off(clock: Clock) -> None:
    one, intake = limiter(cost=1.0), Intake("m/1")
    reservation = one.reserve("a", intake, LATER)
    assert one.backlog == pytest.approx(1.0)
    one.arrive(reservation)
    one.costs.observe(*DECODE, 10, 1.0)
    one.expect(reservation, *DECODE, 2)
    one.expect(reservation, *DECODE, 3)
    assert one.backlog == pytest.approx(0.5)
    one.done(reservation, *DECODE, 2)
    assert one.backlog == pytest.approx(0.3 * one.throughput.pace(one.costs))
    one.leave(reservation)
    assert one.backlog == 0.0
    assert one.costs.expected("request", "m/1") < 1.0
    assert not intake.requests
    assert intake.total == 0


def test_stages_that_take_longer_do_not_make_the_queue_seem_longer(clock: Clock) -> None:
    """Fifty wait, and one a second is done; then more run at once, each as much slower, and still one a second is."""
    one, intake = limiter(), Intake("m/1")

    def take() -> Reservation:
        reservation = one.reserve("a", intake, LATER)
        one.arrive(reservation)
        one.expect(reservation, *DECODE, 1)
        return reservation

    one.costs.observe(*DECODE, 1, 1.0)
    waiting = [take() for _ in range(50)]
    for second in range(100):
        clock.now += 1.0
        one.costs.observe(*DECODE, 1, 1.0 if second < 50 else 5.0)
        one.done(waiting[0], *DECODE, 1)
        one.leave(waiting.pop(0))
        waiting.append(take())
        if second >= 30:
            assert one.backlog == pytest.approx(50, rel=0.05)


def test_who_is_slow_to_send_keeps_nobody_out(clock: Clock) -> None:
    one, intake = limiter(seconds=20.0), Intake("m/1")
    slow = [one.reserve("a", intake, LATER) for _ in range(20)]
    assert len([one.reserve("b", intake, LATER) for _ in range(4)]) == 4  # what is kept for others
    with pytest.raises(QueueFull):
        one.reserve("a", intake, LATER)
    clock.now += capacity.ARRIVAL_SECONDS + 0.1
    assert len(fill(one, intake, "b")) >= 20
    assert not slow[0].is_counted
    assert intake.requests["a"] == 0
    for reservation in slow:
        one.leave(reservation)
    assert intake.total == intake.requests["b"]


def test_a_look_takes_no_slot(clock: Clock) -> None:
    one, intake = limiter(cost=1.0), Intake("m/1", max_waiting=1)
    for _ in range(5):
        one.check("a", intake, LATER)
    assert not one.is_refusing
    one.reserve("a", intake, LATER)
    one.reserve("a", intake, LATER)
    with pytest.raises(QueueFull):
        one.check("a", intake, LATER)
    assert one.is_refusing
    clock.now += 1
    assert not one.is_refusing


def test_more_work_has_time_by_the_deadline_and_by_what_waits(clock: Clock) -> None:
    one = limiter(seconds=10.0)
    one.costs.observe("network", "r/1", 1, 1.0)
    intake = Intake("m/1")
    lone = one.reserve("a", intake, clock.now + 20)
    assert one.has_time_for(lone, "network", "r/1", 14)  # beside the request's own second, a quarter being left
    assert not one.has_time_for(lone, "network", "r/1", 16)
    one.leave(lone)
    one.reserve("b", intake, LATER)
    hasty, patient = one.reserve("a", intake, clock.now + 5), one.reserve("a", intake, LATER)
    assert not one.has_time_for(hasty, "network", "r/1", 4)
    assert one.has_time_for(patient, "network", "r/1", 4)
    for _ in range(MIN_QUEUE_DEPTH):
        one.reserve("a", intake, LATER)
    assert not one.has_time_for(patient, "network", "r/1", 4)  # eight wait, and seconds count
