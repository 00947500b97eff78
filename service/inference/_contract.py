"""The two contracts of this package.

A *runner* is synchronous: one model on one device. An *engine* is what the queue sees: it decides
where runners live (in this process, in a child process, behind a Triton server) and answers asynchronously.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.generic]]
"""The inputs or outputs of a pass, by their names in the model's configuration; the first axis is the batch."""


@dataclass(frozen=True)
class EngineInfo:
    """What a model runs on: engine, provider and device as verified by loading, the precision as it is configured.

    Attributes:
        engine: `onnxruntime`, `torchscript` or `triton`.
        provider: `CPUExecutionProvider`, `CUDAExecutionProvider`, `TensorrtExecutionProvider` (with CUDA for the
            nodes that it does not support), `cuda`, `cpu`, or the server's address.
        device: `cpu`, `cuda:0`, ... or `remote`.
        precision: `fp32` or `fp16`.
        placement: `in process`, `child process` or `server`.
        passes: how many passes may run concurrently in one runner.
    """

    engine: str
    provider: str
    device: str
    precision: str = "fp32"
    placement: str = "in process"
    passes: int = 1

    @property
    def on_gpu(self) -> bool:
        """Whether batches run on a device that is faster with larger batches."""
        return self.device.startswith("cuda") or self.device == "remote"


class Runner(Protocol):
    """One loaded model on one device, called by as many threads at a time as `info.passes` says."""

    info: EngineInfo

    def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """Run one pass; called again with smaller batches if it runs out of memory.

        Args:
            inputs: all inputs of the model; for models of pictures `image`, UINT8 [N, H, W, 3], sRGB code values.
            outputs: names of the requested outputs.

        Returns:
            The requested outputs.
        """
        ...

    def close(self) -> None:
        """Release the model's memory."""
        ...


class Engine(Protocol):
    """A loaded model, wherever it runs."""

    info: EngineInfo

    @property
    def concurrency(self) -> int:
        """How many batches it runs at once, at least 1; fewer while devices are down."""
        ...

    @property
    def ready(self) -> bool:
        """Whether a batch sent now would run."""
        ...

    @property
    def lost(self) -> bool:
        """Whether only a restart of the service can bring it back."""
        ...

    async def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """As `Runner.run`.

        Raises:
            EngineUnavailable: if the device, process or server is down; the same batch may succeed later.
            EngineFailed: if the model failed on this batch.
        """
        ...

    async def close(self) -> None:
        """Release everything; the queue has been emptied before."""
        ...
