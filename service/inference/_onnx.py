"""Models run by ONNX Runtime, on the CPU or a CUDA device; providers are verified and never silently replaced."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime as ort

from service.contract import pixels_of
from service.errors import EngineUnavailable, without_folders
from service.inference._contract import EngineInfo, Tensors
from service.inference._onnx_cuda import BoundShape, BufferSpec, provider_options
from service.repository import ENHANCED, IMAGE, ConfigError, ModelConfig, TensorSpec, WarmupSample

ort.disable_telemetry_events()  # some builds of ONNX Runtime send usage data

CPU = "CPUExecutionProvider"
LARGE_PASS_PIXELS = 1_000_000
"""Pixels of a CPU pass above which its memory is released afterwards: the arena would keep the largest amount that
any pass has needed, up to 700 bytes a pixel. Proxies, and most whole passes, are far smaller."""

SHAPES_KEPT = 16  # sets of bound buffers without a CUDA graph; the least recently used is dropped
NO_GRAPH = "-1"
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of all inputs by name, in the configuration's order
GRAPH_TYPES = {
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(double)": "FP64",
    "tensor(bool)": "BOOL",
    **{f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""ONNX Runtime's name of a type -> that of configurations."""


class OnnxRunner:
    """A model in ONNX Runtime.

    On the CPU a single pass uses all threads; concurrent passes share them, each with a session of fewer threads,
    because several passes with one thread each have more throughput than passes with all threads one after the other.

    Args:
        path: the model file.
        config: its configuration; Triton's own parameters are honoured. With `intra_op_thread_count` or several
            instances, just those are used, with one pass at a time in each.
        device: `cpu`, or `cuda:N`.
        threads: threads of all CPU passes together.

    Raises:
        EngineUnavailable: if the provider that the device needs is missing or does not start.
        ConfigError: if the file cannot be read, or contradicts the configuration.
    """

    def __init__(self, path: Path, config: ModelConfig, device: str, threads: int) -> None:
        providers = [(CPU, {})] if device == "cpu" else provider_options(config, device)
        self._config = config
        self._device = device
        self._shares = pass_widths(threads) if device == "cpu" and _may_share(config) else (threads,)
        self._sessions = {
            share: _open(path, config, _session_options(config, share), providers) for share in self._shares
        }
        self._session = self._sessions[self._shares[0]]
        _check_signature(self._session, config)
        self._running = 0
        self._counting = Lock()
        self._bound: OrderedDict[tuple[Shapes, tuple[str, ...]], BoundShape] = OrderedDict()
        self._graphs = {_shapes_of(sample) for sample in config.warmup} if config.cuda_graphs else set()
        self._graph_ids = count(1)  # unique: ONNX Runtime keeps graphs by their id
        passes = threads if len(self._shares) > 1 else 1
        self.info = EngineInfo("onnxruntime", providers[0][0], device, config.precision, passes=passes)

    def run(self, inputs: Tensors, outputs: tuple[str, ...]) -> Tensors:
        """See `Runner.run`."""
        if self._device != "cpu":
            shapes = tuple((spec.name, inputs[spec.name].shape) for spec in self._config.inputs)
            return self._bind(shapes, outputs).run(inputs)
        # Tensors inside a request's body may be unaligned.
        aligned = {name: np.require(array, requirements=["C", "A"]) for name, array in inputs.items()}
        with self._share() as session:
            arrays = session.run(outputs, aligned, self._run_options(inputs))
        return dict(zip(outputs, arrays, strict=True))

    def close(self) -> None:
        """Drop the sessions."""
        self._bound.clear()
        del self._session
        self._sessions.clear()

    @contextmanager
    def _share(self) -> Iterator[ort.InferenceSession]:
        """The session for one more pass beside the running ones."""
        with self._counting:
            self._running += 1
            share = share_of(self._shares, self._running)
        try:
            yield self._sessions[share]
        finally:
            with self._counting:
                self._running -= 1

    def _bind(self, shapes: Shapes, outputs: tuple[str, ...]) -> BoundShape:
        key = (shapes, outputs)
        if key not in self._bound:
            loose = [bound for bound in self._bound if bound[0] not in self._graphs]
            if len(loose) >= SHAPES_KEPT:
                del self._bound[loose[0]]
            options = self._run_options()
            if self._config.cuda_graphs:
                # Graphs hold memory for ever, so only the shapes of the warm-up get one; -1 runs without.
                graph = str(next(self._graph_ids)) if shapes in self._graphs else NO_GRAPH
                options.add_run_config_entry("gpu_graph_id", graph)
            dtypes = {spec.name: spec.dtype for spec in self._config.inputs}
            buffers = {name: BufferSpec(shape, dtypes[name]) for name, shape in shapes}
            # The size of other outputs is known only after the pass.
            known = {ENHANCED: buffers[IMAGE]} if self._config.takes_pictures else {}
            self._bound[key] = BoundShape(self._session, buffers, outputs, known, self._device, options)
        self._bound.move_to_end(key)
        return self._bound[key]

    def _run_options(self, inputs: Tensors | None = None) -> ort.RunOptions:
        """Run options of a pass; for CPU passes they depend on the inputs."""
        options = ort.RunOptions()
        parameters = self._config.parameters
        shrink = parameters.get("memory.enable_memory_arena_shrinkage")
        if shrink is None and inputs is not None and _pixels(inputs) > LARGE_PASS_PIXELS:
            shrink = "cpu:0" if parameters.get("enable_mem_arena", "1") == "1" else None
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", shrink)
        return options


