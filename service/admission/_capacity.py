"""How much work the service has accepted, how long it will take, and whether another request can be answered in time.

Expected work is counted in pixels by model and stage (decode, network, finish), and converted to seconds by what the
same stages took before. How much runs in parallel depends on the machine, so the total time is the sum of the work
times a pace, which is measured over the whole service while it is busy. Waiting and finished work are converted by
the same costs, so stages that slow each other down do not distort the pace.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.errors import Draining, NightliftError, QueueFull

MIN_QUEUE_DEPTH = 8
"""Requests that may wait for a model whatever `max_queue_seconds` says; deadlines and `drain_timeout` still apply."""

SHARE = 4.0
"""A caller may have this multiple of the remaining room: a lone one gets all that the settings allow, and a quarter
more is kept for others (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking, 1998)."""

STOP_MARGIN = 1.5
"""`drain_timeout` is at least this multiple of what a lone caller may have waiting: for others and for errors."""

DEADLINE_MARGIN = 1.25
"""Safety factor: a request is accepted if its expected time, times this, fits within its deadline."""

ARRIVAL_SECONDS = 0.25
"""Seconds after its head when a request without its body loses its slot, and asks again once the body has arrived;
otherwise slow clients would keep others out."""

MAX_RETRY_AFTER = 60.0

REFUSING_SECONDS = 0.1
"""Seconds for which the service counts as refusing after a refusal."""

DECAY_SECONDS = 5.0
"""Seconds of busy time after which older measurements of the pace hardly count."""

COST_DECAY = 0.9
"""Weight of the past in the running average of a stage's cost."""

FIRST_COSTS = {"decode": 5e-9, "network": 2e-6, "finish": 10e-9, "request": 0.1}
"""Seconds per pixel and per request until something has been measured."""


Part = tuple[str, str]
"""A stage, and what its cost depends on: a format or a model."""


class StageCosts:
    """Seconds per pixel by stage and format or model."""

    def __init__(self) -> None:
        self._seen: dict[Part, tuple[float, float]] = {}

    def expected(self, stage: str, kind: str, amount: float = 1.0) -> float:
        """Seconds for `amount` pixels; for the stage `request`, for `amount` requests."""
        seconds, seen = self._seen.get((stage, kind), (FIRST_COSTS[stage], 1.0))
        return amount * seconds / seen

    def value(self, work: Mapping[Part, float]) -> float:
        """Seconds for all of it."""
        # A copy: metrics are read in another thread, while requests add parts.
        return sum(self.expected(*part, amount) for part, amount in list(work.items()))

    def observe(self, stage: str, kind: str, amount: float, seconds: float) -> None:
        """Record that `amount` took `seconds`."""
        before, seen = self._seen.get((stage, kind), (0.0, 0.0))
        self._seen[stage, kind] = COST_DECAY * before + seconds, COST_DECAY * seen + amount


class ThroughputEstimator:
    """Measures elapsed seconds per second of expected work while busy; below 1 where work runs in parallel."""

    def __init__(self) -> None:
        self._seconds = self._guess = 1.0
        self._work: dict[Part, float] = {}
        self.since = 0.0  # when work began, or its last part was done

    def pace(self, costs: StageCosts) -> float:
        """Elapsed seconds per second of work."""
        return min(20.0, max(0.02, self._seconds / (self._guess + costs.value(self._work))))

    def done(self, part: Part, amount: float, now: float) -> None:
        """So much of the expected work was done."""
        elapsed = now - self.since
        kept = math.exp(-elapsed / DECAY_SECONDS)
        self._seconds = kept * self._seconds + elapsed
        self._guess *= kept
        self._work = {one: kept * before for one, before in self._work.items()}
        self._work[part] = self._work.get(part, 0.0) + amount
        self.since = now


@dataclass
class Intake:
    """The requests that one model has accepted and not answered yet, without those whose body is slow to arrive.

    Attributes:
        model: its name and version, by which its costs are known.
        max_waiting: requests that may wait; 0 is unbounded.
        concurrency: returns how many run at once.
        requests: their number by caller.
        total: their number.
        working: how many of them have arrived and are being processed.
        closed: whether the model is being taken out of service; requests in progress are finished.
    """

    model: str
    max_waiting: int = 0
    concurrency: Callable[[], int] = lambda: 1
    requests: Counter[str] = field(default_factory=Counter)
    total: int = 0
    working: int = 0
    closed: bool = False


