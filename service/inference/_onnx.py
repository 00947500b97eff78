"""Models run by ONNX Runtime, on the CPU or a CUDA device; providers are verified and never silently replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.errors import EngineUnavailable
from service.inference._contract import EngineInfo, Tensors
from service.repository import ConfigError, ModelConfig

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

# Triton's values of the parameter cudnn_conv_algo_search and of arena_extend_strategy -> ONNX Runtime's words.
CONVOLUTION_SEARCH = {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"}
ARENA_STRATEGY = {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"}
OUT_OF_MEMORY = ("Failed to allocate memory", "out of memory", "OOM", "CUDA_ERROR_OUT_OF_MEMORY")


class OnnxRunner:
    """One ONNX Runtime session.

    Args:
        path: the model file.
        config: its configuration; parameters under Triton's own names are honoured.
        device: `cpu`, or `cuda:N`.
        threads: threads inside one pass on the CPU, unless the configuration sets `intra_op_thread_count`.

    Raises:
        EngineUnavailable: if the provider that the device needs is not there or does not start.
        ConfigError: if the graph and the configuration disagree about inputs and outputs.
    """

    def __init__(self, path: Path, config: ModelConfig, device: str, threads: int) -> None:
        providers = _providers(config, device)
        names = [name for name, _ in providers]
        missing = set(names) - set(ort.get_available_providers())
        if missing:
            raise EngineUnavailable(
                f"{config.name} needs {sorted(missing)}, and this ONNX Runtime has {ort.get_available_providers()}"
            )
        self._session = ort.InferenceSession(
            str(path),
            _session_options(config, threads),
            providers=[name for name, _ in providers],
            provider_options=[options for _, options in providers],
        )
        if self._session.get_providers()[: len(names)] != names:
            raise EngineUnavailable(
                f"{config.name} was asked to run on {names}, and ONNX Runtime fell back to "
                f"{self._session.get_providers()}"
            )
        _check_signature(self._session, config)
        self._input = config.inputs[0].name
        self._run_options = _run_options(config, device)
        precision = config.parameters.get("nightlift.precision", "fp32")
        self.info = EngineInfo("onnxruntime", names[0], device, precision)

    def run(self, batch: NDArray[np.uint8], outputs: tuple[str, ...]) -> Tensors:
        """See `Runner.run`; running out of memory raises MemoryError."""
        try:
            arrays = self._session.run(list(outputs), {self._input: batch}, self._run_options)
        except Exception as error:
            if any(sign in str(error) for sign in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise
        return dict(zip(outputs, arrays, strict=True))

    def close(self) -> None:
        """Drop the session, and with it its arenas."""
        del self._session


def _providers(config: ModelConfig, device: str) -> list[tuple[str, dict[str, Any]]]:
    parameters = config.parameters
    if device == "cpu":
        return [(CPU, {})]
    cuda = {
        "device_id": device.removeprefix("cuda:"),
        # A search over all algorithms for every new shape costs hundreds of milliseconds: heuristics unless asked.
        "cudnn_conv_algo_search": CONVOLUTION_SEARCH[parameters.get("cudnn_conv_algo_search", "1")],
        "arena_extend_strategy": ARENA_STRATEGY[parameters.get("arena_extend_strategy", "1")],
        "enable_cuda_graph": "1" if config.cuda_graphs else "0",
    }
    if "gpu_mem_limit" in parameters:
        cuda["gpu_mem_limit"] = parameters["gpu_mem_limit"]
    providers: list[tuple[str, dict[str, Any]]] = [(CUDA, cuda)]
    if "tensorrt" in config.accelerators:
        tensorrt = {"device_id": cuda["device_id"], **config.accelerators["tensorrt"]}
        providers.insert(0, (TENSORRT, tensorrt))
    return providers


def _session_options(config: ModelConfig, threads: int) -> ort.SessionOptions:
    parameters = config.parameters
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", threads))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 1))
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = {-1: levels.ORT_ENABLE_BASIC, 1: levels.ORT_ENABLE_EXTENDED}.get(
        config.graph_level, levels.ORT_ENABLE_ALL
    )
    if parameters.get("execution_mode") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    # Memory patterns are planned per shape and kept: with shapes of every size they only grow.
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "0") == "1"
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1") == "1"
    # Dark pictures make many denormal numbers, which are very slow on x86.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Spinning threads would take the cores that decode and encode other pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.use_device_allocator_for_initializers",
        parameters.get("session.use_device_allocator_for_initializers", "1"),
    )
    options.log_severity_level = 3
    return options


def _run_options(config: ModelConfig, device: str) -> ort.RunOptions:
    options = ort.RunOptions()
    shrink = config.parameters.get("memory.enable_memory_arena_shrinkage")
    if shrink:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", shrink)
    return options


def _check_signature(session: ort.InferenceSession, config: ModelConfig) -> None:
    graph = {node.name for node in (*session.get_inputs(), *session.get_outputs())}
    declared = {tensor.name for tensor in (*config.inputs, *config.outputs)}
    if not declared <= graph or len(session.get_inputs()) != len(config.inputs):
        raise ConfigError(f"{config.name}: config.pbtxt declares {sorted(declared)}, the graph has {sorted(graph)}")
