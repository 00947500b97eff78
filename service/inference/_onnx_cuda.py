"""ONNX Runtime on CUDA devices: provider options under Triton's names, and buffers bound to one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.inference._contract import Tensors
from service.repository import ConfigError, ModelConfig

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"

# Triton's values of the parameters cudnn_conv_algo_search and arena_extend_strategy -> ONNX Runtime's words.
CONVOLUTION_SEARCH = {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"}
ARENA_STRATEGY = {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"}

# Triton's precision_mode of the TensorRT accelerator -> ONNX Runtime's switches.
PRECISION_MODE: Mapping[str, Mapping[str, str]] = {
    "FP32": {},
    "FP16": {"trt_fp16_enable": "True"},
    "INT8": {"trt_int8_enable": "True"},
}


def provider_options(config: ModelConfig, device: str) -> list[tuple[str, dict[str, str]]]:
    """The providers to use on `cuda:N`, first choice first, with their options.

    Raises:
        ConfigError: if a parameter has a value that Triton does not accept either.
    """
    number = device.removeprefix("cuda:")
    parameters = config.parameters
    cuda = {
        "device_id": number,
        # Searching all algorithms takes hundreds of milliseconds for every new shape, so heuristics are the default.
        "cudnn_conv_algo_search": _translate(parameters, "cudnn_conv_algo_search", CONVOLUTION_SEARCH, "1"),
        "arena_extend_strategy": _translate(parameters, "arena_extend_strategy", ARENA_STRATEGY, "1"),
        "enable_cuda_graph": "1" if config.cuda_graphs else "0",
    }
    if "gpu_mem_limit" in parameters:
        cuda["gpu_mem_limit"] = parameters["gpu_mem_limit"]
    providers = [(CUDA, cuda)]
    if "tensorrt" in config.accelerators:
        providers.insert(0, (TENSORRT, {"device_id": number, **_tensorrt_options(config.accelerators["tensorrt"])}))
    return providers


def _tensorrt_options(given: Mapping[str, str]) -> dict[str, str]:
    options = {name: value for name, value in given.items() if name.startswith("trt_")}
    options.update(
        PRECISION_MODE[_translate(given, "precision_mode", {mode: mode for mode in PRECISION_MODE}, "FP32")]
    )
    if "max_workspace_size_bytes" in given:
        options["trt_max_workspace_size"] = given["max_workspace_size_bytes"]
    return options


def _translate(parameters: Mapping[str, str], name: str, table: Mapping[str, str], default: str) -> str:
    value = parameters.get(name, default)
    if value not in table:
        raise ConfigError(f"parameter {name} is {value!r}; allowed are {sorted(table)}")
    return table[value]


@dataclass(frozen=True)
class BufferSpec:
    """Shape and type of the buffer for one tensor of a batch."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class BoundShape:
    """Buffers for batches of one shape, bound once: no hidden copies, and the fixed addresses that CUDA graphs need.

    Args:
        session: the model.
        inputs: name -> buffer of every input.
        outputs: names of the outputs to compute.
        known: name -> buffer of the outputs whose size is known in advance.
        device: `cuda:N`, or `cpu`.
        options: run options, with the graph's id where one is to be captured.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Mapping[str, BufferSpec],
        outputs: tuple[str, ...],
        known: Mapping[str, BufferSpec],
        device: str,
        options: ort.RunOptions,
    ) -> None:
        kind, _, number = device.partition(":")
        target = (kind, int(number or 0))
        self._session = session
        self._outputs = outputs
        self._options = options
        self._staging = {name: _pinned(spec, target[1]) if kind == "cuda" else None for name, spec in inputs.items()}
        self._inputs = {name: _on(target, spec) for name, spec in inputs.items()}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name in outputs:
            if name in known:
                self._binding.bind_ortvalue_output(name, _on(target, known[name]))
            else:
                self._binding.bind_output(name, *target)

    def run(self, inputs: Tensors) -> Tensors:
        """Run a batch of these shapes; the outputs by name, in memory of their own."""
        for name, value in self._inputs.items():
            source, staging = np.ascontiguousarray(inputs[name]), self._staging[name]
            if staging is not None:
                np.copyto(staging, source)
                source = staging
            value.update_inplace(source)
        self._session.run_with_iobinding(self._binding, self._options)
        arrays = self._binding.copy_outputs_to_cpu()
        return {name: np.array(array) for name, array in zip(self._outputs, arrays, strict=True)}


def _on(target: tuple[str, int], spec: BufferSpec) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_shape_and_type(spec.shape, spec.dtype.type, *target)


def _pinned(spec: BufferSpec, number: int) -> NDArray[Any] | None:
    """Page-locked host memory for a device, or None if this ONNX Runtime offers none."""
    for device in ort.get_ep_devices():
        if device.ep_name == CUDA and int(device.ep_options.get("device_id", number)) == number:
            info = device.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if info is not None:
                value = ort.OrtValue.ortvalue_from_shape_and_type(spec.shape, spec.dtype.type, memory_info=info)
                return value.numpy()
    return None
