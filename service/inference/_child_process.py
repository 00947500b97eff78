"""The parent's side of a device's child process, from start to end."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import logging
import math
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import send_handle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import EngineUnavailable
from service.inference._contract import Tensors
from service.inference._faults import Fault
from service.inference._shared_memory import Slot, align
from service.inference._worker import AddSlot, Command, Failed, Output, Placed, Reply, Run, main
from service.repository import ConfigError, ModelConfig

logger = logging.getLogger("nightlift")

COPY_IN_THREAD = 1 << 20  # bytes above which copying a batch would block the event loop for too long
KEPT = 64 << 20  # bytes above which a slot is given back to the system after use


class ChildFailure(RuntimeError):
    """A command failed inside the child process; the message is the child's stack."""


class ChildProcess:
    """A running child process; to be made by `start`, on the event loop.

    Args:
        process, connection: the process, and our end of its pipe.
        ending: called once, as soon as the process ends or is told to end.
        note: called with each fault that the process survives.

    Attributes:
        gone: done when the process has ended, with the fault that this was.
    """

    def __init__(
        self, process: SpawnProcess, connection: Connection, ending: Callable[[], None], note: Callable[[Fault], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._process = process
        self._connection = connection
        self._cause = Fault.CRASHED
        self._announce_end = ending
        self._note = note
        self._ending = False
        self._reaping: asyncio.Task[None] | None = None
        self._calls: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = itertools.count()
        self._slots: list[Slot] = []
        self._idle: list[int] = []
        self.gone: asyncio.Future[Fault] = loop.create_future()
        loop.add_reader(connection.fileno(), self._receive)

    @classmethod
    async def start(cls, device: str, ending: Callable[[], None], note: Callable[[Fault], None]) -> ChildProcess:
        """Start a child process named after `device`."""
        return cls(*await asyncio.to_thread(_spawn, device), ending, note)

    @property
    def alive(self) -> bool:
        """Whether commands can be sent: the process has not ended and was not told to end."""
        return not self._ending

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    async def call(self, command: Command, time_limit: float) -> Any:
        """Send a command and wait for its result.

        Raises:
            EngineUnavailable: if the process ends meanwhile, or has no memory for this batch. A process that does not
                answer within `time_limit` seconds, or that reports a sticky fault, is killed.
            ConfigError: if a model cannot be loaded.
            ChildFailure: if the command failed.
        """
        number = next(self._numbers)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._send(number, command)
        self._calls[number] = future
        try:
            async with asyncio.timeout(time_limit):
                reply = await future
        except TimeoutError:
            self.kill(Fault.HUNG)
            raise EngineUnavailable(
                f"the model did not answer within {time_limit:g} s and is being restarted"
            ) from None
        finally:
            self._calls.pop(number, None)
        match reply.result:
            case Failed("unavailable", message):
                raise EngineUnavailable(message)
            case Failed("config", message):
                raise ConfigError(message)
            case Failed("lost", message):
                self.kill(Fault.DEVICE_LOST)
                raise EngineUnavailable("the model's device failed and is being restarted") from ChildFailure(message)
            case Failed(_, message):
                raise ChildFailure(message)
        return reply.result

    async def run(
        self, runner: int, inputs: Tensors, outputs: tuple[str, ...], output_room: int, time_limit: float
    ) -> Tensors:
        """Run a batch through a slot of shared memory, with `output_room` bytes for the outputs; raises as `call`."""
        number = self._take_slot()
        slot = self._slots[number]
        places, input_room = _places(inputs)
        room = input_room + output_room
        try:
            if slot.size < room:
                slot.resize(room)
            for name, place in places.items():
                await _copy(slot.view(place.shape, place.dtype, place.offset), inputs[name])
            placed = await self.call(Run(runner, number, places, input_room, room, outputs), time_limit)
            tensors = {name: await _fetch(slot, output) for name, output in placed.items()}
        except asyncio.CancelledError:
            raise  # the child may still write into the slot, which is not used again
        except Exception:
            self._give_back(number, room)
            raise
        self._give_back(number, room)
        return tensors

    def kill(self, cause: Fault) -> None:
        """End the process at once, for this reason."""
        if not self._ending:
            self._cause = cause
            self._process.kill()
            self._note_end()

    async def close(self) -> None:
        """End the process and wait for its end; safe to call twice."""
        self.kill(Fault.CRASHED)
        await asyncio.shield(self.gone)

    def _take_slot(self) -> int:
        if self._idle:
            return self._idle.pop()
        slot, number = Slot.create(), len(self._slots)
        self._send(-1, AddSlot(number), slot.descriptor)
        self._slots.append(slot)
        return number

    def _give_back(self, number: int, room: int) -> None:
        if room > KEPT:
            self._slots[number].resize(0)
        self._idle.append(number)

    def _send(self, number: int, command: Command, descriptor: int | None = None) -> None:
        try:
            self._connection.send((number, command))
            if descriptor is not None:
                send_handle(self._connection, descriptor, self.pid)
        except OSError:
            self._note_end()
            raise self._ended() from None

    def _receive(self) -> None:
        try:
            reply: Reply = self._connection.recv()
        except (EOFError, OSError):
            self._end()
            return
        for fault in reply.faults:
            self._note(fault)
        future = self._calls.get(reply.call)
        if future is not None and not future.done():
            future.set_result(reply)

    def _end(self) -> None:
        """The pipe was closed: the process has ended, or is about to."""
        self._note_end()
        asyncio.get_running_loop().remove_reader(self._connection.fileno())
        self._connection.close()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(self._ended())
        self._reaping = asyncio.create_task(self._reap())

    def _note_end(self) -> None:
        if not self._ending:
            self._ending = True
            self._announce_end()

    async def _reap(self) -> None:
        self._process.kill()
        try:
            await asyncio.to_thread(self._process.join)
        except Exception as error:  # no thread to wait in; others wait for `gone`
            logger.error("a killed worker process was not waited for: %s", error)
        atexit.unregister(self._process.kill)
        self.gone.set_result(self._cause)

    def _ended(self) -> EngineUnavailable:
        return EngineUnavailable("the model's worker process ended and is being restarted; try again")


def output_bytes(config: ModelConfig, inputs: Tensors, outputs: tuple[str, ...]) -> int:
    """Room for the requested outputs, in bytes; their free sides are assumed to be the longest of the inputs' sides.

    Outputs that turn out larger go through the pipe; see `Output`.
    """
    count = len(next(iter(inputs.values())))
    height, width = (max((a.shape[axis] for a in inputs.values() if a.ndim == 4), default=0) for axis in (1, 2))
    room = 0
    for spec in config.outputs:
        if spec.name in outputs:
            sides = config.wire_shape(spec)[1:]
            longest = (height, width, 0) if len(sides) == 3 else (0,) * len(sides)
            values = math.prod(free if side == -1 else side for side, free in zip(sides, longest, strict=True))
            room += align(spec.dtype.itemsize * count * values)
    return room


def _places(inputs: Tensors) -> tuple[dict[str, Placed], int]:
    """Where in a slot each input goes, and the bytes of all."""
    places, offset = {}, 0
    for name, array in inputs.items():
        places[name] = Placed(array.shape, array.dtype.str, offset)
        offset += align(array.nbytes)
    return places, offset


def _spawn(device: str) -> tuple[SpawnProcess, Connection]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with theirs:
        process = context.Process(target=main, args=(theirs,), name=f"nightlift-{device}", daemon=True)
        process.start()
    # In case this process ends without closing the child: multiprocessing would send SIGTERM, which it ignores, and
    # wait.
    atexit.register(process.kill)
    return process, ours


async def _copy(target: NDArray[np.generic], source: NDArray[np.generic]) -> None:
    if source.nbytes < COPY_IN_THREAD:
        target[...] = source
    else:
        await asyncio.to_thread(np.copyto, target, source)


async def _fetch(slot: Slot, output: Output) -> NDArray[np.generic]:
    """A copy of an output, so that the slot is free again."""
    if isinstance(output, np.ndarray):
        return output
    fetched = np.empty(output.shape, output.dtype)
    await _copy(fetched, slot.view(output.shape, output.dtype, output.offset))
    return fetched
