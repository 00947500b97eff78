"""The child process of a device: the same answers as in process, shared memory, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import EngineFailed, EngineUnavailable
from service.inference import AFFINE, ENHANCED, IMAGE, Fault
from service.inference._child_process import ChildProcess
from service.inference._worker import Placed
from tests.repositories import GRID, brightened, make_repository
from tests.service.inference.children import RETURN_SECONDS, ROOT, WANTED, serving
from tests.service.inference.graphs import make_greedy
from tests.service.inference.runners import eventually, picture


def random_batch(count: int, height: int, width: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_same_results_as_in_process(tmp_path: Path) -> None:
    """Every output bit for bit, at sizes below and above what is copied on the event loop, and back to small."""
    root = make_repository(tmp_path, affine=True)
    batches = [random_batch(*shape) for shape in ((1, 16, 17), (3, 64, 48), (2, 900, 1000), (1, 20, 16))]

    async def answers(isolation: str) -> list[dict[str, Any]]:
        async with serving(root, engine_isolation=isolation) as service:
            engine = service.model().engine
            assert engine.info.placement == ("child process" if isolation == "process" else "in process")
            return [dict(await engine.run({IMAGE: batch}, (ENHANCED, AFFINE))) for batch in batches]

    inside, outside = asyncio.run(answers("none")), asyncio.run(answers("process"))
    for batch, ours, theirs in zip(batches, inside, outside, strict=True):
        np.testing.assert_array_equal(theirs[ENHANCED], brightened(batch))
        for name in (ENHANCED, AFFINE):
            np.testing.assert_array_equal(theirs[name], ours[name])
            assert theirs[name].dtype == ours[name].dtype


def noted_replies(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What child processes answer from now on."""
    replies: list[Any] = []
    call = ChildProcess.call

    async def noted(*arguments: Any) -> Any:
        replies.append(await call(*arguments))
        return replies[-1]

    monkeypatch.setattr(ChildProcess, "call", noted)
    return replies


