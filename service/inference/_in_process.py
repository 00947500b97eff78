"""Runners inside this process, with a thread for every concurrent pass; the runtime computes without the GIL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from service.errors import EngineUnavailable
from service.inference._contract import EngineInfo, Runner, Tensors
from service.inference._faults import DeviceLost, Fault, run_guarded
from service.inference._threads import RunnerThreads
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

CLOSE_TIMEOUT = 5.0  # seconds that closing waits for a running pass


class InProcessEngine:
    """An engine over one or more runners of the same model.

    A pass that hangs cannot be stopped from inside its process: its runner is no longer used, and the model is not
    ready while all runners hang. After a sticky CUDA fault the model stays unavailable until the service is
    restarted. Placement in a child process recovers from both.

    Args:
        runners: at least one; each runs up to `info.passes` batches at once.
        timeout: seconds after which a pass counts as hung.
        metrics: where faults are counted.
    """

    def __init__(self, runners: Sequence[Runner], timeout: float, metrics: Metrics) -> None:
        self.info: EngineInfo = runners[0].info
        self._runners = [
            (runner, RunnerThreads(f"runner-{runner.info.device}"))
            for runner in runners
            for _ in range(runner.info.passes)
        ]
        self._idle = list(self._runners)
        self._hung = 0
        self.lost = False
        self._timeout = timeout
        self._metrics = metrics
        metrics.watch_device(self.info.device, Fault)

    @property
    def concurrency(self) -> int:
        """Passes that may run at once; 1 if no runner responds, so that a batch is sent and refused."""
        return max(1, len(self._runners) - self._hung)

    @property
    def ready(self) -> bool:
        """Whether any runner responds."""
        return not self.lost and self._hung < len(self._runners)

    async def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """See `Engine.run`; the queue never makes more than `concurrency` calls at once."""
        if not self.ready:
            raise EngineUnavailable("the model's device does not respond; the service must be restarted")
        runner, thread = self._idle.pop()
        call = asyncio.wrap_future(thread.submit(lambda: run_guarded(runner, inputs, outputs, self._note)))
        done, _ = await asyncio.wait([call], timeout=self._timeout)
        if not done:
            self._hung += 1
            self._note(Fault.HUNG)
            call.add_done_callback(lambda late: self._recover(late, runner, thread))
            raise EngineUnavailable(f"the model did not answer within {self._timeout:g} s")
        self._idle.append((runner, thread))
        try:
            return call.result()
        except DeviceLost as error:
            self.lost = True
            logger.critical("%s is lost until the service is restarted", self.info.device, exc_info=error)
            raise EngineUnavailable("the model's device failed; the service must be restarted") from None

    async def close(self) -> None:
        """Wait for running passes, then release the models; a hanging pass is abandoned."""
        ended: dict[Runner, bool] = {}
        for runner, thread in self._runners:
            ended[runner] = await asyncio.to_thread(thread.stop, CLOSE_TIMEOUT) and ended.get(runner, True)
        for runner, has_ended in ended.items():
            if has_ended:
                runner.close()

    def _recover(self, late: asyncio.Future[Tensors], runner: Runner, thread: RunnerThreads) -> None:
        """Note that an abandoned pass has ended after all."""
        late.cancelled() or late.exception()  # retrieved: nobody waits for it
        self._hung -= 1
        self._idle.append((runner, thread))

    def _note(self, fault: Fault) -> None:
        logger.error("%s: %s", self.info.device, fault)
        self._metrics.device_faults.labels(self.info.device, fault).inc()
