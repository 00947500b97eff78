"""Opening one model on one device, ready to be called: the same in this process and in a child process."""

from __future__ import annotations

import numpy as np

from service.errors import EngineUnavailable
from service.inference._contract import Runner
from service.repository import ModelConfig, ModelVersion

SMALL_SIDE = 64  # sides in pixels of the picture that is tried where the configuration names no warm-up


def open_runner(model: ModelVersion, device: str, threads: int) -> Runner:
    """Load a model onto a device and warm it; blocks for as long as that takes.

    Args:
        model: what to load.
        device: `cpu` or `cuda:N`.
        threads: threads inside one pass on the CPU, unless the configuration sets its own number.

    Raises:
        EngineUnavailable: if the device does not start, or the runtime is not installed.
        ConfigError: if the model file cannot be read, or contradicts its configuration.
    """
    runner = _create(model, device, threads)
    try:
        _warm(runner, model.config)
    except BaseException:
        runner.close()
        raise
    return runner


def _create(model: ModelVersion, device: str, threads: int) -> Runner:
    if model.config.backend == "pytorch":
        try:
            from service.inference._torchscript import TorchScriptRunner
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"{model.name} is a TorchScript model, and {error.name} is not installed; serve its ONNX variant, or "
                f"pip install torch"
            ) from None
        return TorchScriptRunner(model.path, model.config, device, threads)
    from service.inference._onnx import OnnxRunner

    return OnnxRunner(model.path, model.config, device, threads)


def _warm(runner: Runner, config: ModelConfig) -> None:
    """Run the configuration's warm-up samples, or one small picture: what cannot run must not become ready."""
    random = np.random.default_rng(0)
    outputs = tuple(tensor.name for tensor in config.outputs)
    samples = [
        (sample.count, (sample.batch_size, sample.height, sample.width, 3), sample.random) for sample in config.warmup
    ]
    for count, shape, is_random in samples or [(1, (1, SMALL_SIDE, SMALL_SIDE, 3), True)]:
        batch = random.integers(0, 256, shape, np.uint8) if is_random else np.zeros(shape, np.uint8)
        for _ in range(count):
            runner.run(batch, outputs)