@pytest.mark.parametrize("outputs", [(AFFINE,), (ENHANCED, AFFINE)])
async def test_a_predicted_map_goes_through_shared_memory(
    outputs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(make_repository(tmp_path, affine=True)) as service:
        replies = noted_replies(monkeypatch)
        await service.model().engine.run({IMAGE: random_batch(8, GRID, GRID)}, outputs)
        assert [(name, type(output)) for name, output in replies[0].items()] == [(o, Placed) for o in outputs]


async def test_an_output_larger_than_expected_goes_through_the_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map of any size, as its configuration says, that has more places than the picture has pixels."""
    config = make_repository(tmp_path, affine=True) / "brighten/config.pbtxt"
    config.write_text(config.read_text().replace(f"{GRID}, {GRID}, 6", "-1, -1, 6"))
    async with serving(tmp_path) as service:
        replies = noted_replies(monkeypatch)
        tensors = await service.model().engine.run({IMAGE: random_batch(1, 1, 1)}, (AFFINE,))
        assert tensors[AFFINE].shape == (1, 4, 4, 6)
        assert np.unique(tensors[AFFINE]).tolist() == [0.0, 2.0]
        assert [type(reply[AFFINE]) for reply in replies] == [np.ndarray]


async def test_concurrent_batches_do_not_mix(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("one", "two"), extra="instance_group { kind: KIND_CPU count: 2 }")
    async with serving(root, ("one", "two")) as service:
        assert service.model("one").engine.concurrency == 2
        batches = [picture(value, 40 + value) for value in range(60)]
        tasks = [
            service.model(("one", "two")[number % 2]).queue.submit({IMAGE: batch}, WANTED)
            for number, batch in enumerate(batches)
        ]
        for batch, outcome in zip(batches, await asyncio.gather(*tasks), strict=True):
            np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(batch))


async def test_one_model_takes_as_many_passes_at_once_as_it_has_threads(tmp_path: Path) -> None:
    async with serving(make_repository(tmp_path, slow=0.05), cpu_threads=3) as service:
        model = service.model()
        assert model.engine.concurrency == 3
        batches = [picture(value, 40 + value) for value in range(12)]
        outcomes = await asyncio.gather(*(model.queue.submit({IMAGE: batch}, WANTED) for batch in batches))
        for batch, outcome in zip(batches, outcomes, strict=True):
            np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(batch))
        os.kill(service.pid, signal.SIGKILL)
        await eventually(lambda: not model.engine.ready)
        assert model.engine.concurrency == 1
        await eventually(lambda: model.engine.ready, RETURN_SECONDS)
        assert model.engine.concurrency == 3


async def test_a_batch_that_breaks_the_model_harms_nothing_else(tmp_path: Path) -> None:
    async with serving(make_repository(tmp_path)) as service:
        pid = service.pid
        with pytest.raises(EngineFailed):
            await service.model().queue.submit({IMAGE: random_batch(1, 16, 16)[..., :2]}, WANTED)
        await service.model().queue.submit({IMAGE: picture(1)}, WANTED)
        assert service.pid == pid


PARENT = """
import asyncio, os, signal, sys
from pathlib import Path
from service.inference import Models
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics

async def main():
    root = Path(sys.argv[1])
    settings = Settings(model_repository=root, engine_isolation="process", device="cpu")
    models = Models(ModelRepository(root), settings, Metrics())
    await models.load("brighten")
    print(models.engines.worker_pids()["cpu"], flush=True)
    exec(sys.argv[2])

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("ending", "status"),
    [("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL), ("sys.exit(3)", 3), ("os._exit(4)", 4)],
)
def test_the_child_ends_with_its_parent(tmp_path: Path, ending: str, status: int) -> None:
    root = make_repository(tmp_path / "models")
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.run(
        [sys.executable, script, root, ending],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert parent.returncode == status, parent.stderr
    child = Path("/proc") / parent.stdout.strip()

    def gone() -> bool:
        return not child.exists() or "\nState:\tZ" in (child / "status").read_text()

    asyncio.run(eventually(gone))


async def test_the_child_is_free_of_the_http_stack_and_of_torch(tmp_path: Path) -> None:
    async with serving(make_repository(tmp_path)) as service:
        libraries = await asyncio.to_thread(Path(f"/proc/{service.pid}/maps").read_text)
        assert "onnxruntime" in libraries
        for unwanted in ("libtorch", "httptools", "uvloop", "cv2"):
            assert unwanted not in libraries


async def test_memory_of_a_large_batch_is_given_back(tmp_path: Path) -> None:
    def shared_bytes() -> int:
        size = 0
        for file in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                size += file.stat().st_size if "nightlift-slot" in os.readlink(file) else 0
        return size

    async with serving(make_repository(tmp_path)) as service:
        engine = service.model().engine
        await engine.run({IMAGE: random_batch(1, 64, 64)}, WANTED)
        await engine.run({IMAGE: np.zeros((1, 4000, 4000, 3), np.uint8)}, WANTED)
        assert shared_bytes() < 1 << 20
        tensors = await engine.run({IMAGE: picture(7)}, WANTED)
        np.testing.assert_array_equal(tensors[ENHANCED], brightened(picture(7)))


@pytest.mark.parametrize("isolation", ["process", "none"])
async def test_memory_that_runs_out_halves_the_batch_once(tmp_path: Path, isolation: str) -> None:
    """With real refusals by ONNX Runtime's allocator."""
    root = make_greedy(tmp_path, "greedy", fits=2)
    async with serving(root, ["greedy"], engine_isolation=isolation) as service:
        batch = random_batch(4, 16, 16)
        outcome = await service.model("greedy").queue.submit({IMAGE: batch}, WANTED)
        np.testing.assert_array_equal(outcome.tensors[ENHANCED], batch)
        assert service.count("device_faults_total", kind=Fault.OUT_OF_MEMORY) == 1
        with pytest.raises(EngineUnavailable, match="too little memory"):
            await service.model("greedy").queue.submit({IMAGE: random_batch(6, 16, 16)}, WANTED)
        assert service.count("device_faults_total", kind=Fault.OUT_OF_MEMORY) == 3
        assert service.models.ready(["greedy"])


async def test_a_process_is_gone_even_if_no_thread_can_wait_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_thread = asyncio.to_thread

    async def short_of_threads(work: Any, *arguments: Any) -> Any:
        if getattr(work, "__name__", "") == "join":
            raise RuntimeError("can't start new thread")
        return await to_thread(work, *arguments)

    async with serving(make_repository(tmp_path)) as service:
        first = service.pid
        monkeypatch.setattr(asyncio, "to_thread", short_of_threads)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: service.models.engines.worker_pids().get("cpu", first) != first, RETURN_SECONDS)
        monkeypatch.undo()
        await eventually(lambda: service.models.ready(["brighten"]), RETURN_SECONDS)
