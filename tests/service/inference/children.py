"""Models in the child process of a device, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service.inference import ENHANCED, LoadedModel, Models
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics

ROOT = Path(__file__).resolve().parents[3]


WANTED = (ENHANCED,)


RETURN_SECONDS = 20.0
"""A quiet machine takes one or two; the limit leaves room for one on which much else runs."""


class Service:
    """Loaded models and their metrics."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.metrics = Metrics()
        self.settings = Settings(
            model_repository=root, **{"engine_isolation": "process", "device": "cpu", "cpu_threads": 1, **settings}
        )
        self.models = Models(ModelRepository(root), self.settings, self.metrics)

    @property
    def pid(self) -> int:
        return self.models.engines.worker_pids()["cpu"]

    def model(self, name: str = "brighten") -> LoadedModel:
        return self.models.get(name)

    def count(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"nightlift_{name}", {"device": "cpu", **labels})


@asynccontextmanager
async def serving(root: Path, names: Sequence[str] = ("brighten",), **settings: Any) -> AsyncIterator[Service]:
    service = Service(root, **settings)
    try:
        for name in names:
            await service.models.load(name)
        yield service
    finally:
        await service.models.close()
