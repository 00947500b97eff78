"""kill -9 of the child process under load, through POST /enhance: only its batch fails, and it is soon back."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.settings import Settings
from tests.engines.traffic import CLIENTS, assert_clear, traffic_on
from tests.repositories import make_repository
from tests.service.inference.runners import eventually

RETURN_SECONDS = 20.0
"""A quiet machine takes one or two; the limit leaves room for one on which much else runs."""


async def test_killed_under_load(tmp_path: Path) -> None:
    root = make_repository(tmp_path, slow=0.03)
    settings = Settings(
        model_repository=root, default_model="brighten", device="cpu", cpu_threads=1, engine_isolation="process"
    )
    async with traffic_on(settings) as traffic:
        runtime = traffic.runtime
        for kills in (1, 2):
            served = len(traffic.answers)
            await eventually(lambda served=served: len(traffic.answers) > served + CLIENTS)
            os.kill(runtime.models.engines.worker_pids()["cpu"], signal.SIGKILL)
            # It may be back before a busy machine lets us look.
            await eventually(lambda kills=kills: not runtime.ready or restarts(runtime) == kills)
            await eventually(lambda kills=kills: runtime.ready and restarts(runtime) == kills, RETURN_SECONDS)
            assert await traffic.ready()
            assert len(traffic.refused) <= kills  # batches of one: at most the one that ran
    assert_clear(traffic.refused)
    assert traffic.answers[-1].status_code == 200


def restarts(runtime: Runtime) -> float:
    """How often the worker process was restarted."""
    name, labels = "nightlift_worker_restarts_total", {"device": "cpu"}
    return runtime.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_the_service_stops_while_its_worker_hangs(tmp_path: Path) -> None:
    settings = Settings(
        model_repository=make_repository(tmp_path),
        default_model="brighten",
        device="cpu",
        engine_isolation="process",
        inference_timeout=0.5,
    )
    async with traffic_on(settings) as traffic:
        await eventually(lambda: len(traffic.answers) > CLIENTS)
        pid = traffic.runtime.models.engines.worker_pids()["cpu"]
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.1)
    assert_clear(traffic.refused)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
