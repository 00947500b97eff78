"""Fair shares: of tags, of threads, and of a budget."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from concurrent.futures import Future, wait
from functools import partial

import pytest

from service.admission import Budget, FairExecutor, FairOrder
from service.admission._fair import MAX_CALLERS, MAX_IDLE_CALLERS


def served(order: FairOrder, entries: list[tuple[str, float]]) -> str:
    """The callers in the order of service, if all came before the first was served."""
    tags = [(order.enter(caller, cost), place, caller) for place, (caller, cost) in enumerate(entries)]
    return "".join(caller for _, _, caller in sorted(tags))


def test_callers_take_turns_however_many_one_has() -> None:
    assert served(FairOrder(), [("a", 1)] * 5 + [("b", 1)] * 2) == "ababaaa"


def test_shares_are_of_work_and_not_of_number() -> None:
    assert served(FairOrder(), [("a", 4)] * 2 + [("b", 1)] * 5) == "abbbbab"


def test_a_caller_who_comes_later_does_not_catch_up() -> None:
    order = FairOrder()
    tags = [order.enter("a", 1) for _ in range(10)]
    for tag in tags[:8]:
        order.served(tag)
    late = order.enter("b", 1)
    assert tags[6] <= late <= tags[8]


def test_callers_who_are_owed_nothing_are_forgotten() -> None:
    order = FairOrder()
    for number in range(10 * MAX_IDLE_CALLERS):
        order.enter(f"caller {number}", 1)
        order.served(float(number))
        assert len(order._finish) <= MAX_IDLE_CALLERS + 1


def test_callers_are_few_even_if_each_comes_once_and_the_clock_stands_still() -> None:
    order = FairOrder()
    last = order.enter("first", 100) + 100
    started = time.process_time()
    for number in range(10 * MAX_CALLERS):
        order.served(order.enter(f"caller {number}", 1))
        assert len(order._finish) <= 2 * MAX_CALLERS + 1
    assert time.process_time() - started < 2
    assert order.enter("first", 1) == last  # who has had most is remembered longest


def test_work_of_unknown_cost_does_not_hold_up_what_comes_later_on_the_clock() -> None:
    executor = FairExecutor(1, "test")
    gate, seen = threading.Event(), []
    executor.submit("a", 1.0, gate.wait)
    for _ in range(2):
        executor.submit("b", 0.05, partial(seen.append, "b"))
    waiting = [executor.submit("c", None, partial(seen.append, "c")) for _ in range(50)]
    gate.set()
    wait(waiting, 10)
    executor.shutdown()
    assert seen[:10].count("b") == 2


def test_work_of_unknown_cost_counts_by_what_it_took() -> None:
    executor = FairExecutor(1, "test")
    executor.submit("c", None, lambda: time.sleep(0.12)).result(10)
    gate, seen = threading.Event(), []
    executor.submit("a", 1.0, gate.wait)
    executor.submit("c", None, partial(seen.append, "c"))
    for _ in range(4):
        executor.submit("b", 0.05, partial(seen.append, "b"))
    gate.set()
    executor.shutdown()
    assert "".join(seen) == "bbbcb"


def test_threads_are_shared_fairly_and_none_idles() -> None:
    executor = FairExecutor(1, "test")
    gate, seen = threading.Event(), []
    executor.submit("a", 1.0, gate.wait)
    waiting: list[Future[None]] = [
        executor.submit(caller, 1.0, lambda name=name: seen.append(name))  # type: ignore[misc]
        for caller, name in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"))
    ]
    waiting[1].cancel()
    gate.set()
    wait([one for one in waiting if not one.cancelled()], 10)
    assert seen == ["b1", "c1", "a1", "a3"]
    executor.shutdown()


def test_an_error_is_the_callers_and_the_next_is_served() -> None:
    executor = FairExecutor(1, "test")
    with pytest.raises(ZeroDivisionError):
        executor.submit("a", 1.0, lambda: 1 / 0).result(10)
    assert executor.submit("a", 1.0, lambda: 7).result(10) == 7
    executor.shutdown()


async def test_pixels_are_shared_fairly() -> None:
    budget = Budget(100)
    seen: list[str] = []

    async def take(name: str) -> None:
        async with budget.hold(100, name[0]):
            seen.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(name) for name in ("a1", "a2", "a3", "b1")))
    assert seen == ["a1", "b1", "a2", "a3"]


def test_cancelled_work_is_forgotten_before_its_turn() -> None:
    executor = FairExecutor(1, "test")
    gate = threading.Event()
    executor.submit("a", 1.0, gate.wait)
    body = Body()
    waiting = executor.submit("b", 1.0, partial(id, body))
    seen = weakref.ref(body)
    del body
    waiting.cancel()
    assert seen() is None
    gate.set()
    executor.shutdown()


class Body:
    """Something large that a request has sent."""
