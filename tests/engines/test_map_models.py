"""The maps of one network through every engine: the same photo comes out within one code value."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.inference import AFFINE, Models
from service.pictures import Picture, PictureFormat
from service.pipeline import run_network
from service.rendering import NEUTRAL, Detail, finish, plan, prepare
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics
from tests.map_models import PAIR, SCRIPTED_PAIR
from tests.pictures import dark_scene
from tests.triton_server import TritonServer

EXPOSURES = (-1.0, 0.0, 1.5)
OPTIONS = replace(NEUTRAL, detail=Detail.GUIDED)


def rendered(repository: Path, name: str, **settings: Any) -> list[NDArray[Any]]:
    """One photo at three exposures, its network run as the pipeline runs it."""

    async def render() -> list[NDArray[Any]]:
        config = Settings(model_repository=repository, device="cpu", cpu_threads=1, **settings)
        models = Models(ModelRepository(repository), config, Metrics())
        picture = Picture(dark_scene("coffee", (300, 450)), PictureFormat.PNG)
        results = []
        try:
            await models.load(name)
            model = models.get(name)
            assert model.ready
            for exposure in EXPOSURES:
                options = replace(OPTIONS, exposure=exposure)
                prepared = prepare(picture, plan(450, 300, 8, model.config.traits, options))
                outputs, _ = await run_network(model, prepared)
                assert outputs[0].shape[-1] == 16
                assert prepared.plan.output == AFFINE
                results.append(finish(prepared, outputs, options).picture.pixels)
        finally:
            await models.close()
        return results

    return asyncio.run(render())


@pytest.fixture(scope="module")
def embedded(map_models: Path) -> list[NDArray[Any]]:
    """By ONNX Runtime in this process."""
    results = rendered(map_models / "models", PAIR[0])
    assert results[0].mean() < results[1].mean() < results[2].mean()
    return results


def assert_equal(answers: list[NDArray[Any]], expected: list[NDArray[Any]]) -> None:
    for answer, other in zip(answers, expected, strict=True):
        assert np.abs(answer.astype(int) - other).max() <= 1


def test_torchscript_agrees(map_models: Path, embedded: list[NDArray[Any]]) -> None:
    assert_equal(rendered(map_models / "models", SCRIPTED_PAIR[0]), embedded)


def test_child_processes_agree(map_models: Path, embedded: list[NDArray[Any]]) -> None:
    assert_equal(rendered(map_models / "models", PAIR[0], engine_isolation="process"), embedded)


def test_a_real_triton_agrees(map_models: Path, embedded: list[NDArray[Any]], tmp_path: Path) -> None:
    options = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in PAIR)]
    with TritonServer(map_models / "models", tmp_path, options) as server:
        through_triton = rendered(map_models / "models", PAIR[0], engine="triton", triton_url=server.grpc_url)
    assert_equal(through_triton, embedded)
