"""Who may wait for a model, and who is refused."""

from __future__ import annotations

import asyncio

import pytest
from service.inference._room import ALWAYS, SOON

from service.errors import Draining, QueueFull
from tests.service.inference.lines import WANTED, Line, settle
from tests.service.inference.runners import answer, picture, run


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def scenario() -> None:
        line = Line(max_size=2, max_count=1)
        tasks = [line.submit(value) for value in range(3)]
        await settle()
        with pytest.raises(QueueFull) as refused:
            await line.queue.submit(picture(9), WANTED)
        assert refused.value.status == 503
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        line.engine.let(3)
        await asyncio.gather(*tasks)

    run(scenario)


def test_an_admitted_picture_keeps_its_place_while_it_is_decoded() -> None:
    async def scenario() -> None:
        line = Line(max_size=2, max_count=1)
        tasks = [line.submit(0), line.submit(1)]  # one runs, one waits
        await settle()
        with line.queue.admitted() as place:
            with pytest.raises(QueueFull):
                line.queue.check_room()
            with pytest.raises(QueueFull):
                await line.queue.submit(picture(9), WANTED)
            tiles = [
                asyncio.create_task(line.queue.submit(picture(value), WANTED, place=place)) for value in (2, 3, 4)
            ]
            await settle()
            line.engine.let(5)
            outcomes = await asyncio.gather(*tasks, *tiles)
        assert [answer(outcome.tensors) for outcome in outcomes] == [255, 254, 253, 252, 251]
        line.queue.check_room()

    run(scenario)


def test_of_requests_that_come_together_as_many_are_let_in_as_there_is_room_for() -> None:
    async def scenario() -> None:
        line = Line(max_size=2)
        for _ in range(5):  # heads alone keep nobody out
            line.queue.let_in()
        for _ in range(3):  # the engine is free for one of them
            line.queue.let_in()
            line.queue.arrived()
        with pytest.raises(QueueFull):
            line.queue.let_in()
        with line.queue.admitted(), line.queue.admitted(), line.queue.admitted(), pytest.raises(QueueFull):
            line.queue.let_in()
        line.queue.arrived()  # and is refused for another reason
        await asyncio.sleep(1.5 * SOON)
        line.queue.let_in()
        line.queue.arrived()
        line.queue.let_in()

    run(scenario)


def test_pixels_that_run_do_not_count_as_coming() -> None:
    async def scenario() -> None:
        line = Line(max_size=1)
        for value in range(2):  # one runs, one waits
            line.queue.let_in()
            line.queue.arrived()
            line.submit(value)
            await settle()
        with pytest.raises(QueueFull):
            line.queue.let_in()
        line.engine.let(2)

    run(scenario)


def test_a_place_that_is_given_up_makes_room() -> None:
    async def scenario() -> None:
        line = Line(max_size=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), line.queue.admitted():
                raise ZeroDivisionError
        line.queue.check_room()

    run(scenario)


def test_close_waits_for_pictures_that_were_admitted() -> None:
    async def scenario() -> None:
        line = Line()
        with line.queue.admitted() as place:
            closing = asyncio.create_task(line.queue.close())
            await settle()
            with pytest.raises(Draining):
                line.queue.check_room()
            task = asyncio.create_task(line.queue.submit(picture(1), WANTED, place=place))
            await settle()
            line.engine.let(1)
            assert answer((await task).tensors) == 254
        await closing

    run(scenario)


def test_a_wait_that_would_be_too_long_is_refused_unless_few_wait() -> None:
    async def scenario() -> None:
        line = Line(max_count=1, max_wait=0.3)
        first = line.submit(0)
        await asyncio.sleep(0.3)  # what a picture takes: 0.06 s of it enters the estimate
        line.engine.let(1)
        await first
        tasks = [line.submit(value) for value in range(ALWAYS + 1)]  # one runs, eight wait for about half a second
        await settle()
        with pytest.raises(QueueFull):
            line.queue.check_room()
        line.engine.let(ALWAYS + 1)
        await asyncio.gather(*tasks)
        line.queue.check_room()

    run(scenario)
