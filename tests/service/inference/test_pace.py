"""The pace of a queue: what passes one after the other, side by side, and after a rest say about those who wait."""

from __future__ import annotations

import pytest
from service.inference._pace import Pace


def test_before_a_pass_nothing_is_known() -> None:
    assert Pace().seconds(1_000_000, 5) == 0.0


def test_passes_one_after_the_other_take_their_time() -> None:
    pace = Pace()
    for number in range(10):
        pace.ran(number * 0.1, number * 0.1 + 0.1, pixels=1000, entries=1)
    assert pace.seconds(5000, 0) == pytest.approx(0.5)
    assert pace.seconds(0, 5) == pytest.approx(0.5)


def test_passes_side_by_side_are_not_counted_twice() -> None:
    """Two at a time, each of which takes 0.2 s: ten a second."""
    pace = Pace()
    for number in range(10):
        for _ in range(2):
            pace.ran(number * 0.2, number * 0.2 + 0.2, pixels=1000, entries=1)
    assert pace.seconds(10_000, 0) == pytest.approx(1.0, rel=0.1)


def test_a_rest_between_passes_does_not_count() -> None:
    pace = Pace()
    for number in range(10):
        pace.ran(number * 60.0, number * 60.0 + 0.1, pixels=1000, entries=1)
    assert pace.seconds(1000, 0) == pytest.approx(0.1)


def test_large_pictures_take_longer_and_batches_are_shared() -> None:
    pace = Pace()
    pace.ran(0.0, 0.4, pixels=4000, entries=4)
    assert pace.seconds(8000, 0) == pytest.approx(0.8)
    assert pace.seconds(0, 1) == pytest.approx(0.1)


def test_old_passes_are_forgotten() -> None:
    pace = Pace()
    pace.ran(0.0, 10.0, pixels=1000, entries=1)  # the first one of a process
    for number in range(100):
        pace.ran(10 + number * 0.1, 10.1 + number * 0.1, pixels=1000, entries=1)
    assert pace.seconds(1000, 0) == pytest.approx(0.1, rel=0.05)
