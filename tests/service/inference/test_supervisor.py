"""What happens when the child process of a device dies, hangs or breaks, and when one of its models does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import EngineUnavailable
from service.inference import ENHANCED, IMAGE, Fault
from service.inference import _supervisor as supervisor
from service.inference._child_process import ChildFailure, ChildProcess
from service.repository import ConfigError
from tests.repositories import brightened, make_repository
from tests.service.inference.children import RETURN_SECONDS, WANTED, Service, serving
from tests.service.inference.graphs import make_fragile
from tests.service.inference.runners import eventually, picture


async def test_killed_under_load_only_the_running_batch_fails(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("brighten", "other"), slow=0.05)
    async with serving(root, ("brighten", "other")) as service:
        first = service.pid
        tasks = [asyncio.create_task(service.model().queue.submit({IMAGE: picture(n)}, WANTED)) for n in range(12)]
        await asyncio.wait([tasks[0]])
        os.kill(first, signal.SIGKILL)
        assert service.models.ready(["brighten", "other"])  # nobody knows yet
        await eventually(lambda: not service.models.ready(["brighten"]))
        assert service.models.state("other") == "UNAVAILABLE"
        assert {line.reason for line in service.models.index()} == {"the engine is down"}
        await eventually(lambda: service.models.ready(["brighten", "other"]), RETURN_SECONDS)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(failed) == 1
        assert isinstance(failed[0], EngineUnavailable)
        assert failed[0].retry_after
        assert service.pid != first
        assert service.count("worker_restarts_total") == 1
        assert service.count("device_faults_total", kind=Fault.CRASHED) == 1


async def test_a_hanging_pass_is_ended_by_the_watchdog(tmp_path: Path) -> None:
    async with serving(make_repository(tmp_path), inference_timeout=0.5) as service:
        os.kill(service.pid, signal.SIGSTOP)
        with pytest.raises(EngineUnavailable, match=r"0\.5 s"):
            await service.model().queue.submit({IMAGE: picture(1)}, WANTED)
        assert not service.models.ready(["brighten"])
        outcome = await service.model().queue.submit({IMAGE: picture(1)}, WANTED)  # waits until it is back
        np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(1)))
        assert service.count("device_faults_total", kind=Fault.HUNG) == 1
        assert service.count("device_faults_total", kind=Fault.CRASHED) == 0


async def test_a_corrupt_model_fails_alone(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("brighten", "corrupt"))
    (root / "corrupt" / "1" / "model.onnx").write_bytes(b"\x08garbage")
    async with serving(root) as service:
        pid = service.pid
        with pytest.raises(ConfigError, match=r"model\.onnx") as error:
            await service.models.load("corrupt")
        assert str(tmp_path) not in str(error.value)
        assert not service.models.ready(["corrupt"])
        assert service.pid == pid
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)


async def test_the_last_model_takes_the_process_with_it(tmp_path: Path) -> None:
    async with serving(make_repository(tmp_path, ("one", "two")), ("one", "two")) as service:
        pid = service.pid
        await service.models.unload("one")
        assert service.pid == pid
        await service.models.unload("two")
        assert service.models.engines.worker_pids() == {}
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await service.models.load("two")
        await service.model("two").queue.submit({IMAGE: picture(1)}, WANTED)


async def test_a_process_that_does_not_come_back_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a reload by hand starts over."""
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.01))
    root = make_repository(tmp_path)
    async with serving(root) as service:
        # Shown from the start: an alert sees no increase to the first value of a series.
        assert {service.count("device_faults_total", kind=kind) for kind in Fault} == {0}
        assert service.count("worker_restarts_total") == 0
        working = sys.executable
        multiprocessing_context().set_executable("/bin/false")
        try:
            os.kill(service.pid, signal.SIGKILL)
            with pytest.raises(EngineUnavailable, match="being restarted"):
                await service.model().engine.run({IMAGE: picture(1)}, WANTED)
            with pytest.raises(EngineUnavailable, match="must be restarted"):
                await service.model().engine.run({IMAGE: picture(1)}, WANTED)
        finally:
            multiprocessing_context().set_executable(working)
        assert not service.models.ready(["brighten"])
        assert service.models.lost
        assert service.count("worker_restarts_total") == 2
        await service.models.load("brighten")
        assert service.models.ready(["brighten"])
        assert not service.models.lost
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)


def multiprocessing_context() -> Any:
    from multiprocessing import get_context

    return get_context("spawn")


