"""The queue: who is joined with whom, who is forgotten, and that nobody gets another's picture."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from service.errors import DeadlineExceeded, Draining, EngineFailed, EngineUnavailable
from service.inference import ENHANCED, IMAGE, Bucket
from tests.service.inference.lines import WANTED, Line
from tests.service.inference.runners import answer, picture
from tests.settling import settle


async def test_a_free_engine_starts_at_once() -> None:
    line = Line()
    task = line.submit(1)
    await settle()
    assert line.engine.running == 1
    line.engine.let(1)
    outcome = await task
    assert answer(outcome.tensors) == 254
    assert outcome.batch == 1


async def test_what_waits_meanwhile_shares_the_next_batch() -> None:
    line = Line()
    tasks = [line.submit(value) for value in range(6)]
    await settle()
    line.engine.let(2)
    outcomes = await asyncio.gather(*tasks)
    assert [shape[0] for shape in line.engine.shapes] == [1, 5]
    assert [outcome.batch for outcome in outcomes] == [1, 5, 5, 5, 5, 5]
    assert [answer(outcome.tensors) for outcome in outcomes] == [255 - value for value in range(6)]


async def test_every_caller_gets_its_own_picture() -> None:
    """Hundreds of pictures of three shapes, several batches at once, in random order."""
    line = Line(concurrency=3, max_count=5)
    line.engine.let(10_000)
    random = np.random.default_rng(7)
    values = random.integers(0, 256, 300)
    tasks = [line.submit(int(value), int(random.choice([8, 16, 24]))) for value in values]
    outcomes = await asyncio.gather(*tasks)
    assert [answer(outcome.tensors) for outcome in outcomes] == [255 - int(value) for value in values]
    assert line.engine.most_running == 3
    assert line.queue.statistics.successes == line.queue.statistics.pictures == 300


async def test_no_more_batches_at_once_than_the_engine_takes() -> None:
    line = Line(concurrency=2, max_count=1)
    tasks = [line.submit(value) for value in range(5)]
    await settle()
    assert line.engine.running == 2
    line.engine.concurrency = 1  # a device goes down
    line.engine.let(2)
    await settle()
    assert line.engine.running == 1
    line.engine.let(3)
    await asyncio.gather(*tasks)


async def test_batches_at_once_share_a_budget_of_pixels() -> None:
    """Pictures of 16 x 24 and one of 64 x 24 pixels, where three of the small ones fit at once."""
    line = Line(concurrency=4, max_count=1, max_running_pixels=3 * 16 * 24)
    tasks = [line.submit(value) for value in range(5)]
    await settle()
    assert line.engine.running == 3
    line.engine.let(5)
    await asyncio.gather(*tasks)
    assert line.engine.most_running == 3
    alone = line.submit(9, height=64)  # beyond the budget, and let through because nothing else runs
    behind = line.submit(10)
    await settle()
    assert line.engine.running == 1
    line.engine.let(2)
    assert answer((await alone).tensors) == 246
    assert answer((await behind).tensors) == 245


async def test_callers_who_left_are_dropped_before_compute() -> None:
    line = Line(max_count=1)
    running, gone, stays = line.submit(0), line.submit(1), line.submit(2)
    await settle()
    gone.cancel()
    await settle()
    late = line.submit(3)
    await settle()
    line.engine.let(3)
    outcomes = await asyncio.gather(running, stays, late)
    assert [answer(outcome.tensors) for outcome in outcomes] == [255, 253, 252]
    assert len(line.engine.shapes) == 3
    assert line.metric("cancelled_total", at="queue") == 1


async def test_leaving_during_compute_harms_nobody_else() -> None:
    line = Line()
    tasks = [line.submit(value) for value in (0, 1, 2)]
    await settle()
    line.engine.let(1)
    await settle()
    tasks[1].cancel()
    await settle()
    line.engine.let(1)
    assert answer((await tasks[2]).tensors) == 253
    assert line.metric("cancelled_total", at="compute") == 1


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(EngineUnavailable("down"), EngineUnavailable), (ValueError("/secret/path"), EngineFailed)],
)
async def test_a_failing_batch_fails_its_callers_only(raised: Exception, seen: type[Exception]) -> None:
    line = Line(max_count=2)
    first = line.submit(0)
    await settle()
    second, third = line.submit(1), line.submit(2)
    fourth = line.submit(3)
    line.engine.let(1)
    await first
    await settle()
    line.engine.error = raised
    line.engine.let(1)
    for task in (second, third):
        with pytest.raises(seen) as failure:
            await task
        assert "secret" not in str(failure.value)
    line.engine.error = None
    line.engine.let(1)
    assert answer((await fourth).tensors) == 252
    assert line.queue.statistics.failures == 2


async def test_company_in_sight_is_waited_for() -> None:
    line = Line(delay=5.0)
    with line.queue.expecting(Bucket.of_picture(16, 24, ENHANCED)) as expectation:
        task = line.submit(1)
        await asyncio.sleep(0.02)
        assert line.engine.running == 0
        companion = asyncio.create_task(
            line.queue.submit({IMAGE: picture(2)}, WANTED, expectation=expectation)  # its decode is done
        )
        await settle()
    line.engine.let(1)
    outcomes = await asyncio.gather(task, companion)
    assert [outcome.batch for outcome in outcomes] == [2, 2]


async def test_company_that_does_not_come_is_not_waited_for() -> None:
    line = Line(delay=5.0)
    with line.queue.expecting(Bucket.of_picture(16, 24, ENHANCED)):  # its decode fails
        task = line.submit(1)
        await settle()
        assert line.engine.running == 0
    line.engine.let(1)
    await task


async def test_the_delay_ends_the_waiting() -> None:
    line = Line(delay=0.03)
    line.engine.let(1)
    with line.queue.expecting(Bucket.of_picture(16, 24, ENHANCED)):
        outcome = await line.submit(1)
    assert outcome.queue >= 0.02


async def test_a_clients_own_batch_stays_together() -> None:
    line = Line()
    pixels = np.concatenate([picture(10), picture(20), picture(30)])
    blocker = line.submit(0)
    await settle()
    batch = asyncio.create_task(line.queue.submit({IMAGE: pixels}, WANTED))
    single = line.submit(40)
    line.engine.let(2)
    outcome = await batch
    np.testing.assert_array_equal(outcome.tensors[ENHANCED], np.invert(pixels))
    assert answer((await single).tensors) == 215
    assert line.engine.shapes[1][0] == 4
    await blocker


async def test_close_finishes_what_waits_and_refuses_what_comes() -> None:
    line = Line(max_count=1, delay=5.0)
    with line.queue.expecting(Bucket.of_picture(16, 24, ENHANCED)):
        tasks = [line.submit(value) for value in range(3)]
        await settle()
        closing = asyncio.create_task(line.queue.close())
        await settle()
        with pytest.raises(Draining):
            await line.queue.submit({IMAGE: picture(9)}, WANTED)
        line.engine.let(3)
        outcomes: list[Any] = await asyncio.gather(*tasks)
        await closing
    assert [answer(outcome.tensors) for outcome in outcomes] == [255, 254, 253]


async def test_metrics_say_how_long_and_how_many() -> None:
    line = Line()
    tasks = [line.submit(value) for value in range(4)]
    await settle()
    assert len(line.queue.waiting) == 3
    line.engine.let(2)
    await asyncio.gather(*tasks)
    assert line.queue.waiting == []
    assert line.metric("batch_size_sum", model="m") == 4
    assert line.metric("batch_size_count", model="m") == 2
    assert line.metric("batches_total", model="m", closed_by="idle") == 2


async def test_waiting_longer_than_the_model_allows_is_refused() -> None:
    line = Line(max_count=1, queue_timeout=0.03)
    running, waiting = line.submit(0), line.submit(1)
    with pytest.raises(DeadlineExceeded, match=r"0\.03 s"):
        await waiting
    line.engine.let(1)
    assert answer((await running).tensors) == 255  # what runs already is finished
    assert len(line.engine.shapes) == 1


async def test_callers_are_served_in_turn_by_their_work() -> None:
    """One has four small pictures and a large one waiting; another's come next, and large ones count for more."""
    line = Line(max_count=1)
    blocker = line.submit(0, caller="many")
    await settle()
    many = [line.submit(value, caller="many") for value in (1, 2, 3)]
    large = line.submit(4, height=64, caller="large")
    few = [line.submit(value, caller="few") for value in (5, 6)]
    after = line.submit(7, caller="large")
    await settle()
    line.engine.let(8)
    await asyncio.gather(blocker, *many, large, *few, after)
    assert line.engine.values == [0, 4, 5, 1, 6, 2, 3, 7]


async def test_who_left_is_owed_nothing() -> None:
    line = Line(max_count=1)
    blocker = line.submit(0, caller="a")
    await settle()
    gone = [line.submit(value, caller="b") for value in (1, 2, 3)]
    await settle()
    for task in gone:
        task.cancel()
    await settle()
    other = [line.submit(value, caller="a") for value in (4, 5)]
    late = line.submit(6, caller="b")
    await settle()
    line.engine.let(4)
    await asyncio.gather(blocker, *other, late)
    assert line.engine.values.index(6) < line.engine.values.index(5)


async def test_close_waits_for_requests_whose_pictures_are_still_decoded() -> None:
    line = Line()
    line.queue.intake.working = 1
    closing = asyncio.create_task(line.queue.close())
    await settle()
    line.engine.let(1)
    assert answer((await line.submit(1)).tensors) == 254
    assert not closing.done()
    line.queue.intake.working = 0
    await closing
    with pytest.raises(Draining):
        await line.submit(2)
