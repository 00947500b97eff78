"""Models run by TorchScript, a compatibility format. Only this module imports torch, when such a model is loaded."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import EngineUnavailable, without_folders
from service.inference._contract import EngineInfo, Tensors
from service.repository import ConfigError, ModelConfig

GRAPH_WARM_UP = 3  # passes before a CUDA graph is captured, as torch.cuda.graph's documentation asks


class TorchScriptRunner:
    """One scripted module on one device.

    On CUDA, parameters lie in channels-last order, batches travel through pinned memory, the network computes in half
    precision where the configuration's `nightlift.precision` is `fp16` (to be set only where parity allows it), and
    the shapes of the warm-up get CUDA graphs where `optimization.cuda.graphs` asks for them.

    Args:
        path: the model file.
        config: its configuration; the module takes its inputs, and returns its outputs, in the order given there.
        device: `cpu`, or `cuda:N`.
        threads: threads inside one pass on the CPU; torch has one number for the whole process.

    Raises:
        EngineUnavailable: if torch has no such device.
        ConfigError: if the file cannot be read.
    """

    def __init__(self, path: Path, config: ModelConfig, device: str, threads: int) -> None:
        if device != "cpu" and not torch.cuda.is_available():
            raise EngineUnavailable(f"{config.name} needs {device}, and torch finds no CUDA device")
        self._config = config
        self._device = torch.device(device)
        torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                # Known, and meant: TorchScript is here for those who have it, ONNX is the format to prefer.
                warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
                self._module = torch.jit.load(str(path), map_location=self._device).eval()
        except RuntimeError as error:
            reason = without_folders(str(error)).partition("\n")[0]
            raise ConfigError(f"{config.name}: {path.name} cannot be loaded: {reason}") from error
        self._half = config.precision == "fp16" and self._device.type == "cuda"
        self._graphs: dict[tuple[int, ...], _Graph] = {}
        self._graph_shapes: set[tuple[int, ...]] = set()
        if self._device.type == "cuda":
            self._module = self._module.to(memory_format=torch.channels_last)
            if self._half:
                self._module = self._module.half()
            if config.cuda_graphs:
                self._graph_shapes = {(s.batch_size, s.height, s.width, 3) for s in config.warmup}
        self.info = EngineInfo("torchscript", self._device.type, device, "fp16" if self._half else "fp32")

    def run(self, batch: NDArray[np.uint8], outputs: tuple[str, ...]) -> Tensors:
        """See `Runner.run`."""
        with torch.inference_mode():
            if self._device.type == "cpu":
                results = _listed(self._module(torch.from_numpy(np.ascontiguousarray(batch))))
            else:
                results = self._run_on_cuda(batch)
            named = {tensor.name: result for tensor, result in zip(self._config.outputs, results, strict=True)}
            return {name: named[name].cpu().contiguous().numpy() for name in outputs}

    def close(self) -> None:
        """Drop the module and give cached device memory back."""
        self._graphs.clear()
        del self._module
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _run_on_cuda(self, batch: NDArray[np.uint8]) -> list[torch.Tensor]:
        pinned = torch.from_numpy(np.ascontiguousarray(batch)).pin_memory()
        if batch.shape not in self._graph_shapes:
            return _listed(self._module(pinned.to(self._device, non_blocking=True)))
        if batch.shape not in self._graphs:
            self._graphs[batch.shape] = _Graph(self._module, pinned.to(self._device))
        return self._graphs[batch.shape].run(pinned)


class _Graph:
    """A pass over one shape, captured as a CUDA graph; its tensors stay where they are."""

    def __init__(self, module: torch.jit.ScriptModule, example: torch.Tensor) -> None:
        self._input = example
        side = torch.cuda.Stream(example.device)
        side.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(side):
            for _ in range(GRAPH_WARM_UP):
                module(self._input)
        torch.cuda.current_stream(example.device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = _listed(module(self._input))

    def run(self, pinned: torch.Tensor) -> list[torch.Tensor]:
        self._input.copy_(pinned, non_blocking=True)
        self._graph.replay()
        return self._outputs


def _listed(result: torch.Tensor | tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)
