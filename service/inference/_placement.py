"""Which engine a model gets, on which devices: decided from its configuration, the settings and what really works."""

from __future__ import annotations

from collections.abc import Callable

import onnxruntime as ort

from service.inference._contract import Engine, Runner
from service.inference._in_process import InProcessEngine
from service.inference._onnx import CUDA, OnnxRunner
from service.repository import InstanceGroup, ModelVersion
from service.settings import Settings, available_cores


def create_engine(model: ModelVersion, settings: Settings) -> Engine:
    """Load a model; blocks, so it is called in a thread.

    Raises:
        EngineUnavailable: if the device asked for is not there or does not start.
        ConfigError: if model file and configuration disagree.
    """
    create_runner = _runner_factory(model, settings)
    return InProcessEngine([create_runner(device) for device in devices(model, settings)])


def devices(model: ModelVersion, settings: Settings) -> list[str]:
    """The device of every instance of a model, `cpu` or `cuda:N`, in the order of its instance groups."""
    return [device for group in model.config.instances for device in _group_devices(group, settings) * group.count]


def cuda_available() -> bool:
    """Whether this ONNX Runtime was built for CUDA; whether a device starts shows when a model loads."""
    return CUDA in ort.get_available_providers()


def _group_devices(group: InstanceGroup, settings: Settings) -> list[str]:
    if group.kind == "cpu" or (group.kind == "auto" and settings.device == "cpu"):
        return ["cpu"]
    if group.kind == "auto" and settings.device == "auto" and not cuda_available():
        return ["cpu"]
    if group.gpus:
        return [f"cuda:{index}" for index in group.gpus]
    return [settings.device if settings.device.startswith("cuda:") else "cuda:0"]


def _runner_factory(model: ModelVersion, settings: Settings) -> Callable[[str], Runner]:
    threads = settings.cpu_threads or available_cores()
    return lambda device: OnnxRunner(model.path, model.config, device, threads)
