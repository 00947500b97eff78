"""A Triton server behind our front end: followed when it goes and comes, and never the cause of a lost request."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc.aio import InferenceServerClient

from service.errors import EngineUnavailable
from service.inference import ENHANCED, IMAGE, Fault, Models
from service.inference._triton import POLL_SECONDS, POLL_TIMEOUT
from service.repository import ConfigError, ModelRepository
from service.settings import Settings
from service.telemetry import Metrics
from tests.engines.traffic import CLIENTS, assert_clear, traffic_on
from tests.repositories import brightened, make_repository
from tests.service.inference.runners import eventually, picture
from tests.tensor_models import assert_answers, made_inputs, make_tensor_model, warmup_of
from tests.triton_server import TritonServer

WANTED = (ENHANCED,)
ON_CPU = "instance_group { kind: KIND_CPU }"
WARMED = """model_warmup {
  name: "32x32" batch_size: 1
  inputs { key: "image" value { data_type: TYPE_UINT8 dims: 32 dims: 32 dims: 3 zero_data: true } }
}"""
Small = tuple[TritonServer, Path]


def triton_settings(server: TritonServer, root: Path, **more: object) -> Settings:
    return Settings(
        model_repository=root, default_model="brighten", engine="triton", triton_url=server.grpc_url, **more
    )


async def test_killed_and_restarted_under_load(small_triton: Small, caplog: pytest.LogCaptureFixture) -> None:
    """Every request gets its picture or a clear 503, and readiness goes and comes back."""
    server, root = small_triton

    with caplog.at_level(logging.WARNING, logger="nightlift"):
        async with traffic_on(triton_settings(server, root)) as traffic:
            runtime = traffic.runtime
            assert await traffic.ready()
            await eventually(lambda: len(traffic.answers) > 8)
            await asyncio.to_thread(server.kill)
            await eventually(lambda: not runtime.ready, 5)
            assert not await traffic.ready()
            await eventually(lambda: len(traffic.refused) > 8)
            server.start()
            await eventually(lambda: runtime.ready, 40)
            assert await traffic.ready()
            refused = len(traffic.refused)
            served = len(traffic.answers)
            await eventually(lambda: len(traffic.answers) > served + 8)
            assert len(traffic.refused) <= refused + CLIENTS
        assert traffic.answers[-1].status_code == 200
        assert_clear(traffic.refused)
    assert "Triton is not ready" in caplog.text
    assert "Triton is ready" in caplog.text


async def test_a_server_that_is_not_there_yet_is_found_when_it_comes(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "models", extra=ON_CPU)
    server = TritonServer(root, tmp_path)

    try:
        metrics = Metrics()
        models = Models(ModelRepository(root), triton_settings(server, root), metrics)
        await models.load("brighten")
        assert not models.ready(["brighten"])
        labels = {"device": "remote", "kind": Fault.UNREACHABLE}
        assert metrics.registry.get_sample_value("nightlift_device_faults_total", labels) == 0
        with pytest.raises(EngineUnavailable, match="'brighten'"):
            await models.get("brighten").queue.submit({IMAGE: picture(1)}, WANTED)
        server.start()
        await eventually(lambda: models.ready(["brighten"]), 40)
        outcome = await models.get("brighten").queue.submit({IMAGE: picture(1)}, WANTED)
        np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(1)))
        info = models.get("brighten").engine.info
        assert (info.engine, info.device, info.placement) == ("triton", "remote", "server")
        await asyncio.to_thread(server.stop)
        await eventually(lambda: not models.ready(["brighten"]))
        assert metrics.registry.get_sample_value("nightlift_device_faults_total", labels) == 1
        await models.close()
    finally:
        server.stop()


async def test_a_model_that_still_loads_is_served_as_soon_as_it_has(tmp_path: Path) -> None:
    """The server answers long before its model does: slow warming keeps the model loading for a while."""
    root = make_repository(tmp_path / "models", slow=1.0, extra=f"{ON_CPU} {WARMED}")

    with TritonServer(root, tmp_path, ["--model-control-mode=explicit"]) as server:
        models = Models(ModelRepository(root), triton_settings(server, root), Metrics())
        await models.load("brighten")
        async with InferenceServerClient(server.grpc_url) as triton:
            loading = asyncio.create_task(triton.load_model("brighten"))
            await eventually(lambda: "loading: brighten" in server.log.read_text(), 20)
            for _ in range(3):
                with pytest.raises(EngineUnavailable, match="'brighten'"):
                    await models.get("brighten").queue.submit({IMAGE: picture(1)}, WANTED)
            assert not loading.done()
            assert not models.ready(["brighten"])
            await loading
        await eventually(lambda: models.ready(["brighten"]), 2)
        outcome = await models.get("brighten").queue.submit({IMAGE: picture(1)}, WANTED)
        np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(1)))
        await models.close()


async def test_a_busy_server_is_waited_for_and_a_silent_one_is_not(small_triton: Small) -> None:
    server, root = small_triton
    models = Models(ModelRepository(root), triton_settings(server, root), Metrics())
    await models.load("brighten")
    queue = models.get("brighten").queue
    seen = []
    held = asyncio.create_task(asyncio.to_thread(server.suspend, POLL_TIMEOUT + POLL_SECONDS + 0.3))
    while not held.done():
        seen.append(models.ready(["brighten"]))
        await asyncio.sleep(0.02)
    assert all(seen)
    outcome = await queue.submit({IMAGE: picture(1)}, WANTED)
    np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(1)))
    held = asyncio.create_task(asyncio.to_thread(server.suspend, 3 * (POLL_TIMEOUT + POLL_SECONDS)))
    await eventually(lambda: not models.ready(["brighten"]), 2.5 * (POLL_TIMEOUT + POLL_SECONDS))
    await held
    await eventually(lambda: models.ready(["brighten"]), 5)
    await models.close()


async def test_batches_cross_the_wire_together(small_triton: Small) -> None:
    server, root = small_triton
    models = Models(ModelRepository(root), triton_settings(server, root), Metrics())
    await models.load("brighten")
    queue = models.get("brighten").queue
    outcomes = await asyncio.gather(*(queue.submit({IMAGE: picture(value)}, WANTED) for value in range(20)))
    for value, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(outcome.tensors[ENHANCED], brightened(picture(value)))
    assert max(outcome.batch for outcome in outcomes) > 4
    await models.close()


OUTPUTS = {"mapper": ("affine", "brightness"), "restorer": ("restored",)}


async def test_models_of_several_inputs_run_there_as_here(tmp_path: Path) -> None:
    """In ONNX and TorchScript, with warm-up, alone and in batches; in Triton with the folder as it lies there."""
    root = tmp_path / "models"
    for kind in OUTPUTS:
        for name, scripted in ((kind, False), (f"{kind}_scripted", True)):
            extra = f"{ON_CPU} {warmup_of(kind, 2, 24, 32)}"
            make_tensor_model(root, kind, name, scripted=scripted, extra=extra)
    with TritonServer(root, tmp_path) as server:
        models = Models(
            ModelRepository(root),
            Settings(model_repository=root, engine="triton", triton_url=server.grpc_url),
            Metrics(),
        )
        for kind, outputs in OUTPUTS.items():
            for name in (kind, f"{kind}_scripted"):
                await models.load(name)
                queue = models.get(name).queue
                asked = [made_inputs(kind, seed, count=1 + seed % 2) for seed in range(12)]
                outcomes = await asyncio.gather(*(queue.submit(inputs, outputs) for inputs in asked))
                for inputs, outcome in zip(asked, outcomes, strict=True):
                    assert_answers(kind, inputs, outcome.tensors)
                assert max(outcome.batch for outcome in outcomes) > 2
                one = (await queue.submit(asked[0], outputs[:1])).tensors
                assert_answers(kind, asked[0], one, outputs[:1])
        await models.close()


async def test_a_server_whose_model_has_other_inputs_is_not_called(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    make_tensor_model(theirs, "restorer", extra=ON_CPU)
    make_tensor_model(ours, "mapper", "restorer", extra=ON_CPU)
    with TritonServer(theirs, tmp_path) as server:
        settings = Settings(model_repository=ours, engine="triton", triton_url=server.grpc_url)
        models = Models(ModelRepository(ours), settings, Metrics())
        with pytest.raises(ConfigError, match=r"'proxy': 'FP32'.*the Triton server \{'picture': 'UINT8'"):
            await models.load("restorer")
        await models.close()
