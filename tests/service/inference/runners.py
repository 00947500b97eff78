"""Runners and engines for tests of what is built on them: they answer at once, late, or with an error, as told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference import ENHANCED, IMAGE, EngineInfo, Tensors

Answer = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class ScriptedRunner:
    """A runner whose answer is a function of its pictures; `gate` holds it back until it is set."""

    info = EngineInfo("test", "CPUExecutionProvider", "cpu")

    def __init__(self, answer: Answer = np.invert) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.sizes: list[int] = []
        self._answer = answer

    def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        self.gate.wait()
        batch: Any = inputs[IMAGE]
        self.sizes.append(len(batch))
        return dict.fromkeys(outputs, self._answer(batch))

    def close(self) -> None:
        self.closed = True


class GatedEngine:
    """An engine that holds every batch until it is let through, and remembers what it was given.

    It answers with its first input inverted.
    """

    info = EngineInfo("test", "CPUExecutionProvider", "cpu")

    def __init__(self, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.ready = True
        self.lost = False
        self.error: Exception | None = None
        self.shapes: list[tuple[int, ...]] = []
        self.values: list[int] = []
        self.running = 0
        self.most_running = 0
        self._gate = asyncio.Semaphore(0)

    def let(self, batches: int) -> None:
        """Let this many batches through."""
        for _ in range(batches):
            self._gate.release()

    async def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        batch: Any = next(iter(inputs.values()))
        self.shapes.append(batch.shape)
        self.values.append(int(batch.flat[0]))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            await self._gate.acquire()
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return {name: np.invert(batch) for name in outputs}

    async def close(self) -> None:
        self.ready = False


async def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> float:
    """Wait until `condition` holds; the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


def picture(value: int, height: int = 16, width: int = 24) -> NDArray[np.uint8]:
    """A batch of one picture, UINT8 [1, height, width, 3], of one grey."""
    return np.full((1, height, width, 3), value, np.uint8)


def answer(tensors: Tensors) -> int:
    """The grey of a picture that came back."""
    values = np.unique(tensors[ENHANCED])
    assert len(values) == 1
    return int(values[0])