async def test_a_model_that_is_gone_after_a_crash_fails_alone_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.05))
    root = make_repository(tmp_path, ("brighten", "deleted"))
    async with serving(root, ("brighten", "deleted")) as service:
        file = root / "deleted" / "1" / "model.onnx"
        file.rename(tmp_path / "kept")
        os.kill(service.pid, signal.SIGKILL)
        await eventually(lambda: not service.models.ready(["brighten"]))
        await eventually(lambda: service.models.ready(["brighten"]))
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)
        with pytest.raises(EngineUnavailable, match="loaded again"):
            await service.model("deleted").queue.submit({IMAGE: picture(1)}, WANTED)
        assert not service.models.ready(["deleted"])
        pid = service.pid
        (tmp_path / "kept").rename(file)
        await eventually(lambda: service.models.ready(["deleted"]), RETURN_SECONDS)
        await service.model("deleted").queue.submit({IMAGE: picture(1)}, WANTED)
        assert service.pid == pid


async def test_a_model_that_ends_the_process_when_it_is_tried_again_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.05))
    root = make_repository(tmp_path, ("brighten", "deleted"))
    load, tried = supervisor.DeviceSupervisor._load, []
    async with serving(root, ("brighten", "deleted")) as service:

        async def deadly(self: Any, hosted: Any) -> None:
            if hosted.model.name == "deleted" and hosted.error is not None:
                tried.append(service.pid)
                os.kill(service.pid, signal.SIGKILL)
            await load(self, hosted)

        monkeypatch.setattr(supervisor.DeviceSupervisor, "_load", deadly)
        (root / "deleted" / "1" / "model.onnx").unlink()
        os.kill(service.pid, signal.SIGKILL)
        await eventually(lambda: bool(tried))
        pids = service.models.engines.worker_pids
        await eventually(lambda: pids().get("cpu", tried[0]) not in tried and service.models.ready(["brighten"]))
        await asyncio.sleep(0.5)  # ten times as long as until it would be tried again
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)
        with pytest.raises(EngineUnavailable, match="loaded again"):
            await service.model("deleted").queue.submit({IMAGE: picture(1)}, WANTED)
        assert len(tried) == 1


@pytest.mark.parametrize(
    "error",
    [ChildFailure("Traceback:\n  File /opt/x.py"), ConfigError("/opt/models/x: no field")],
    ids=["in the child", "configuration"],
)
async def test_clients_are_not_told_how_loading_again_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    root = make_repository(tmp_path, ("brighten", "large"))
    load = supervisor.DeviceSupervisor._load
    async with serving(root, ("brighten", "large")) as service:

        async def failing(self: Any, hosted: Any) -> None:
            if hosted.model.name == "large":
                raise error
            await load(self, hosted)

        monkeypatch.setattr(supervisor.DeviceSupervisor, "_load", failing)
        os.kill(service.pid, signal.SIGKILL)
        with pytest.raises(EngineUnavailable, match="could not be loaded again") as told:
            await asyncio.wait_for(run_again(service, "large"), RETURN_SECONDS)
        assert "Traceback" not in told.value.detail
        assert "/opt" not in told.value.detail
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)


async def run_again(service: Service, name: str) -> None:
    """Run a model of a process that was just killed: after what may still fail because of that."""
    await eventually(lambda: not service.models.ready([name]))
    await service.model(name).engine.run({IMAGE: picture(1)}, WANTED)


async def test_a_process_for_which_there_is_no_thread_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF", (0.0, 0.01))
    start, tried = ChildProcess.start, []

    async def short_of_threads(*arguments: Any) -> ChildProcess:
        tried.append(arguments)
        if len(tried) == 1:
            raise RuntimeError("can't start new thread")
        return await start(*arguments)

    async with serving(make_repository(tmp_path)) as service:
        monkeypatch.setattr(ChildProcess, "start", short_of_threads)
        os.kill(service.pid, signal.SIGKILL)
        await eventually(lambda: not service.models.ready(["brighten"]))
        await eventually(lambda: service.models.ready(["brighten"]), RETURN_SECONDS)
        assert len(tried) == 2


async def test_a_lost_device_and_an_endless_pass_get_a_new_process(tmp_path: Path) -> None:
    root = make_fragile(tmp_path)
    async with serving(root, inference_timeout=1.0) as service:
        for poison, message, kind in ((13, "device failed", Fault.DEVICE_LOST), (14, "1 s", Fault.HUNG)):
            pid = service.pid
            with pytest.raises(EngineUnavailable, match=message):
                await service.model().queue.submit({IMAGE: picture(poison)}, WANTED)
            assert not service.models.ready(["brighten"])
            outcome = await service.model().queue.submit({IMAGE: picture(12)}, WANTED)
            np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(12)))
            assert service.pid != pid
            assert service.count("device_faults_total", kind=kind) == 1
        assert service.count("device_faults_total", kind=Fault.CRASHED) == 0
