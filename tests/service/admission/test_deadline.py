"""Work is given up at its deadline, and only then."""

from __future__ import annotations

import asyncio
import time

import pytest

from service.admission import fail_at
from service.errors import DeadlineExceeded


async def work(deadline: float | None, seconds: float) -> str:
    """Sleep within a deadline."""
    async with fail_at(deadline):
        await asyncio.sleep(seconds)
    return "done"


def test_late_work_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        asyncio.run(work(began + 0.05, 10))
    assert 0.05 <= time.monotonic() - began < 5


def test_a_deadline_that_has_passed_gives_up_at_once() -> None:
    with pytest.raises(DeadlineExceeded):
        asyncio.run(work(time.monotonic() - 1, 10))


@pytest.mark.parametrize("deadline", [None, 1e12])
def test_work_in_time_is_done(deadline: float | None) -> None:
    assert asyncio.run(work(deadline, 0.01)) == "done"


def test_a_timeout_inside_the_work_stays_what_it_is() -> None:
    async def times_out() -> None:
        async with fail_at(None):
            raise TimeoutError("a disk")

    with pytest.raises(TimeoutError, match="a disk"):
        asyncio.run(times_out())