def pass_widths(threads: int) -> tuple[int, ...]:
    """Threads a pass may get, widest first: all of them, half, and so on down to one."""
    widths = [threads]
    while widths[-1] > 1:
        widths.append(widths[-1] // 2)
    return tuple(widths)


def share_of(widths: tuple[int, ...], running: int) -> int:
    """Threads for a pass beside `running - 1` others: the largest width that all of them can have."""
    return next((width for width in widths if width * running <= widths[0]), widths[-1])


def _may_share(config: ModelConfig) -> bool:
    return "intra_op_thread_count" not in config.parameters and sum(group.count for group in config.instances) == 1


def _open(
    path: Path, config: ModelConfig, options: ort.SessionOptions, providers: list[tuple[str, dict[str, str]]]
) -> ort.InferenceSession:
    names = [name for name, _ in providers]
    if missing := set(names) - set(ort.get_available_providers()):
        raise EngineUnavailable(
            f"{config.name} needs {sorted(missing)}, and this ONNX Runtime has {ort.get_available_providers()}"
        )
    try:
        session = ort.InferenceSession(
            str(path), options, providers=names, provider_options=[options for _, options in providers]
        )
    except Exception as error:
        reason = without_folders(str(error))
        if names[0] == CPU:
            raise ConfigError(f"{config.name}: {path.name} cannot be loaded: {reason}") from error
        raise EngineUnavailable(f"{config.name} does not start on {names[0]}: {reason}") from error
    if session.get_providers()[: len(names)] != names:
        raise EngineUnavailable(
            f"{config.name} was asked to run on {names}, and ONNX Runtime fell back to {session.get_providers()}"
        )
    return session


def _session_options(config: ModelConfig, threads: int) -> ort.SessionOptions:
    parameters = config.parameters
    options = ort.SessionOptions()
    options.intra_op_num_threads = _whole(config, "intra_op_thread_count", threads)
    options.inter_op_num_threads = _whole(config, "inter_op_thread_count", 1)
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = {-1: levels.ORT_ENABLE_BASIC, 1: levels.ORT_ENABLE_EXTENDED}.get(
        config.graph_level, levels.ORT_ENABLE_ALL
    )
    if parameters.get("execution_mode") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    # Memory patterns are planned and kept per shape, so with arbitrary shapes they only grow.
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "0") == "1"
    options.enable_cpu_mem_arena = parameters.get("enable_mem_arena", "1") == "1"
    # Dark pictures make many denormal numbers, which are very slow on x86.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Spinning threads would take cores from decoding and encoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.use_device_allocator_for_initializers",
        parameters.get("session.use_device_allocator_for_initializers", "1"),
    )
    if options.enable_cpu_mem_arena:
        _share_one_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = 3
    return options


@cache
def _share_one_arena() -> None:
    """Use one CPU arena for all sessions of this process: separate ones would each keep their largest pass for
    ever."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, None)


def _whole(config: ModelConfig, name: str, default: int) -> int:
    text = config.parameters.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"{config.name}: parameter {name} is {text!r}; it must be a whole number")
    return int(text)


def _pixels(inputs: Tensors) -> int:
    """Pixels of a whole batch; see `pixels_of`."""
    return len(next(iter(inputs.values()))) * pixels_of(array.shape[1:] for array in inputs.values())


def _shapes_of(sample: WarmupSample) -> Shapes:
    return tuple((tensor.name, tensor.shape) for tensor in sample.inputs)


def _check_signature(session: ort.InferenceSession, config: ModelConfig) -> None:
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    for kind, declared, graph in (("inputs", config.inputs, inputs), ("outputs", config.outputs, outputs)):
        names = {tensor.name for tensor in declared}
        if not names <= graph.keys() or (kind == "inputs" and names != graph.keys()):
            raise ConfigError(
                f"{config.name}: config.pbtxt declares the {kind} {sorted(names)}, the graph has {sorted(graph)}"
            )
        for tensor in declared:
            _check_tensor(tensor, graph[tensor.name], config, is_input=kind == "inputs")


def _check_tensor(tensor: TensorSpec, node: ort.NodeArg, config: ModelConfig, *, is_input: bool) -> None:
    shape = [side if isinstance(side, int) else -1 for side in node.shape]  # free sides have names, or None
    expected = config.wire_shape(tensor)
    agrees = len(shape) == len(expected) and all(
        -1 in (ours, theirs) or ours == theirs for ours, theirs in zip(expected, shape, strict=True)
    )
    if agrees and is_input:  # an axis that is free for clients must be free in the graph
        agrees = all(theirs == -1 for ours, theirs in zip(expected[1:], shape[1:], strict=True) if ours == -1)
    if GRAPH_TYPES.get(node.type) != tensor.datatype or not agrees:
        raise ConfigError(
            f"{config.name}: config.pbtxt declares {tensor.name} as {tensor.datatype} {list(expected)}, the graph as "
            f"{GRAPH_TYPES.get(node.type, node.type)} {shape}"
        )
