"""The arithmetic of token buckets, as tables, and the bound on how many are remembered."""

from __future__ import annotations

import pytest

from service.admission._rate_limit import Buckets, Level, Rate, level_now, seconds_until

RATE = Rate(per_second=2.0, capacity=10.0)


@pytest.mark.parametrize(
    ("before", "now", "amount"),
    [
        (None, 5.0, 10.0),
        (Level(0.0, 0.0), 0.0, 0.0),
        (Level(0.0, 0.0), 1.0, 2.0),
        (Level(9.0, 0.0), 100.0, 10.0),
        (Level(-50.0, 0.0), 5.0, -40.0),
        (Level(4.0, 8.0), 7.0, 4.0),
    ],
)
def test_levels_rise_until_the_bucket_is_full(before: Level | None, now: float, amount: float) -> None:
    assert level_now(before, RATE, now) == Level(amount, now)


@pytest.mark.parametrize(
    ("amount", "wanted", "seconds"), [(10.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.5, 1.0, 0.25), (-19.0, 1.0, 10.0)]
)
def test_how_long_to_wait(amount: float, wanted: float, seconds: float) -> None:
    assert seconds_until(Level(amount, 3.0), RATE, wanted) == seconds


def test_over_time_nobody_gets_more_than_the_burst_and_the_rate() -> None:
    buckets, rate, taken = Buckets(4), Rate(3.0, 5.0), 0
    for step in range(1000):  # 10 s, asked 100 times a second
        now = step / 100
        if not seconds_until(buckets.level("one", rate, now), rate, 1):
            buckets.take("one", rate, 1, now)
            taken += 1
    assert 5 + 29 <= taken <= 5 + 30


def test_a_debt_is_paid_off_before_anything_more_is_had() -> None:
    buckets, rate = Buckets(4), Rate(1.0, 10.0)
    buckets.take("one", rate, 64.0, 0.0)
    assert seconds_until(buckets.level("one", rate, 0.0), rate, 1) == 55.0
    assert seconds_until(buckets.level("one", rate, 54.9), rate, 1) == pytest.approx(0.1)
    assert seconds_until(buckets.level("one", rate, 55.0), rate, 1) == 0.0


def test_only_so_many_are_remembered_and_the_longest_resting_goes_first() -> None:
    buckets = Buckets(3)
    for caller in ("a", "b", "c", "a", "d"):
        buckets.take(caller, RATE, 5.0, 0.0)
    assert len(buckets) == 3
    levels = {caller: buckets.level(caller, RATE, 0.0).amount for caller in "abcd"}
    assert levels == {"a": 0.0, "b": 10.0, "c": 5.0, "d": 5.0}
    for number in range(10_000):
        buckets.take(f"192.0.2.{number}", RATE, 1.0, 0.0)
    assert len(buckets) == 3
