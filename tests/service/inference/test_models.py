"""Loading, swapping and unloading models while others serve."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.inference import ENHANCED, IMAGE, Models, ModelState, Tensors
from service.inference._in_process import InProcessEngine
from service.repository import ConfigError, ModelRepository
from service.settings import Settings
from service.telemetry import Metrics
from tests.repositories import brightened, make_repository
from tests.service.inference.runners import eventually, picture

WANTED = (ENHANCED,)
CYCLES = 20


@asynccontextmanager
async def models_of(root: Path, metrics: Metrics | None = None, **settings: Any) -> AsyncIterator[Models]:
    chosen = Settings(model_repository=root, device="cpu", cpu_threads=1, **settings)
    models = Models(ModelRepository(root), chosen, metrics or Metrics())
    try:
        yield models
    finally:
        await models.close()


async def gain(models: Models, name: str = "brighten", version: int | None = None) -> int:
    """What the model multiplies by: its version plus one."""
    outcome = await models.get(name, version).queue.submit({IMAGE: picture(10)}, WANTED)
    return int(outcome.tensors[ENHANCED][0, 0, 0, 0]) // 10


def states(models: Models) -> dict[str, str]:
    return {line.name: str(line.state) for line in models.index()}


async def test_the_latest_version_answers_unless_one_is_named(tmp_path: Path) -> None:
    async with models_of(make_repository(tmp_path, versions=(1, 3))) as models:
        await models.load("brighten")
        assert await gain(models) == 4
        assert await gain(models, version=1) == 2
        assert [model.version for model in models.loaded()] == [1, 3]
        with pytest.raises(ModelNotFound) as error:
            models.get("brighten", 2)
        assert error.value.extensions == {"available": [1, 3]}


async def test_unknown_and_unloaded_models_are_told_apart(tmp_path: Path) -> None:
    async with models_of(make_repository(tmp_path)) as models:
        with pytest.raises(ModelNotFound):
            models.get("dawn")
        with pytest.raises(ModelNotReady):
            models.get("brighten")
        for change in (models.load, models.unload):
            with pytest.raises(ModelNotFound):
                await change("dawn")


async def test_requests_do_not_look_at_the_disk_and_changes_do(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "models")
    async with models_of(root) as models:
        root.rename(tmp_path / "elsewhere")
        with pytest.raises(ModelNotReady):
            models.get("brighten")
        with pytest.raises(ModelNotFound) as error:
            models.get("dawn")
        assert error.value.extensions == {"available": ["brighten"]}
        make_repository(root, ("dawn", "dusk", "night"))
        await models.load("dawn")
        assert await gain(models, "dawn") == 2
        make_repository(root, ("noon",))
        await models.unload("noon")
        for name in ("dusk", "noon"):
            with pytest.raises(ModelNotReady):
                models.get(name)
        make_repository(root, ("evening",))
        models.index()
        with pytest.raises(ModelNotReady):
            models.get("evening")


async def test_ready_means_loaded_and_never_nothing(tmp_path: Path) -> None:
    async with models_of(make_repository(tmp_path, ("one", "two"))) as models:
        assert not models.ready([])
        assert not models.ready(["one"])
        await models.load("one")
        assert models.ready(["one"])
        assert not models.ready(["one", "two"])
        assert states(models) == {"one": "READY", "two": "UNAVAILABLE"}
        await models.unload("one")
        assert not models.ready(["one"])
        assert models.state("one") is ModelState.UNAVAILABLE


async def test_required_models_first_and_a_broken_one_stops_nobody(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("a", "b", "c"))
    (root / "b" / "config.pbtxt").write_text("nonsense")
    metrics = Metrics()
    async with models_of(root, metrics) as models:
        await models.load_all(await models.announce(["c", "absent"]))
        assert states(models) == {"a": "READY", "b": "UNAVAILABLE", "c": "READY"}
        ready = {"a": 1, "b": 0, "c": 1, "absent": 0}  # the alert of a model that is not ready reads these
        for name, value in ready.items():
            assert metrics.registry.get_sample_value("nightlift_model_ready", {"model": name}) == value, name
        [reason] = [line.reason for line in models.index() if line.name == "b"]
        assert "nonsense" in reason
    async with models_of(root, models="a") as models:
        await models.load_all(await models.announce([]))
        assert states(models) == {"a": "READY", "b": "UNAVAILABLE", "c": "UNAVAILABLE"}


async def test_a_configuration_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("a", "b", "c"))
    (root / "a/config.pbtxt").unlink()
    (root / "a/config.pbtxt").symlink_to("/proc/self/mem")
    async with models_of(root) as models:
        await models.load_all(await models.announce(["c"]))
        assert states(models) == {"a": "UNAVAILABLE", "b": "READY", "c": "READY"}


async def test_metrics_tell_of_all_versions_that_serve_and_of_no_others(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    metrics = Metrics()

    def metric(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"nightlift_{name}", {"model": "brighten", **labels})

    async def check_waiting(models: Models, *versions: int) -> None:
        """Two requests come for each version, of which one runs, until it is let go, and one waits."""
        held, run_at_once = asyncio.Event(), InProcessEngine.run

        async def run(*batch: Any) -> Tensors:
            await held.wait()
            return await run_at_once(*batch)

        queues = [models.get("brighten", version).queue for version in versions]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(InProcessEngine, "run", run)
            tasks = [
                asyncio.create_task(queue.submit({IMAGE: picture(10)}, WANTED)) for queue in queues for _ in range(2)
            ]
            await eventually(lambda: metric("queue_depth") == len(versions))
            assert metric("queue_oldest_seconds") > 0  # type: ignore[operator]
            assert metric("queue_pixels") == len(versions) * 16 * 24
            held.set()
            await asyncio.gather(*tasks)

    async with models_of(root, metrics) as models:
        await models.load("brighten")
        make_repository(root, versions=(2, 3))
        (root / "brighten/3/model.onnx").write_bytes(b"garbage")
        with pytest.raises(ConfigError):
            await models.load("brighten")
        info = {"provider": "CPUExecutionProvider", "precision": "fp32", "engine": "onnxruntime"}
        assert [metric("model_info", version=str(version), **info) for version in (1, 2)] == [1, None]
        await check_waiting(models, 1)
        shutil.rmtree(root / "brighten/3")
        await models.load("brighten")
        assert [metric("model_info", version=str(version), **info) for version in (1, 2)] == [1, 1]
        await check_waiting(models, 1, 2)


class Emptied(list[Any]):
    """Entries that the event loop takes away just after a thread has seen that there are some."""

    def __bool__(self) -> bool:
        self.clear()
        return True


async def test_metrics_may_be_read_while_the_queue_changes(tmp_path: Path) -> None:
    metrics = Metrics()
    async with models_of(make_repository(tmp_path), metrics) as models:
        await models.load("brighten")
        queue = models.get("brighten").queue
        queue._entries = Emptied()
        assert metrics.registry.get_sample_value("nightlift_queue_oldest_seconds", {"model": "brighten"}) == 0
        queue._entries = []


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_a_reload_swaps_and_requests_under_way_finish(tmp_path: Path, isolation: str) -> None:
    root = make_repository(tmp_path, slow=0.05)
    async with models_of(root, engine_isolation=isolation) as models:
        await models.load("brighten")
        old = models.get("brighten")
        tasks = [asyncio.create_task(old.queue.submit({IMAGE: picture(10)}, WANTED)) for _ in range(4)]
        await asyncio.sleep(0)
        make_repository(root, versions=(2,))
        await models.load("brighten")
        assert await gain(models) == 3
        for outcome in await asyncio.gather(*tasks):
            np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(10)))
        assert [model.version for model in models.loaded()] == [1, 2]
        with pytest.raises(Draining):
            await old.queue.submit({IMAGE: picture(10)}, WANTED)


@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.parametrize("broken", ["config.pbtxt", "1/model.onnx"])
async def test_a_failed_reload_keeps_what_was(tmp_path: Path, isolation: str, broken: str) -> None:
    root = make_repository(tmp_path)
    async with models_of(root, engine_isolation=isolation) as models:
        await models.load("brighten")
        (root / "brighten" / broken).write_bytes(b"garbage")
        with pytest.raises(ConfigError):
            await models.load("brighten")
        assert models.ready(["brighten"])
        assert await gain(models) == 2
        assert models.index()[0].reason


async def test_a_model_whose_files_are_gone_keeps_serving_until_it_is_unloaded(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    async with models_of(root) as models:
        await models.load("brighten")
        shutil.rmtree(root / "brighten")
        assert await gain(models) == 2
        await models.unload("brighten")
        with pytest.raises(ModelNotReady):
            models.get("brighten")


def test_batches_form_on_the_cpu_only_where_asked_for(tmp_path: Path) -> None:
    async def sizes(root: Path) -> list[int]:
        async with models_of(root) as models:
            await models.load("brighten")
            queue = models.get("brighten").queue
            outcomes = await asyncio.gather(*(queue.submit({IMAGE: picture(value)}, WANTED) for value in range(6)))
            return [outcome.batch for outcome in outcomes]

    assert asyncio.run(sizes(make_repository(tmp_path / "plain"))) == [1] * 6
    assert asyncio.run(sizes(make_repository(tmp_path / "asked", delay_us=100))) == [1, *[5] * 5]


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_load_cycles_under_traffic(tmp_path: Path, isolation: str) -> None:
    """Another model answers every request meanwhile, and memory comes to a plateau."""
    root = make_repository(tmp_path, ("steady", "cycled"))

    async with models_of(root, engine_isolation=isolation) as models:
        await models.load("steady")
        answered = 0
        running = True

        async def traffic(value: int) -> None:
            nonlocal answered
            while running:
                outcome = await models.get("steady").queue.submit({IMAGE: picture(value)}, WANTED)
                assert outcome.tensors[ENHANCED][0, 0, 0, 0] == value * 2
                answered += 1
                await asyncio.sleep(0.001)

        clients = [asyncio.create_task(traffic(value)) for value in (1, 2, 3)]
        sizes = []
        for _ in range(CYCLES):
            await models.load("cycled")
            assert await gain(models, "cycled") == 2
            await models.unload("cycled")
            sizes.append(await asyncio.to_thread(resident, models))
        running = False
        await asyncio.gather(*clients)
        assert answered > CYCLES
        settled = sizes[CYCLES // 2 :]
        assert settled[-1] - settled[0] < 64 << 20
        # What leaks, leaks in every cycle; what else this process holds may move once.
        assert median(after - before for before, after in pairwise(settled)) < 64 << 10


def resident(models: Models) -> int:
    """Bytes of memory of this process and of its workers."""
    gc.collect()
    processes = ["self", *(str(pid) for pid in models.engines.worker_pids().values())]
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * 4096


async def test_a_model_that_makes_its_own_maps_is_refused(tmp_path: Path) -> None:
    """It would wait for itself."""
    parameters = {"nightlift.map_model": "mapper", "nightlift.takes_pictures": "false"}
    extra = "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n' for key, value in parameters.items()
    )
    async with models_of(make_repository(tmp_path, ("mapper",), extra=extra)) as models:
        with pytest.raises(ConfigError, match="has a map_model itself"):
            await asyncio.wait_for(models.load("mapper"), 30)


async def test_an_engine_is_closed_if_the_service_stops_while_it_is_timed(tmp_path: Path) -> None:
    others = set(threading.enumerate())  # a test before this one may have left a pass that hangs

    def runs() -> bool:
        return any(thread.name.startswith("runner-") for thread in set(threading.enumerate()) - others)

    async with models_of(make_repository(tmp_path, ("slow",), slow=1.0)) as models:
        loading = asyncio.create_task(models.load("slow"))
        await eventually(lambda: runs() and not loading.done())
        await asyncio.sleep(0.3)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await eventually(lambda: not runs())
