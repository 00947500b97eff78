"""What a model has done since it was loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Statistics:
    """Counters since the model was loaded, for the protocol's `statistics` extension; times in nanoseconds."""

    successes: int = 0
    failures: int = 0
    success_ns: int = 0
    failure_ns: int = 0
    queue_ns: int = 0
    infer_ns: int = 0
    pictures: int = 0
    executions: int = 0
    last_inference_ms: int = 0
    by_batch_size: dict[int, tuple[int, int]] = field(default_factory=dict)

    def ran(self, count: int, infer_ns: int) -> None:
        """Count one execution of `count` pictures."""
        self.executions += 1
        self.pictures += count
        self.last_inference_ms = time.time_ns() // 1_000_000
        runs, total = self.by_batch_size.get(count, (0, 0))
        self.by_batch_size[count] = (runs + 1, total + infer_ns)
