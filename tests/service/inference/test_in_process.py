"""Runners in this process: answers, hanging passes, lost devices."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import EngineUnavailable
from service.inference import ENHANCED, IMAGE, Fault
from service.inference._in_process import InProcessEngine
from service.telemetry import Metrics
from tests.service.inference.runners import ScriptedRunner, answer, eventually, picture

WANTED = (ENHANCED,)


def faults(metrics: Metrics, kind: Fault) -> float | None:
    return metrics.registry.get_sample_value("nightlift_device_faults_total", {"device": "cpu", "kind": kind})


async def test_as_many_batches_at_once_as_runners() -> None:
    runners = [ScriptedRunner(), ScriptedRunner()]
    for runner in runners:
        runner.gate.clear()
    engine = InProcessEngine(runners, 10, Metrics())
    assert engine.concurrency == 2
    tasks = [asyncio.create_task(engine.run({IMAGE: picture(value)}, WANTED)) for value in (1, 2)]
    await asyncio.sleep(0.01)
    for runner in runners:
        runner.gate.set()
    assert [answer(tensors) for tensors in await asyncio.gather(*tasks)] == [254, 253]
    assert [runner.sizes for runner in runners] == [[1], [1]]
    await engine.close()
    assert all(runner.closed for runner in runners)


async def test_a_runner_that_takes_several_passes_is_closed_once_all_have_ended() -> None:
    held = threading.Event()

    def first_held(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if batch[0, 0, 0, 0] == 1:
            held.wait()
        return np.invert(batch)

    runner = ScriptedRunner(first_held)
    runner.info = replace(runner.info, passes=2)
    engine = InProcessEngine([runner], 10, Metrics())
    assert engine.concurrency == 2
    first, second = (asyncio.create_task(engine.run({IMAGE: picture(value)}, WANTED)) for value in (1, 2))
    assert answer(await second) == 253
    closing = asyncio.create_task(engine.close())
    await asyncio.wait([closing], timeout=0.05)
    assert not runner.closed
    held.set()
    assert answer(await first) == 254
    await closing
    assert runner.closed


async def test_a_hanging_pass_is_given_up_and_its_runner_left_out_until_it_ends() -> None:
    metrics = Metrics()
    hanging, well = ScriptedRunner(), ScriptedRunner()
    hanging.gate.clear()
    engine = InProcessEngine([well, hanging], 0.05, metrics)
    assert {faults(metrics, kind) for kind in Fault} == {0}, "an alert sees no increase to the first fault"
    with pytest.raises(EngineUnavailable, match=r"0\.05 s"):
        await engine.run({IMAGE: picture(1)}, WANTED)
    assert faults(metrics, Fault.HUNG) == 1
    assert engine.ready
    assert engine.concurrency == 1
    assert answer(await engine.run({IMAGE: picture(2)}, WANTED)) == 253
    hanging.gate.set()
    await eventually(lambda: engine.concurrency == 2)
    await engine.close()
    assert hanging.closed


async def test_when_all_hang_the_model_is_not_ready_and_refuses() -> None:
    runner = ScriptedRunner()
    runner.gate.clear()
    engine = InProcessEngine([runner], 0.05, Metrics())
    with pytest.raises(EngineUnavailable):
        await engine.run({IMAGE: picture(1)}, WANTED)
    assert not engine.ready
    with pytest.raises(EngineUnavailable, match="restarted"):
        await engine.run({IMAGE: picture(1)}, WANTED)
    runner.gate.set()
    await eventually(lambda: engine.ready)
    assert answer(await engine.run({IMAGE: picture(1)}, WANTED)) == 254
    await engine.close()


async def test_a_lost_device_stays_lost() -> None:
    def broken(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    metrics = Metrics()
    runner = ScriptedRunner(broken)
    engine = InProcessEngine([runner], 10, metrics)
    for _ in range(3):
        with pytest.raises(EngineUnavailable, match="restarted"):
            await engine.run({IMAGE: picture(1)}, WANTED)
    assert runner.sizes == [1]
    assert not engine.ready
    assert engine.lost
    assert faults(metrics, Fault.DEVICE_LOST) == 1
    await engine.close()
