"""A queue over an engine that waits to be told, for tests."""

from __future__ import annotations

import asyncio
import math

from service.admission import Intake
from service.inference import ENHANCED, IMAGE, BatchPolicy, BatchQueue, Outcome
from service.telemetry import Metrics
from tests.service.inference.runners import GatedEngine, picture

WANTED = (ENHANCED,)


class Line:
    """A queue over a gated engine, with its metrics."""

    def __init__(
        self,
        *,
        concurrency: int = 1,
        max_count: int = 8,
        delay: float = 0.0,
        queue_timeout: float | None = None,
        max_running_pixels: float = math.inf,
    ) -> None:
        self.engine = GatedEngine(concurrency)
        self.metrics = Metrics()
        policy = BatchPolicy(max_count, 1_000_000, delay, max_running_pixels)
        self.queue = BatchQueue(self.engine, policy, self.metrics.model("m"), Intake("m/1"), queue_timeout)

    def submit(
        self, value: int, height: int = 16, deadline: float | None = None, caller: str = ""
    ) -> asyncio.Task[Outcome]:
        return asyncio.create_task(
            self.queue.submit({IMAGE: picture(value, height)}, WANTED, deadline, caller=caller)
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"nightlift_{name}", labels) or 0.0
