"""Runners inside this process, each with a thread of its own; the runtime releases the GIL while it computes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from service.inference._contract import EngineInfo, Runner, Tensors


class InProcessEngine:
    """An engine over one or more runners of the same model.

    Args:
        runners: at least one; as many batches run at once.
    """

    def __init__(self, runners: Sequence[Runner]) -> None:
        self.info: EngineInfo = runners[0].info
        self.concurrency = len(runners)
        self._runners = list(runners)
        self._idle = list(runners)
        self._threads = ThreadPoolExecutor(len(runners), thread_name_prefix="engine")

    async def run(self, batch: NDArray[np.uint8], outputs: tuple[str, ...]) -> Tensors:
        """See `Engine.run`; the queue never has more than `concurrency` calls under way."""
        runner = self._idle.pop()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, runner.run, batch, outputs)
        finally:
            self._idle.append(runner)

    async def close(self) -> None:
        """Wait for what runs, then release the models."""
        await asyncio.to_thread(self._threads.shutdown)
        for runner in self._runners:
            runner.close()
