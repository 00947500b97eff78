"""Models run by TorchScript, a compatibility format. Only this module imports torch, once such a model is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from service.errors import EngineUnavailable, without_folders
from service.inference._contract import EngineInfo, Tensors
from service.repository import ConfigError, ModelConfig

Shapes = tuple[tuple[int, ...], ...]  # of all inputs, in the configuration's order

GRAPH_WARM_UP = 3  # passes before a CUDA graph is captured, as torch.cuda.graph's documentation asks


class TorchScriptRunner:
    """One scripted module on one device.

    On CUDA, parameters are in channels-last order and batches go through pinned memory. The network computes in half
    precision if the configuration's `nightlift.precision` is `fp16` (to be set only if parity allows it), and the
    shapes of the warm-up get CUDA graphs if `optimization.cuda.graphs` asks for them.

    Args:
        path: the model file.
        config: its configuration; the module takes its inputs, and returns its outputs (one, or a tuple), in the
            order given there.
        device: `cpu`, or `cuda:N`.
        threads: threads inside one pass on the CPU; torch has one number for the whole process.

    Raises:
        EngineUnavailable: if torch has no such device.
        ConfigError: if the file cannot be read, or contradicts the configuration.
    """

    def __init__(self, path: Path, config: ModelConfig, device: str, threads: int) -> None:
        if device != "cpu" and not torch.cuda.is_available():
            raise EngineUnavailable(f"{config.name} needs {device}, and torch finds no CUDA device")
        self._config = config
        self._device = torch.device(device)
        torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                # Expected: torch warns that TorchScript is deprecated; it is kept for compatibility.
                warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated", DeprecationWarning)
                self._module = torch.jit.load(str(path), map_location=self._device).eval()
        except RuntimeError as error:
            reason = without_folders(str(error)).partition("\n")[0]
            raise ConfigError(f"{config.name}: {path.name} cannot be loaded: {reason}") from error
        arguments = self._module.forward.schema.arguments[1:]  # without `self`
        needed = sum(not argument.has_default_value() for argument in arguments)
        if not needed <= len(config.inputs) <= len(arguments):
            names = [argument.name for argument in arguments]
            raise ConfigError(
                f"{config.name}: config.pbtxt declares {len(config.inputs)} inputs, and forward takes {names}"
            )
        self._half = config.precision == "fp16" and self._device.type == "cuda"
        self._graphs: dict[Shapes, _Graph] = {}
        self._graph_shapes: set[Shapes] = set()
        if self._device.type == "cuda":
            self._module = self._module.to(memory_format=torch.channels_last)
            if self._half:
                self._module = self._module.half()
            if config.cuda_graphs:
                self._graph_shapes = {tuple(tensor.shape for tensor in sample.inputs) for sample in config.warmup}
        self.info = EngineInfo("torchscript", self._device.type, device, "fp16" if self._half else "fp32")

    def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """See `Runner.run`."""
        # Tensors inside a request's body may be unaligned.
        arrays = (np.require(inputs[spec.name], requirements=["C", "A"]) for spec in self._config.inputs)
        tensors = [torch.from_numpy(array) for array in arrays]
        with torch.inference_mode():
            results = _listed(self._module(*tensors)) if self._device.type == "cpu" else self._run_on_cuda(tensors)
            if len(results) != len(self._config.outputs):
                raise ConfigError(
                    f"{self._config.name}: config.pbtxt declares {len(self._config.outputs)} outputs, and forward "
                    f"returns {len(results)}"
                )
            named = {spec.name: result for spec, result in zip(self._config.outputs, results, strict=True)}
            if self._half:  # callers expect the declared type
                named = {
                    spec.name: named[spec.name].float() if spec.datatype == "FP32" else named[spec.name]
                    for spec in self._config.outputs
                }
            return {name: named[name].cpu().contiguous().numpy() for name in outputs}

    def close(self) -> None:
        """Drop the module and release cached device memory."""
        self._graphs.clear()
        del self._module
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _run_on_cuda(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if self._half:
            tensors = [tensor.half() if tensor.dtype is torch.float32 else tensor for tensor in tensors]
        pinned = [tensor.pin_memory() for tensor in tensors]
        if shapes not in self._graph_shapes:
            return _listed(self._module(*(tensor.to(self._device, non_blocking=True) for tensor in pinned)))
        if shapes not in self._graphs:
            self._graphs[shapes] = _Graph(self._module, [tensor.to(self._device) for tensor in pinned])
        return self._graphs[shapes].run(pinned)


class _Graph:
    """A pass over one shape, captured as a CUDA graph; its tensors stay where they are."""

    def __init__(self, module: torch.jit.ScriptModule, examples: Sequence[torch.Tensor]) -> None:
        self._inputs = examples
        device = examples[0].device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(GRAPH_WARM_UP):
                module(*self._inputs)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = _listed(module(*self._inputs))

    def run(self, pinned: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        for static, given in zip(self._inputs, pinned, strict=True):
            static.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._outputs


def _listed(result: torch.Tensor | tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)
