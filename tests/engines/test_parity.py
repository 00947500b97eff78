"""The same picture through every engine differs by at most one code value."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.inference import ENHANCED, IMAGE, Models, open_runner
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics
from tests.both_formats import SCRIPTED, SHIPPED, shipped_models
from tests.engines.conftest import IN_TRITON
from tests.pictures import dark_scene
from tests.repositories import brightened, make_repository
from tests.service.inference.graphs import make_torchscript
from tests.triton_server import TritonServer

TOLERANCE = 1  # code values
SIZES = ((96, 128), (101, 77))

Pixels = NDArray[np.uint8]


def pictures() -> list[Pixels]:
    """Batches of two dark pictures, at sizes that are and are not multiples of a network's."""
    return [np.stack([dark_scene("astronaut", size), dark_scene("coffee", size)]) for size in SIZES]


def difference(first: Pixels, second: Pixels) -> int:
    """The largest difference of two answers, in code values."""
    return int(np.abs(first.astype(np.int16) - second).max())


async def through(root: Path, names: list[str], **settings: Any) -> dict[str, list[Pixels]]:
    """The answers of these models to `pictures`, by the engine that the settings choose."""
    models = Models(
        ModelRepository(root), Settings(model_repository=root, device="cpu", cpu_threads=1, **settings), Metrics()
    )
    try:
        answers: dict[str, list[Any]] = {}
        for name in names:
            await models.load(name)
            queue = models.get(name).queue
            answers[name] = [
                (await queue.submit({IMAGE: batch}, (ENHANCED,))).tensors[ENHANCED] for batch in pictures()
            ]
        return answers
    finally:
        await models.close()


def test_small_models_agree_exactly(tmp_path: Path) -> None:
    """ONNX and TorchScript, in this process and in a child process."""
    root = make_torchscript(make_repository(tmp_path))
    names = ["brighten", "brighten_torchscript"]
    for isolation in ("none", "process"):
        for answers in asyncio.run(through(root, names, engine_isolation=isolation)).values():
            for batch, answer in zip(pictures(), answers, strict=True):
                np.testing.assert_array_equal(answer, brightened(batch))


@pytest.mark.parametrize("name", shipped_models())
def test_torchscript_agrees_with_onnx(name: str, both_formats: Path) -> None:
    repository = ModelRepository(both_formats)
    runners = [open_runner(repository.servable(one)[-1], "cpu", 1) for one in (name, name + SCRIPTED)]
    for batch in pictures():
        first, second = (runner.run({IMAGE: batch}, (ENHANCED,))[ENHANCED] for runner in runners)
        assert difference(first, second) <= TOLERANCE
    for runner in runners:
        runner.close()


def test_a_child_process_agrees_with_this_one() -> None:
    names = shipped_models()
    inside, outside = (
        asyncio.run(through(SHIPPED, names, engine_isolation=isolation)) for isolation in ("none", "process")
    )
    for name in names:
        for first, second in zip(inside[name], outside[name], strict=True):
            np.testing.assert_array_equal(first, second)


def test_triton_agrees_with_the_embedded_engine(shipped_triton: TritonServer, both_formats: Path) -> None:
    embedded = asyncio.run(through(both_formats, IN_TRITON))
    remote = asyncio.run(through(both_formats, IN_TRITON, engine="triton", triton_url=shipped_triton.grpc_url))
    for name in IN_TRITON:
        for first, second in zip(embedded[name], remote[name], strict=True):
            assert difference(first, second) <= TOLERANCE, name
