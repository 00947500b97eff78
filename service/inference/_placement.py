"""Which engine a model gets, on which devices: decided by its configuration, the settings and the hardware."""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import runpy
from functools import cache, partial
from pathlib import Path

import onnxruntime as ort

from service.inference._contract import Engine
from service.inference._in_process import InProcessEngine
from service.inference._onnx_cuda import CUDA
from service.inference._runners import open_runner
from service.inference._supervisor import ChildProcessEngine, DeviceSupervisor, Hosted
from service.inference._threads import RunnerThreads
from service.inference._triton import TritonEngine, TritonServer
from service.repository import InstanceGroup, ModelVersion
from service.settings import Settings, available_cores
from service.telemetry import Metrics


class Engines:
    """Makes engines, and owns the child process of each device and the connection to Triton, which they share."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._threads = settings.cpu_threads or available_cores()
        self._supervisors: dict[str, DeviceSupervisor] = {}
        self._triton: TritonServer | None = None

    async def create(self, model: ModelVersion) -> Engine:
        """Load and warm a model.

        Raises:
            EngineUnavailable: if the requested device is missing or does not start.
            ConfigError: if the model file cannot be read, or contradicts its configuration.
        """
        if self._settings.engine == "triton":
            if self._triton is None:
                self._triton = TritonServer(self._settings.triton_url, self._metrics)
            return await TritonEngine.connect(self._triton, model, self._settings.inference_timeout)
        chosen = await asyncio.to_thread(devices, model, self._settings)  # the first one starts CUDA's driver
        if isolated(chosen, self._settings):
            return await self._in_child_processes(model, chosen)
        return await self._in_process(model, chosen)

    async def close(self) -> None:
        """Release shared resources; every engine has been closed before."""
        if self._triton is not None:
            await self._triton.close()

    def worker_pids(self) -> dict[str, int]:
        """Process id of the child process of each device that has one now."""
        return {device: pid for device, one in self._supervisors.items() if (pid := one.pid) is not None}

    async def _in_process(self, model: ModelVersion, chosen: list[str]) -> Engine:
        runners = []
        thread = RunnerThreads(f"loader-{model.name}")  # not asyncio's: a warm-up may hang
        try:
            for device in chosen:
                opened = thread.submit(partial(open_runner, model, device, self._threads))
                runners.append(await asyncio.wrap_future(opened))
        except BaseException:
            for runner in runners:
                runner.close()
            raise
        finally:
            thread.stop(0)
        return InProcessEngine(runners, self._settings.inference_timeout, self._metrics)

    async def _in_child_processes(self, model: ModelVersion, chosen: list[str]) -> Engine:
        instances: list[tuple[DeviceSupervisor, Hosted]] = []
        try:
            for device in chosen:
                supervisor = self._supervisors.setdefault(
                    device,
                    DeviceSupervisor(device, self._threads, self._settings.inference_timeout, self._metrics),
                )
                instances.append((supervisor, await supervisor.host(model)))
        except BaseException:
            for supervisor, hosted in instances:
                await supervisor.release(hosted)
            raise
        return ChildProcessEngine(instances)


def devices(model: ModelVersion, settings: Settings) -> list[str]:
    """The device of every instance of a model, `cpu` or `cuda:N`, in the order of its instance groups."""
    backend = model.config.backend
    return [
        device
        for group in model.config.instances
        for device in _group_devices(group, backend, settings) * group.count
    ]


def isolated(chosen: list[str], settings: Settings) -> bool:
    """Whether a model on these devices runs in child processes: a CUDA fault would take this process with it."""
    if settings.engine_isolation == "auto":
        return any(device.startswith("cuda") for device in chosen)
    return settings.engine_isolation == "process"


@cache
def cuda_devices() -> int:
    """Number of CUDA devices that the driver reports; 0 without a driver. No context is opened on them."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_available(backend: str = "onnxruntime") -> bool:
    """Whether there is a CUDA device, and the backend's runtime was built for it; loading shows whether it starts."""
    if not cuda_devices():
        return False
    if backend == "pytorch":
        torch = importlib.util.find_spec("torch")
        if torch is None or torch.origin is None:
            return False
        # Its version alone: all of torch takes seconds and much memory, and may be wanted in another process only.
        return runpy.run_path(str(Path(torch.origin).with_name("version.py")))["cuda"] is not None
    return CUDA in ort.get_available_providers()


def _group_devices(group: InstanceGroup, backend: str, settings: Settings) -> list[str]:
    if group.kind == "cpu":
        return ["cpu"]
    if group.kind == "auto":
        if settings.device == "cpu" or (settings.device == "auto" and not cuda_available(backend)):
            return ["cpu"]
        if settings.device.startswith("cuda:"):
            return [settings.device]
    # As in Triton, a group that names no GPU has its instances on every GPU.
    return [f"cuda:{index}" for index in group.gpus or range(max(1, cuda_devices()))]
