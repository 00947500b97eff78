"""Opening one model on one device, ready to be called: the same in this process and in a child process."""

from __future__ import annotations

import numpy as np

from service.errors import EngineUnavailable
from service.inference._contract import Runner, Tensors
from service.inference._samples import made_up, of_warmup
from service.repository import ConfigError, ModelConfig, ModelVersion, fits

SMALL_SIDE = 64  # size of free axes, such as sides of pictures, if the configuration has no warm-up


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
    """Run the configuration's warm-up samples, or one small picture: a model that cannot run must not become ready.

    Raises:
        ConfigError: if an output differs from the configuration.
    """
    random = np.random.default_rng(0)
    outputs = tuple(tensor.name for tensor in config.outputs)
    batches = [(sample.count, of_warmup(sample, config, random)) for sample in config.warmup]
    for count, inputs in batches or [(1, made_up(config, SMALL_SIDE, random))]:
        for _ in range(count):
            _check_outputs(runner.run(inputs, outputs), len(next(iter(inputs.values()))), config)


def _check_outputs(outputs: Tensors, count: int, config: ModelConfig) -> None:
    for spec in config.outputs:
        array, expected = outputs[spec.name], config.wire_shape(spec)
        if array.dtype != spec.dtype or not fits(array.shape, expected) or array.shape[0] != count:
            raise ConfigError(
                f"{config.name}: output {spec.name!r} is {array.dtype} {list(array.shape)} for a batch of {count}; "
                f"config.pbtxt declares {spec.datatype} {list(expected)}, whose first axis is the batch"
            )
