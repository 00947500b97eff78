"""Which words mean which fault, and what is tried when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import EngineUnavailable
from service.inference import ENHANCED, IMAGE, Fault, classify
from service.inference._faults import DeviceLost, run_guarded
from tests.service.inference.runners import ScriptedRunner, picture

SAYINGS = {
    # ONNX Runtime
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=h": Fault.DEVICE_LOST,
    "CUDA failure 719: unspecified launch failure ; GPU=0": Fault.DEVICE_LOST,
    "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0 ; expr=cudnnConvolutionForward": Fault.DEVICE_LOST,
    "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED": Fault.DEVICE_LOST,
    "CUDA failure 2: out of memory ; GPU=0": Fault.OUT_OF_MEMORY,
    "BFCArena: Failed to allocate memory for requested buffer of size 5368709120": Fault.OUT_OF_MEMORY,
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED": Fault.OUT_OF_MEMORY,
    "bad allocation": Fault.OUT_OF_MEMORY,
    # torch
    "CUDA error: device-side assert triggered": Fault.DEVICE_LOST,
    "CUDA error: an illegal memory access was encountered": Fault.DEVICE_LOST,
    "CUDA error: uncorrectable ECC error encountered": Fault.DEVICE_LOST,
    "CUDA out of memory. Tried to allocate 2.00 GiB": Fault.OUT_OF_MEMORY,
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes": Fault.OUT_OF_MEMORY,
    # neither
    "Non-zero status code returned while running Conv node": None,
    "Got invalid dimensions for input: image": None,
    "CUDA failure 7000: no such thing": None,
    "CUDA failure 1: invalid argument": None,
}


@pytest.mark.parametrize(("saying", "fault"), SAYINGS.items())
def test_classification(saying: str, fault: Fault | None) -> None:
    assert classify(RuntimeError(saying)) is fault


def test_memory_errors_need_no_words() -> None:
    assert classify(MemoryError()) is Fault.OUT_OF_MEMORY


def fits(most: int):
    """A runner's answer that has memory for `most` pictures at once."""

    def answer(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if len(batch) > most:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")
        return np.invert(batch)

    return answer


def test_a_batch_that_does_not_fit_is_halved() -> None:
    noted: list[Fault] = []
    runner = ScriptedRunner(fits(3))
    batch = np.concatenate([picture(value) for value in range(5)])
    tensors = run_guarded(runner, {IMAGE: batch}, (ENHANCED,), noted.append)
    np.testing.assert_array_equal(tensors[ENHANCED], np.invert(batch))
    assert runner.sizes == [5, 2, 3]
    assert noted == [Fault.OUT_OF_MEMORY]


def test_it_is_halved_only_once() -> None:
    noted: list[Fault] = []
    runner = ScriptedRunner(fits(1))
    with pytest.raises(EngineUnavailable, match="24 x 16"):
        run_guarded(runner, {IMAGE: np.concatenate([picture(0)] * 4)}, (ENHANCED,), noted.append)
    assert runner.sizes == [4, 2]
    assert noted == [Fault.OUT_OF_MEMORY] * 2


def test_one_picture_cannot_be_halved() -> None:
    runner = ScriptedRunner(fits(0))
    with pytest.raises(EngineUnavailable):
        run_guarded(runner, {IMAGE: picture(0)}, (ENHANCED,), lambda fault: None)
    assert runner.sizes == [1]


def test_a_lost_device_is_not_tried_again() -> None:
    def answer(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    noted: list[Fault] = []
    runner = ScriptedRunner(answer)
    with pytest.raises(DeviceLost):
        run_guarded(runner, {IMAGE: picture(0)}, (ENHANCED,), noted.append)
    assert runner.sizes == [1]
    assert noted == [Fault.DEVICE_LOST]


def test_other_errors_pass_as_they_are() -> None:
    def answer(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_guarded(ScriptedRunner(answer), {IMAGE: picture(0)}, (ENHANCED,), lambda fault: None)
