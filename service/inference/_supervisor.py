"""Keeps the child process of a device alive, and the engine that runs a model in such processes.

A process that crashes, hangs or loses its device is replaced, and its models are loaded and warmed again. Its batches
fail with EngineUnavailable; later ones wait in their queues until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, repeat

from service.errors import EngineUnavailable, without_folders
from service.inference._child_process import ChildProcess, output_bytes
from service.inference._contract import EngineInfo, Tensors
from service.inference._faults import Fault
from service.inference._worker import Load, Unload
from service.repository import ConfigError, ModelVersion
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

LOAD_TIMEOUT = 600.0  # seconds: TensorRT may build an engine
BACKOFF = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each attempt to restart a process; after the last one the device is given up. A model that failed to
load again is retried at the same intervals, and then at the last one, for as long as the process lives."""


class Hosted:
    """A model in the child process of a device."""

    def __init__(self, number: int, model: ModelVersion) -> None:
        self.number = number
        # Protobuf messages cannot be sent to another process, and nothing there needs this one.
        self.model = replace(model, config=replace(model.config, proto=None))
        self.settled = asyncio.Event()
        """Set while batches need not wait: the model can be called, or `error` holds the reason for refusals."""
        self.info: EngineInfo | None = None
        self.error: str | None = None
        self.lost = False
        self.deadly = False
        """Whether reloading it has crashed the process; not retried, since that would end other models' passes."""

    @property
    def ready(self) -> bool:
        """Whether the model can be called now."""
        return self.settled.is_set() and self.error is None

    @property
    def passes(self) -> int:
        """How many batches it takes at once."""
        return 1 if self.info is None else self.info.passes


