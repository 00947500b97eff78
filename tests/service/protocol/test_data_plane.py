"""What the data plane decides by itself: when to give up, what goes on without its caller, and what stopping
refuses."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from service.admission import Call
from service.errors import Draining
from service.inference import Models
from service.protocol import DataPlane, InferenceRequest, Tensor
from service.protocol._data_plane import _seconds
from service.repository import Batching
from service.runtime import Phase, Runtime
from service.settings import Settings
from tests.repositories import make_repository


@pytest.mark.parametrize(
    ("timeout", "batching", "expected"),
    [
        (None, Batching(), math.inf),
        (5, Batching(), 5),
        (None, Batching(default_timeout=10), 10),
        (5, Batching(default_timeout=10), 5),
        (20, Batching(default_timeout=10), 10),
        (5, Batching(default_timeout=10, allow_timeout_override=False), 10),
    ],
)
def test_a_request_may_take_what_it_says_and_what_its_model_says(
    timeout: float | None, batching: Batching, expected: float
) -> None:
    assert _seconds(timeout, batching) == expected


def request() -> InferenceRequest:
    """One dark picture for the model `brighten`."""
    return InferenceRequest("brighten", None, (Tensor("image", np.full((1, 16, 16, 3), 40, np.uint8)),))


def test_a_load_goes_on_without_its_caller(tmp_path: Path) -> None:
    repository = make_repository(tmp_path, ("brighten", "later"))

    async def leave() -> None:
        chosen = Settings(
            model_repository=repository, default_model="brighten", models=("brighten",), model_control=True
        )
        async with Runtime(chosen) as runtime:
            await runtime.loaded()
            plane = DataPlane(runtime)
            assert not plane.model_ready("later")
            call = asyncio.create_task(plane.load("later"))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            for _ in range(2000):
                if plane.model_ready("later"):
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("the model was never loaded")

    asyncio.run(leave())


def test_what_ends_the_loading_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise PermissionError("the repository is closed")

    async def start() -> None:
        async with Runtime(Settings(model_repository=make_repository(tmp_path))) as runtime:
            await runtime.loaded()
            assert not runtime.ready

    monkeypatch.setattr(Models, "load_all", broken)
    asyncio.run(start())
    assert "the repository is closed" in caplog.text


def test_a_service_that_stops_refuses_new_work_and_one_that_drains_takes_it(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)

    async def stop() -> None:
        async with Runtime(Settings(model_repository=repository, default_model="brighten")) as runtime:
            await runtime.loaded()
            plane = DataPlane(runtime)
            runtime.phase = Phase.DRAINING
            assert not runtime.ready
            assert not plane.model_ready("brighten")
            with runtime.admission.admit(Call()) as ticket:
                ticket.reserve("brighten")
                runtime.phase = Phase.STOPPING
                assert (await plane.infer(request(), ticket)).outputs[0].array.min() == 80  # it was taken before
                with pytest.raises(Draining):
                    ticket.reserve("brighten", 1)

    asyncio.run(stop())
