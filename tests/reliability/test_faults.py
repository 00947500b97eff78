"""Every fault is injected for real, and has its answer, its metric and its line in the log.

A Triton server that dies and comes back: tests/engines/test_triton.py. Faults of a queue, a runner and a process by
themselves: tests/service/inference.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.http import create_app
from service.inference import Fault
from service.runtime import Runtime
from service.settings import Settings
from tests.nightlift.commands import nightlift
from tests.pictures import constant, dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import limit_files, serving
from tests.service.conftest import metric
from tests.service.inference.graphs import make_fragile, make_greedy
from tests.service.inference.runners import eventually

ROOT = Path(__file__).resolve().parents[2]
PHOTO = encoded(dark_scene(size=(48, 64)))
RETURN_SECONDS = 30.0


class Service:
    """The application over one runtime, in this process."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime = runtime
        self._client = client

    async def enhance(self, photo: bytes = PHOTO, model: str = "brighten") -> httpx.Response:
        return await self._client.post("/enhance", params={"model": model}, content=photo)

    async def refusal(self, answer: httpx.Response, slug: str) -> None:
        """Check a problem document."""
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"/problems/{slug}", answer.text

    async def post(self, path: str) -> httpx.Response:
        return await self._client.post(path, content=b"{}")

    def count(self, name: str, **labels: str) -> float:
        return self.runtime.metrics.registry.get_sample_value(f"nightlift_{name}", labels) or 0.0

    def faults(self, kind: Fault) -> float:
        return self.count("device_faults_total", device="cpu", kind=kind)


@asynccontextmanager
async def service_over(root: Path, **settings: Any) -> AsyncIterator[Service]:
    chosen = Settings(
        model_repository=root,
        **{"default_model": "brighten", "device": "cpu", "cpu_threads": 1, "engine_isolation": "process", **settings},
    )
    async with Runtime(chosen) as runtime:
        await runtime.loaded()
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://nightlift", timeout=60) as client:
            yield Service(runtime, client)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="nightlift")
    return caplog


async def test_the_engine_crashes(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    async with service_over(make_repository(tmp_path, slow=0.5)) as service:
        running = asyncio.create_task(service.enhance())
        await eventually(lambda: service.count("batch_size_count", model="brighten") == 1)
        os.kill(service.runtime.models.engines.worker_pids()["cpu"], signal.SIGKILL)
        answer = await running
        assert answer.status_code == 503
        await service.refusal(answer, "engine-unavailable")
        assert answer.headers["retry-after"]
        await eventually(lambda: service.runtime.ready, RETURN_SECONDS)
        assert (await service.enhance()).status_code == 200
        assert service.faults(Fault.CRASHED) == 1
        assert service.count("worker_restarts_total", device="cpu") == 1
    assert "the worker process of cpu is gone: crashed" in log.text
    assert "is back" in log.text


@pytest.mark.parametrize(("poison", "kind"), [(13, Fault.DEVICE_LOST), (14, Fault.HUNG)])
async def test_the_device_is_lost_or_a_pass_hangs(
    tmp_path: Path, log: pytest.LogCaptureFixture, poison: int, kind: Fault
) -> None:
    """The words of a sticky CUDA error, and a loop without end."""
    async with service_over(make_fragile(tmp_path), inference_timeout=2.0) as service:
        answer = await service.enhance(encoded(constant(poison)))
        assert answer.status_code == 503
        await service.refusal(answer, "engine-unavailable")
        assert not service.runtime.ready
        await eventually(lambda: service.runtime.ready, RETURN_SECONDS)
        assert (await service.enhance()).status_code == 200
        assert service.faults(kind) == 1
    assert f"the worker process of cpu is gone: {kind}" in log.text


@pytest.mark.parametrize("isolation", ["process", "none"])
async def test_memory_runs_out(tmp_path: Path, log: pytest.LogCaptureFixture, isolation: str) -> None:
    root = make_greedy(make_repository(tmp_path), "greedy", fits=1)
    async with service_over(root, engine_isolation=isolation, max_batch_pixels=10**9) as service:
        queue = service.runtime.models.get("greedy").queue
        whole = encoded(dark_scene(size=(48, 64)))
        answers = await asyncio.gather(*(service.enhance(whole, "greedy") for _ in range(6)))
        assert {answer.status_code for answer in answers} <= {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                await service.refusal(answer, "engine-unavailable")
        assert service.runtime.ready
        assert (await service.enhance(whole, "greedy")).status_code == 200
        assert queue.statistics.executions >= 1
        assert service.faults(Fault.OUT_OF_MEMORY) >= 1
    assert "cpu: out_of_memory" in log.text


async def test_the_model_is_corrupt_at_the_start(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    root = make_repository(tmp_path, ("brighten", "sound"))
    (root / "brighten" / "1" / "model.onnx").write_bytes(b"\x08garbage")
    async with service_over(root) as service:
        assert not service.runtime.ready
        answer = await service.enhance()
        assert answer.status_code == 503
        await service.refusal(answer, "model-not-ready")
        assert (await service.enhance(model="sound")).status_code == 200
        assert service.count("model_ready", model="brighten") == 0
        assert service.count("model_ready", model="sound") == 1
        assert service.count("errors_total", type="model-not-ready") == 1
    assert "model brighten cannot be loaded" in log.text
    assert "not ready: brighten cannot be served" in log.text


async def test_the_model_is_corrupt_when_it_is_reloaded(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    root = make_repository(tmp_path)
    async with service_over(root, model_control=True) as service:
        (root / "brighten" / "1" / "model.onnx").write_bytes(b"\x08garbage")
        answer = await service.post("/v2/repository/models/brighten/load")
        assert answer.status_code == 422
        assert "model.onnx" in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        assert (await service.enhance()).status_code == 200  # by the one that was there
        assert service.count("errors_total", type="unservable-model") == 1
    assert "model brighten cannot be loaded" in log.text


def test_the_disk_is_full(tmp_path: Path) -> None:
    """The service cannot write a byte to any file, its log included: it starts, serves, says so, and stops."""
    root = make_repository(tmp_path / "models")
    with serving(root, tmp_path, file_bytes=0, default_model="brighten", max_body_bytes=10**7) as server:
        form = {"image": ("photo.png", PHOTO + bytes(3_000_000))}  # more than a form is kept in memory for by itself
        assert httpx.post(f"{server.url}/enhance", files=form, timeout=60).status_code == 200
        assert httpx.post(f"{server.url}/enhance", content=b"no picture").status_code == 400
        assert metric(server, "nightlift_log_lines_lost_total") > 0
        assert server.log_text() == ""
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)


def test_the_disk_is_full_for_the_command_line(tmp_path: Path) -> None:
    """Results are there completely or not at all, and the command says which are not."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "small.png").write_bytes(encoded(constant(40)))
    (tmp_path / "in" / "large.png").write_bytes(encoded(dark_scene(size=(200, 300))))
    outcome = nightlift(
        "enhance",
        tmp_path / "in",
        "-o",
        tmp_path / "out",
        repository=make_repository(tmp_path / "models"),
        preexec_fn=lambda: limit_files(20_000),
    )
    assert outcome.returncode == 1
    assert b"large.png" in outcome.stderr
    assert b"File too large" in outcome.stderr
    assert b"Traceback" not in outcome.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("[!.]*")) == ["small.png"]