class DeviceSupervisor:
    """The child process of one device, started with its first model and stopped with its last.

    Args:
        device: `cpu` or `cuda:N`.
        threads: threads inside one pass on the CPU, if a model does not set them.
        timeout: seconds after which a pass of a network counts as hung.
        metrics: where restarts and faults are counted.
    """

    def __init__(self, device: str, threads: int, timeout: float, metrics: Metrics) -> None:
        self.device = device
        self._threads = threads
        self._timeout = timeout
        self._metrics = metrics
        metrics.watch_device(device, Fault, restarts=True)
        self._child: ChildProcess | None = None
        self._hosted: list[Hosted] = []
        self._watching: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._releasing: set[asyncio.Task[None]] = set()
        self._numbers = 0

    @property
    def pid(self) -> int | None:
        """Process id of the child, None where there is none."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def host(self, model: ModelVersion) -> Hosted:
        """Load a model into the process.

        Raises:
            EngineUnavailable, ConfigError: if it cannot be loaded; models loaded before keep running.
        """
        async with self._changing:
            if self._watching is None or self._watching.done():
                self._child = await ChildProcess.start(self.device, self._lost_child, self._note_survived)
                self._watching = asyncio.create_task(self._watch())
        self._numbers += 1
        hosted = Hosted(self._numbers, model)
        self._hosted.append(hosted)
        try:
            await self._load(hosted)
        except asyncio.CancelledError:
            if len(self._hosted) > 1:
                # The child answers only after the load, for which nobody waits, as when the service stops.
                self._releasing.add(task := asyncio.create_task(self.release(hosted)))
                task.add_done_callback(self._releasing.discard)
            else:
                await self.release(hosted)
            raise
        except BaseException:
            await self.release(hosted)
            raise
        return hosted

    async def run(self, hosted: Hosted, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """Run a batch as soon as the process is up; raises like `Engine.run`."""
        await hosted.settled.wait()
        if hosted.error is not None or self._child is None:
            raise EngineUnavailable(hosted.error or "the model is being unloaded")
        room = output_bytes(hosted.model.config, inputs, outputs)
        return await self._child.run(hosted.number, inputs, outputs, room, self._timeout)

    async def release(self, hosted: Hosted) -> None:
        """Unload a model; the last one ends the process."""
        self._hosted.remove(hosted)
        if self._hosted and self._child is not None:
            with contextlib.suppress(EngineUnavailable):
                await self._child.call(Unload(hosted.number), LOAD_TIMEOUT)
            return
        async with self._changing:
            if not self._hosted:
                await self._stop()

    async def _stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        if self._child is not None:
            await self._child.close()
            self._child = None

    async def _load(self, hosted: Hosted) -> None:
        assert self._child is not None
        command = Load(hosted.number, hosted.model, self.device, self._threads)
        hosted.info = await self._child.call(command, LOAD_TIMEOUT)
        hosted.error, hosted.lost = None, False
        hosted.settled.set()

    async def _watch(self) -> None:
        """Replace the process whenever it ends, until all attempts have failed."""
        while self._child is not None:
            fault = await self._until_gone(self._child)
            self._note(fault)
            logger.error("the worker process of %s is gone: %s", self.device, fault)
            if not await self._restart():
                self._give_up()
                return

    async def _until_gone(self, child: ChildProcess) -> Fault:
        """Wait for the process to end, and return why; meanwhile, retry models that failed to load."""
        delays = chain(BACKOFF[1:], repeat(BACKOFF[-1]))
        while not child.gone.done():
            refused = [h for h in self._hosted if h.error is not None and not h.lost and not h.deadly]
            await asyncio.wait([child.gone], timeout=next(delays) if refused else None)
            for hosted in refused:
                if child.alive:
                    await self._reload(hosted, child)
                    hosted.deadly = not child.alive
        return child.gone.result()

    def _lost_child(self) -> None:
        """Note that the process ends: batches wait from now on."""
        for hosted in self._hosted:
            hosted.settled.clear()

    async def _restart(self) -> bool:
        for delay in BACKOFF:
            await asyncio.sleep(delay)
            self._metrics.worker_restarts.labels(self.device).inc()
            try:
                self._child = await ChildProcess.start(self.device, self._lost_child, self._note_survived)
            except Exception as error:  # such as no thread for it; without this task all batches would wait
                logger.error("the worker process of %s cannot be started: %s", self.device, error)
                continue
            for hosted in tuple(self._hosted):
                if hosted.deadly:
                    hosted.settled.set()
                elif self._child.alive:
                    await self._reload(hosted, self._child)
            if self._child.alive:
                logger.warning("the worker process of %s is back", self.device)
                return True
            self._note(await self._child.gone)
        return False

    async def _reload(self, hosted: Hosted, child: ChildProcess) -> None:
        """Load a model again; if that fails and the process lives, its batches are refused until the next retry."""
        if hosted not in self._hosted:
            return  # released meanwhile
        before = hosted.error
        try:
            await self._load(hosted)
            if before is not None:
                logger.warning("model %s can be called again", hosted.model.name)
        except Exception as error:
            if not child.alive:
                return
            is_known = isinstance(error, EngineUnavailable | ConfigError)
            reason = without_folders(str(error)) if is_known else "the error was logged"
            hosted.error = f"the model could not be loaded again: {reason}"  # clients see this
            hosted.settled.set()
            if hosted.error != before:
                logger.error("model %s: %s", hosted.model.name, hosted.error, exc_info=None if is_known else error)
            with contextlib.suppress(Exception):  # ends its threads in the child
                await child.call(Unload(hosted.number), LOAD_TIMEOUT)

    def _give_up(self) -> None:
        logger.critical("the worker process of %s cannot be restarted; restart the service", self.device)
        for hosted in self._hosted:
            hosted.error = "the model's device cannot be restarted; the service must be restarted"
            hosted.lost = True
            hosted.settled.set()

    def _note_survived(self, fault: Fault) -> None:
        logger.error("%s: %s", self.device, fault)
        self._note(fault)

    def _note(self, fault: Fault) -> None:
        self._metrics.device_faults.labels(self.device, fault).inc()


class ChildProcessEngine:
    """One model in the child processes of one or more devices.

    Args:
        instances: the supervisor and the hosted model, one pair for every copy of the model.
    """

    def __init__(self, instances: Sequence[tuple[DeviceSupervisor, Hosted]]) -> None:
        info = instances[0][1].info
        assert info is not None
        self.info = info
        self._instances = tuple(instances)
        self._idle = [(supervisor, hosted) for supervisor, hosted in instances for _ in range(hosted.passes)]

    @property
    def concurrency(self) -> int:
        """Passes that may run at once; 1 if no copy can be called: one batch waits for the first to recover."""
        return max(1, sum(hosted.passes for _, hosted in self._instances if hosted.ready))

    @property
    def ready(self) -> bool:
        """Whether any instance can be called."""
        return any(hosted.ready for _, hosted in self._instances)

    @property
    def lost(self) -> bool:
        """Whether all devices were given up."""
        return all(hosted.lost for _, hosted in self._instances)

    async def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """See `Engine.run`; instances that are up are used before those that are being restarted."""
        instance = max(self._idle, key=lambda pair: pair[1].ready)
        self._idle.remove(instance)
        supervisor, hosted = instance
        try:
            return await supervisor.run(hosted, inputs, outputs)
        finally:
            self._idle.append(instance)

    async def close(self) -> None:
        """Unload the model everywhere; the queue has been emptied before."""
        for supervisor, hosted in self._instances:
            await supervisor.release(hosted)