@dataclass(eq=False)
class Reservation:
    """The remaining expected cost of one request; made by `CapacityLimiter.reserve`."""

    caller: str
    intake: Intake
    work: Counter[Part]
    deadline: float
    since: float = field(default_factory=lambda: time.monotonic())
    known: Counter[Part] = field(default_factory=Counter)  # its work, known from the picture's header
    is_counted: bool = False
    has_arrived: bool = False


class CapacityLimiter:
    """Accepts requests as long as they can be answered in time, and tracks the accepted work.

    Args:
        max_seconds: work that a lone caller may have waiting, beyond `MIN_QUEUE_DEPTH` requests.
        stop_seconds: time that a stop leaves to finish work.
    """

    def __init__(self, max_seconds: float = math.inf, stop_seconds: float = math.inf) -> None:
        self.costs = StageCosts()
        self.throughput = ThroughputEstimator()
        self._longest = stop_seconds / STOP_MARGIN
        self._max_seconds = min(max_seconds, self._longest)
        self._work: defaultdict[str, Counter[Part]] = defaultdict(Counter)  # by caller
        self._total: Counter[Part] = Counter()
        self._requests: Counter[str] = Counter()
        self._busy = 0  # requests that have arrived
        self._arriving: dict[Reservation, None] = {}  # oldest first
        self._promised_until = 0.0
        self._refused = -math.inf  # time of the last refusal

    @property
    def backlog(self) -> float:
        """Seconds that all accepted work will take."""
        return self.throughput.pace(self.costs) * self.costs.value(self._total)

    @property
    def is_refusing(self) -> bool:
        """Whether requests are being refused at this moment."""
        return time.monotonic() - self._refused < REFUSING_SECONDS

    def check(self, caller: str, intake: Intake, deadline: float) -> None:
        """Check whether a request would be accepted, without accepting it; raises QueueFull like `reserve`."""
        self._check(_reservation(caller, intake, deadline))

    def reserve(self, caller: str, intake: Intake, deadline: float) -> Reservation:
        """Accept a request.

        Raises:
            QueueFull: if it could not be answered by its deadline, or too much work waits for this model or in all.
        """
        reservation = _reservation(caller, intake, deadline)
        self._check(reservation)
        self._count(reservation)
        self._arriving[reservation] = None
        return reservation

    def arrive(self, reservation: Reservation) -> None:
        """Note that the request has fully arrived; raises Draining if its model is gone meanwhile."""
        if reservation.intake.closed:
            raise Draining("the model is being unloaded or the service is stopping")
        self._arriving.pop(reservation, None)
        if not reservation.is_counted:
            self._count(reservation)
        if not reservation.has_arrived:
            reservation.has_arrived = True
            reservation.intake.working += 1
            self._busy += 1
            if self._busy == 1:
                self.throughput.since = time.monotonic()

    def expect(self, reservation: Reservation, stage: str, kind: str, pixels: int) -> None:
        """Register work that is now known; the first call replaces the initial guess."""
        if not reservation.known:
            self._add(reservation, ("request", reservation.intake.model), -1)
        self._add(reservation, (stage, kind), pixels)
        reservation.known[stage, kind] += pixels

    def done(self, reservation: Reservation, stage: str, kind: str, pixels: int) -> None:
        """Register expected work as done."""
        self.throughput.done((stage, kind), pixels, time.monotonic())
        self._add(reservation, (stage, kind), -pixels)

    def has_time_for(self, one: Reservation, stage: str, kind: str, pixels: int) -> bool:
        """Whether a request may do this additional work: it would still meet its deadline, and a new request with as
        much work would be accepted now.
        """
        pace = self.throughput.pace(self.costs)
        more = pace * self.costs.expected(stage, kind, pixels)
        works = self._work.get(one.caller, Counter()), self._total
        mine, total = (pace * self.costs.value(work) for work in works)
        if self._requests.total() > 1 and not _fits(mine, total, more, self._bound(one.intake)):
            return False
        left = max(0.0, one.deadline - time.monotonic())
        return self._expected(mine + more, one.caller, pace) <= left / DEADLINE_MARGIN

    def leave(self, reservation: Reservation) -> None:
        """Note that the request was answered or abandoned."""
        if reservation.known:
            self.costs.observe("request", reservation.intake.model, 1, self.costs.value(reservation.known))
        self._arriving.pop(reservation, None)
        self._uncount(reservation)
        self._busy -= reservation.has_arrived
        reservation.intake.working -= reservation.has_arrived

    def _add(self, reservation: Reservation, part: Part, amount: int) -> None:
        reservation.work[part] += amount
        if reservation.is_counted:
            self._total[part] += amount
            self._work[reservation.caller][part] += amount

    def _count(self, one: Reservation) -> None:
        one.is_counted = True
        one.intake.total += 1
        one.intake.requests[one.caller] += 1
        self._requests[one.caller] += 1
        self._work[one.caller].update(one.work)
        self._total.update(one.work)

    def _uncount(self, one: Reservation) -> None:
        if not one.is_counted:
            return
        one.is_counted = False
        one.intake.total -= 1
        self._work[one.caller].subtract(one.work)
        self._total.subtract(one.work)
        for requests in (one.intake.requests, self._requests):
            requests[one.caller] -= 1
            if not requests[one.caller]:
                del requests[one.caller]
        if one.caller not in self._requests:
            del self._work[one.caller]

    def _check(self, one: Reservation) -> None:
        self._forget_slow()
        intake, caller, pace = one.intake, one.caller, self.throughput.pace(self.costs)
        concurrency = intake.concurrency()
        waiting = max(0, intake.total - concurrency)
        works = self._work.get(caller, Counter()), self._total, one.work
        mine, total, work = (pace * self.costs.value(some) for some in works)
        if intake.max_waiting:
            slots = intake.max_waiting + concurrency
            if not _fits(intake.requests[caller], intake.total, 1, slots):
                raise self._full(f"{waiting} requests are waiting for this model, and no more may", work, work)
        if not self._requests:
            return  # whatever its expected cost: a bad estimate could otherwise never be corrected
        bound = self._bound(intake)
        if not _fits(mine, total, work, bound):
            raise self._full(
                f"requests accepted before will take about {total:.0f} s, and no more may wait",
                total + work - bound,
                work,
            )
        left = max(0.0, one.deadline - time.monotonic())
        bound = left / DEADLINE_MARGIN
        if total + work > bound and (expected := self._expected(mine + work, caller, pace)) > bound:
            detail = f"the answer would take about {expected:.0f} s, but the request allows {left:.0f} s"
            raise self._full(detail, expected - bound, work)

    def _bound(self, intake: Intake) -> float:
        """Seconds of work that a lone caller may now have waiting for a model."""
        waiting = max(0, intake.total - intake.concurrency())
        return self._longest if waiting < MIN_QUEUE_DEPTH else self._max_seconds

    def _expected(self, mine: float, caller: str, pace: float) -> float:
        """Seconds until a caller's work is done if every other caller gets an equal share meanwhile."""
        others = (self.costs.value(work) for name, work in self._work.items() if name != caller)
        return mine + sum(min(pace * other, mine) for other in others)

    def _full(self, detail: str, excess: float, work: float) -> NightliftError:
        """A refusal, whose retry time staggers callers: each finds room after those that were refused before."""
        now = time.monotonic()
        again = max(now + max(0.0, excess), self._promised_until)
        self._promised_until = min(again + work, now + MAX_RETRY_AFTER)
        self._refused = now
        error = QueueFull(detail)
        error.retry_after = float(max(1, math.ceil(again - now)))
        return error

    def _forget_slow(self) -> None:
        late = time.monotonic() - ARRIVAL_SECONDS
        while self._arriving and (oldest := next(iter(self._arriving))).since < late:
            del self._arriving[oldest]
            self._uncount(oldest)


def _reservation(caller: str, intake: Intake, deadline: float) -> Reservation:
    return Reservation(caller, intake, Counter({("request", intake.model): 1}), deadline)


def _fits(mine: float, total: float, amount: float, bound: float) -> bool:
    """Whether a caller with `mine` waiting, of `total` for all, may add `amount`; see `SHARE`."""
    return mine + amount <= SHARE * (bound * (1 + 1 / SHARE) - total)
