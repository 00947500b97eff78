"""The child process of a device: it loads models and runs batches, and knows nothing of requests.

Commands come through a pipe, pictures through shared memory. Every model has its own thread, so that one can be
loaded while another runs. The process ends when its parent ends, which closes the pipe.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import EngineUnavailable
from service.inference._contract import EngineInfo, Runner, Tensors
from service.inference._faults import Fault, classify, run_guarded
from service.inference._runners import open_runner
from service.inference._shared_memory import Slot, align
from service.inference._threads import RunnerThreads
from service.repository import ConfigError, ModelVersion


@dataclass(frozen=True)
class Placed:
    """The position of a tensor in a slot."""

    shape: tuple[int, ...]
    dtype: str
    offset: int


@dataclass(frozen=True)
class AddSlot:
    """Take over a new slot, whose file descriptor follows this message."""

    slot: int


@dataclass(frozen=True)
class Load:
    """Load and warm a model, which is then called by the number `runner`."""

    runner: int
    model: ModelVersion
    device: str
    threads: int


@dataclass(frozen=True)
class Unload:
    """Finish the runner's work, and release it."""

    runner: int


@dataclass(frozen=True)
class Run:
    """Run the inputs in the first `input_size` bytes of a slot; the outputs have room up to `size`."""

    runner: int
    slot: int
    inputs: dict[str, Placed]
    input_size: int
    size: int
    outputs: tuple[str, ...]


Command = AddSlot | Load | Unload | Run


# An output that is larger than expected, and does not fit into the slot, goes through the pipe.
Output = Placed | NDArray[np.generic]


@dataclass(frozen=True)
class Failed:
    """The command failed.

    Attributes:
        kind: `unavailable` and `config` are reported to the caller; `lost` asks for a new process; `failed` is
            logged.
        message: what was wrong; for `lost` and `failed` with its stack.
    """

    kind: str
    message: str


@dataclass(frozen=True)
class Reply:
    """The answer to the command numbered `call`, and faults meanwhile that the process survived."""

    call: int
    result: EngineInfo | dict[str, Output] | Failed | None
    faults: tuple[Fault, ...] = ()


def main(connection: Connection) -> None:
    """Serve commands until the parent closes the pipe or ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when this process ends
    worker = _Worker(connection)
    try:
        while True:
            worker.take(*connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # at once: threads may be deep inside a runtime


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = Lock()
        self._slots: dict[int, Slot] = {}
        self._threads: dict[int, RunnerThreads] = {}
        self._runners: dict[int, Runner] = {}

    def take(self, call: int, command: Command) -> None:
        """Start a command; its reply is sent when it is done."""
        match command:
            case AddSlot(slot):
                self._slots[slot] = Slot(recv_handle(self._connection))
            case Load():
                self._threads[command.runner] = RunnerThreads(f"runner-{command.runner}")
                self._submit(call, command.runner, lambda _: self._load(command))
            case Run():
                self._submit(call, command.runner, lambda faults: self._run(command, faults))
            case Unload(runner):
                self._submit(call, runner, lambda _: self._unload(runner))
                if thread := self._threads.pop(runner, None):
                    thread.stop(0)

    def _submit(self, call: int, runner: int, work: Callable[[list[Fault]], Any]) -> None:
        if runner in self._threads:
            self._threads[runner].submit(lambda: self._answer(call, work))
        else:
            self._answer(call, work)  # a runner of the previous process, with nothing to unload

    def _answer(self, call: int, work: Callable[[list[Fault]], Any]) -> None:
        faults: list[Fault] = []
        try:
            result = work(faults)
        except EngineUnavailable as error:
            result = Failed("unavailable", error.detail)
        except ConfigError as error:
            result = Failed("config", str(error))
        except Exception as error:
            lost = classify(error) is Fault.DEVICE_LOST
            result = Failed("lost" if lost else "failed", traceback.format_exc())
        with self._sending:
            survived = tuple(fault for fault in faults if fault is not Fault.DEVICE_LOST)
            self._connection.send(Reply(call, result, survived))

    def _load(self, command: Load) -> EngineInfo:
        runner = open_runner(command.model, command.device, command.threads)
        self._runners[command.runner] = runner
        if threads := self._threads.get(command.runner):
            threads.widen(runner.info.passes)
        return replace(runner.info, placement="child process")

    def _unload(self, number: int) -> None:
        runner = self._runners.pop(number, None)  # absent if it could not be loaded
        if runner is not None:
            runner.close()

    def _run(self, command: Run, faults: list[Fault]) -> dict[str, Output]:
        slot = self._slots[command.slot]
        inputs = {name: slot.view(place.shape, place.dtype, place.offset) for name, place in command.inputs.items()}
        tensors = run_guarded(self._runners[command.runner], inputs, command.outputs, faults.append)
        return _place(tensors, slot, command.input_size, command.size)


def _place(tensors: Tensors, slot: Slot, offset: int, size: int) -> dict[str, Output]:
    """Write the outputs into the slot from `offset` on, if there is room."""
    placed: dict[str, Output] = {}
    for name, tensor in tensors.items():
        if offset + tensor.nbytes > size:
            placed[name] = np.ascontiguousarray(tensor)
            continue
        slot.view(tensor.shape, tensor.dtype, offset)[...] = tensor
        placed[name] = Placed(tensor.shape, tensor.dtype.str, offset)
        offset = align(offset + tensor.nbytes)
    return placed
