"""Medians with their intervals, the queue that latencies are held to, and the rate of a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks._load import steady_rate
from benchmarks._queueing import simulate
from benchmarks._statistics import bootstrap_median, percentile, ratios


def test_the_interval_holds_the_median_and_narrows_with_more_samples() -> None:
    random = np.random.default_rng(1)
    few, many = bootstrap_median(list(random.normal(5, 1, 9))), bootstrap_median(list(random.normal(5, 1, 400)))
    for interval in (few, many):
        assert interval.low <= interval.median <= interval.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert many.low < 5 < many.high


def test_equal_samples_leave_no_doubt() -> None:
    interval = bootstrap_median([2.0] * 7)
    assert (interval.low, interval.median, interval.high) == (2.0, 2.0, 2.0)
    assert (interval.at_least(2.0), interval.at_least(2.01)) == ("yes", "**no**")
    assert (interval.at_most(2.0), interval.at_most(1.99)) == ("yes", "**no**")
    assert f"{interval:.1f}" == "2.0 (2.0 to 2.0)"


def test_a_bar_within_the_interval_leaves_the_question_open() -> None:
    interval = bootstrap_median([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.at_least(3.0) == interval.at_most(3.0) == "open"


def test_ratios_are_of_the_same_turn() -> None:
    """A machine that slows down for both alike changes no ratio."""
    slowing = [10.0, 5.0, 2.0, 8.0]
    assert ratios([0.9 * rate for rate in slowing], slowing).median == pytest.approx(0.9)
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="nothing"):
        ratios([], [])


def test_percentiles() -> None:
    assert percentile(range(101), 99) == 99
    assert math.isnan(percentile([], 50))


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
def test_one_server_waits_as_pollaczek_and_khinchine_say(load: float) -> None:
    times = simulate(load, 1)
    assert times.min() == pytest.approx(1)
    assert times.mean() == pytest.approx(1 + load / (2 * (1 - load)), rel=0.03)


def test_two_servers_wait_less_than_one_at_the_same_load() -> None:
    one, two = simulate(0.5, 1), simulate(0.5, 2)
    assert percentile(two, 99) < percentile(one, 99)
    # At half load of two servers a third of the arrivals finds both taken in M/M/2; fewer do in M/D/2.
    assert 0.2 < np.mean(two > 1 + 1e-9) < 0.36


@pytest.mark.parametrize("load", [0.0, 1.0, 1.5])
def test_a_load_without_a_steady_state_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="steady state"):
        simulate(load, 1)


def test_the_rate_of_a_loop_is_not_fooled_by_workers_that_end_together() -> None:
    clumped = [float(turn) for turn in range(1, 6) for _ in range(4)]  # four workers, a turn of 1 s each
    assert steady_rate(clumped, 4, 5) == pytest.approx(4)
    assert steady_rate(clumped[:8], 4, 2) == pytest.approx(4)
    assert steady_rate([1.0, 2.0], 4, 5) == pytest.approx(0.4)  # too short for more
