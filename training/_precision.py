"""Low-precision arithmetic inside networks, full precision everywhere else, and no numbers below its range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


class SubnormalFreePrecision(MixedPrecision):
    """Mixed precision that leaves a network's inputs as they are.

    Fabric's own class rounds them first, to 8 significant bits in bfloat16: a network that adds its input to its
    output would then return a banded picture. Convolutions round their inputs themselves.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def supported(precision: Precision, accelerator: str) -> Precision:
    """This precision, or float32 instead of bfloat16 if the processor would have to emulate that."""
    if precision == "bf16-mixed" and accelerator == "cpu":
        able = torch.cpu.get_capabilities()
        if not (able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16")):
            return "32-true"
    return precision


def make_fabric(accelerator: str, devices: int, precision: Precision) -> Fabric:
    """Fabric for so many devices, in this precision."""
    if precision == "32-true":
        return Fabric(accelerator=accelerator, devices=devices)
    return Fabric(accelerator=accelerator, devices=devices, plugins=[SubnormalFreePrecision(precision, accelerator)])


def prepare_method(fabric: Fabric, wrapped: Any, name: str, compiled: bool = False) -> None:
    """Let a method of a module that Fabric has wrapped compute as `forward` does.

    On several devices Fabric routes it through the gradient exchange. On one device Fabric would call it directly,
    without the precision; there it can be compiled.
    """
    method = getattr(wrapped.module, name)
    wrapped.mark_forward_method(name)
    if fabric.world_size == 1:
        setattr(wrapped, name, _in_precision(fabric, torch.compile(method, dynamic=False) if compiled else method))


def _in_precision(fabric: Fabric, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with fabric.autocast():
            output = method(*args, **kwargs)
        return apply_to_collection(output, Tensor, _to_float32)

    return call


def _to_float32(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Treat subnormal float32 numbers as 0 within the block, on the CPU, in this thread.

    They are slow, and weight decay turns all weights without a gradient into them: a training of Zero-DCE took
    fifteen times as long after 1,400 steps.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
