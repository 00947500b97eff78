"""Faults of devices, how they are recognised in the runtime's messages, and what is tried before giving up."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

import numpy as np

from service.contract import IMAGE
from service.errors import EngineUnavailable
from service.inference._contract import Runner, Tensors


class Fault(StrEnum):
    """A kind of fault, a label of `nightlift_device_faults_total`."""

    CRASHED = "crashed"
    """The child process of the device ended by itself."""
    HUNG = "hung"
    """A pass of a network did not end within `inference_timeout`."""
    DEVICE_LOST = "device_lost"
    """A sticky CUDA error: every later call in the same process fails as well."""
    OUT_OF_MEMORY = "out_of_memory"
    """A batch did not fit into memory; the device itself works."""
    UNREACHABLE = "unreachable"
    """The Triton server does not respond, or no longer serves the model."""


class DeviceLost(Exception):
    """A sticky fault: the process that holds the device must be replaced."""


OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate memory|can't allocate memory|bad allocation|std::bad_alloc"
    r"|CUDA failure 2\b|STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)

# cudaErrorIllegalAddress and its like leave the context unusable (CUDA Runtime API, "Error handling"); the numbers
# are those that ONNX Runtime prints.
STICKY = re.compile(
    r"CUDA failure (4|46|21[4-9]|70[02]|71[0-9]|999)\b|illegal memory access|illegal instruction|misaligned address"
    r"|invalid program counter|invalid address space|hardware stack error|unspecified launch failure"
    r"|launch timed out|device-side assert|uncorrectable (ECC|NVLink) error|device (was |is )?lost|GPU is lost"
    r"|fallen off the bus|(CUDNN|CUBLAS)_STATUS_(INTERNAL_ERROR|EXECUTION_FAILED|NOT_INITIALIZED|MAPPING_ERROR)"
    r"|CUDA error: unknown error|driver shutting down",
    re.IGNORECASE,
)


def classify(error: BaseException) -> Fault | None:
    """The device's fault that an exception's type and message reveal; None for an ordinary failure of one batch.

    Out of memory is checked first: cuDNN reports some allocation failures together with an internal error.
    """
    text = str(error)
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(text):
        return Fault.OUT_OF_MEMORY
    return Fault.DEVICE_LOST if STICKY.search(text) else None


def run_guarded(runner: Runner, inputs: Tensors, outputs: tuple[str, ...], note: Callable[[Fault], None]) -> Tensors:
    """Run a batch; if it does not fit into memory, run its halves one after the other, once.

    Args:
        runner, inputs, outputs: see `Runner.run`.
        note: called with every fault, including those that were survived.

    Raises:
        EngineUnavailable: if the halves do not fit either, or there is only one picture.
        DeviceLost: after a sticky fault.
    """
    try:
        return _run(runner, inputs, outputs, note)
    except MemoryError:
        count = len(next(iter(inputs.values())))
        if count == 1:
            raise _too_large(inputs) from None
    halves = slice(None, count // 2), slice(count // 2, None)
    try:
        parts = [
            _run(runner, {name: array[half] for name, array in inputs.items()}, outputs, note) for half in halves
        ]
    except MemoryError:
        raise _too_large(inputs) from None
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def _run(runner: Runner, inputs: Tensors, outputs: tuple[str, ...], note: Callable[[Fault], None]) -> Tensors:
    try:
        return runner.run(inputs, outputs)
    except Exception as error:
        fault = classify(error)
        if fault is None:
            raise
        note(fault)
        raise (MemoryError if fault is Fault.OUT_OF_MEMORY else DeviceLost)(str(error)) from error


def _too_large(inputs: Tensors) -> EngineUnavailable:
    if IMAGE in inputs and len(inputs) == 1 and inputs[IMAGE].ndim == 4:
        count, height, width, _ = inputs[IMAGE].shape
        what = f"{count} picture(s) of {width} x {height} pixels"
    else:
        what = ", ".join(f"{name} of shape {list(array.shape)}" for name, array in inputs.items())
    return EngineUnavailable(f"the device has too little memory now for {what}")
