"""Pixels are held within a bound, in order of arrival, and given back whatever happens."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from service.admission import Budget
from tests.settling import settle


class Holder:
    """Holds pixels until told to let go, and notes when it got them."""

    def __init__(self, budget: Budget, pixels: int) -> None:
        self.has = asyncio.Event()
        self.let_go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, pixels))

    async def _hold(self, budget: Budget, pixels: int) -> None:
        async with budget.hold(pixels):
            self.has.set()
            await self.let_go.wait()


async def test_what_fits_is_held_at_once() -> None:
    budget = Budget(100)
    first, second, third = Holder(budget, 60), Holder(budget, 40), Holder(budget, 1)
    await settle()
    assert first.has.is_set()
    assert second.has.is_set()
    assert not third.has.is_set()
    second.let_go.set()
    await settle()
    assert third.has.is_set()
    for holder in (first, third):
        holder.let_go.set()


async def test_a_small_picture_does_not_overtake_a_large_one() -> None:
    budget = Budget(100)
    first, large, small = Holder(budget, 60), Holder(budget, 90), Holder(budget, 10)
    await settle()
    assert not large.has.is_set()
    assert not small.has.is_set()
    first.let_go.set()
    await settle()
    assert large.has.is_set()
    assert small.has.is_set()
    for holder in (large, small):
        holder.let_go.set()


async def test_a_picture_larger_than_the_budget_goes_alone() -> None:
    budget = Budget(100)
    giant, other = Holder(budget, 1000), Holder(budget, 1)
    await settle()
    assert giant.has.is_set()
    assert not other.has.is_set()
    giant.let_go.set()
    await settle()
    assert other.has.is_set()
    other.let_go.set()


async def test_who_gives_up_leaves_the_line() -> None:
    budget = Budget(100)
    first, quitter, last = Holder(budget, 100), Holder(budget, 100), Holder(budget, 100)
    await settle()
    quitter.task.cancel()
    first.let_go.set()
    await settle()
    assert last.has.is_set()
    last.let_go.set()
    await last.task
    with pytest.raises(asyncio.CancelledError):
        await quitter.task


async def test_an_error_gives_the_pixels_back() -> None:
    budget = Budget(100)
    with pytest.raises(RuntimeError):
        async with budget.hold(100):
            raise RuntimeError
    async with budget.hold(100):
        pass


async def test_what_is_not_needed_is_given_back_at_once() -> None:
    budget = Budget(100)
    other = None
    async with budget.hold(100) as hold:
        other = Holder(budget, 60)
        hold.keep(50)
        await settle()
        assert not other.has.is_set()
        hold.keep(40)
        await settle()
        assert other.has.is_set()
    last = Holder(budget, 40)
    await settle()
    assert last.has.is_set()
    for holder in (other, last):
        holder.let_go.set()


async def test_work_that_goes_on_in_a_thread_keeps_its_pixels() -> None:
    budget = Budget(100)
    work: Future[None] = Future()
    async with budget.hold(100) as hold:
        hold.until(work)
    other = Holder(budget, 100)
    await settle()
    assert not other.has.is_set()
    work.set_result(None)
    await settle()
    assert other.has.is_set()
    other.let_go.set()
