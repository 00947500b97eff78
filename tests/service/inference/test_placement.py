"""Which devices a model gets, as a table; and that placement follows the settings."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from service.inference import Engines, devices, isolated
from service.inference import _placement as placement
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics
from tests.repositories import make_repository

TABLE = [
    # instance groups, NIGHTLIFT_DEVICE, GPUs that work -> devices
    ("", "auto", 0, ["cpu"]),
    ("", "auto", 1, ["cuda:0"]),
    ("", "auto", 2, ["cuda:0", "cuda:1"]),
    ("", "cpu", 2, ["cpu"]),
    ("", "cuda", 0, ["cuda:0"]),  # asked for: it fails when it is loaded, rather than run elsewhere
    ("", "cuda:1", 2, ["cuda:1"]),
    ("instance_group { kind: KIND_AUTO count: 2 }", "auto", 0, ["cpu", "cpu"]),
    ("instance_group { kind: KIND_AUTO gpus: [ 1 ] }", "auto", 2, ["cuda:1"]),
    ("instance_group { kind: KIND_CPU count: 3 }", "cuda", 2, ["cpu", "cpu", "cpu"]),
    ("instance_group { kind: KIND_GPU }", "cpu", 2, ["cuda:0", "cuda:1"]),
    ("instance_group { kind: KIND_GPU count: 2 gpus: [ 0, 3 ] }", "auto", 4, ["cuda:0", "cuda:3"] * 2),
    ("instance_group { kind: KIND_GPU } instance_group { kind: KIND_CPU }", "auto", 1, ["cuda:0", "cpu"]),
]


@pytest.mark.parametrize(("groups", "device", "gpus", "expected"), TABLE)
def test_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, device: str, gpus: int, expected: list[str]
) -> None:
    monkeypatch.setattr(placement, "cuda_devices", lambda: gpus)
    monkeypatch.setattr(placement, "cuda_available", lambda backend: gpus > 0)
    root = make_repository(tmp_path, extra=groups)
    [model] = ModelRepository(root).servable("brighten")
    assert devices(model, Settings(model_repository=root, device=device)) == expected


def test_devices_are_looked_for_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def look(*_: Any) -> list[str]:
        threads.append(threading.current_thread())
        return ["cpu"]

    async def create() -> None:
        [model] = ModelRepository(make_repository(tmp_path)).servable("brighten")
        engine = await Engines(Settings(cpu_threads=1), Metrics()).create(model)
        await engine.close()

    monkeypatch.setattr(placement, "devices", look)
    asyncio.run(create())
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(
    ("setting", "chosen", "expected"),
    [
        ("auto", ["cpu"], False),
        ("auto", ["cuda:0"], True),
        ("auto", ["cuda:0", "cpu"], True),
        ("process", ["cpu"], True),
        ("none", ["cuda:0"], False),
    ],
)
def test_isolation(setting: Any, chosen: list[str], expected: bool) -> None:
    assert isolated(chosen, Settings(engine_isolation=setting)) is expected
