"""ONNX Runtime on CUDA devices: provider options under Triton's names, and buffers bound to one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.inference._contract import Tensors
from service.repository import ENHANCED, ConfigError, ModelConfig

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
    """The providers asked for on `cuda:N`, first choice first, with their options.

    Raises:
        ConfigError: if a parameter has a value that Triton does not know either.
    """
    number = device.removeprefix("cuda:")
    parameters = config.parameters
    cuda = {
        "device_id": number,
        # A search over all algorithms for every new shape costs hundreds of milliseconds: heuristics unless asked.
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


class BoundShape:
    """Buffers for batches of one shape, bound once: no hidden copies, and the fixed addresses that CUDA graphs need.

    Args:
        session: the model.
        shape: [N, H, W, 3].
        outputs: names of the outputs to compute; `enhanced` has the input's shape and type.
        device: `cuda:N`, or `cpu`.
        options: run options, with the graph's id where one is to be captured.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        shape: tuple[int, ...],
        outputs: tuple[str, ...],
        device: str,
        options: ort.RunOptions,
    ) -> None:
        kind, _, number = device.partition(":")
        target = (kind, int(number or 0))
        self._session = session
        self._outputs = outputs
        self._options = options
        self._staging = _pinned(shape, target[1]) if kind == "cuda" else None
        self._input = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, *target)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, self._input)
        for name in outputs:
            if name == ENHANCED:
                value = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, *target)
                self._binding.bind_ortvalue_output(name, value)
            else:
                self._binding.bind_output(name, *target)

    def run(self, batch: NDArray[np.uint8]) -> Tensors:
        """Run a batch of this shape; the outputs by name, in memory of their own."""
        source = np.ascontiguousarray(batch)
        if self._staging is not None:
            np.copyto(self._staging, source)
            source = self._staging
        self._input.update_inplace(source)
        self._session.run_with_iobinding(self._binding, self._options)
        arrays = self._binding.copy_outputs_to_cpu()
        return {name: np.array(array) for name, array in zip(self._outputs, arrays, strict=True)}


def _pinned(shape: tuple[int, ...], number: int) -> NDArray[Any] | None:
    """Page-locked host memory for a device, or None where this ONNX Runtime offers none."""
    for device in ort.get_ep_devices():
        if device.ep_name == CUDA and int(device.ep_options.get("device_id", number)) == number:
            info = device.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if info is not None:
                value = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, memory_info=info)
                return value.numpy()
    return None
