"""Checks that an exported file computes the same as its network in torch, at many sizes, alone and in a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from training.checkpoints import load_torchscript

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], Pixels]
"""uint8 [N, H, W, 3] -> uint8 [N, H, W, 3]."""

SIZES = ((64, 96), (101, 75), (16, 16), (37, 50))
"""(height, width) of the pictures that every export is measured on, alone and in batches of three."""
FULL_SIZE = (400, 600)
"""(height, width) of a picture of the LOL data set."""
LIMIT = 1
"""Largest difference to torch, in code values of 255, that may be served."""


class ParityError(ValueError):
    """An exported file differs from its network by more than `LIMIT`."""


@dataclass(frozen=True)
class Difference:
    """How far two ways to compute the same pictures lie apart.

    Attributes:
        pictures: what was shown: `scenes` or `flat` (black, grey and white).
        height, width, batch: its shape; sides in pixels.
        against: what the exported file was compared with: `torch`, or (for a batch) its own `solo` results.
        maximum: largest difference of any value, in 1/255.
        share: share of the values that differ at all.
    """

    pictures: str
    height: int
    width: int
    batch: int
    against: str
    maximum: int
    share: float

    def __str__(self) -> str:
        return (
            f"{self.maximum}/255 against {self.against} at {self.height}x{self.width}, "
            f"batch {self.batch} ({self.pictures})"
        )


@dataclass(frozen=True)
class Parity:
    """All differences of one exported file."""

    differences: tuple[Difference, ...]

    @property
    def worst(self) -> Difference:
        """The largest difference."""
        return max(self.differences, key=lambda difference: (difference.maximum, difference.share))

    def require(self, subject: str) -> None:
        """Raise ParityError, naming where, if any difference is beyond `LIMIT`."""
        if self.worst.maximum > LIMIT:
            raise ParityError(f"{subject} differs by {self.worst}; at most {LIMIT}/255 may be served")

    def as_json(self) -> list[dict[str, Any]]:
        """For `parity.json`."""
        return [asdict(difference) for difference in self.differences]

    @classmethod
    def from_json(cls, rows: Sequence[dict[str, Any]]) -> Parity:
        """From `parity.json`."""
        return cls(tuple(Difference(**row) for row in rows))


def measure(torch_run: Run, exported: Run, sizes: Sequence[tuple[int, int]] = SIZES) -> Parity:
    """Compare an exported file with torch at each (height, width): scenes and flat pictures, alone and in batches."""
    return Parity(tuple(row for size in sizes for row in _at_size(torch_run, exported, *size)))


def torch_runner(model: nn.Module) -> Run:
    """The model run by torch on the CPU, eagerly if it is a plain module."""

    def run(batch: Pixels) -> Pixels:
        with torch.inference_mode():
            answer = model(torch.from_numpy(batch))
        result: Pixels = (answer[0] if isinstance(answer, tuple) else answer).numpy()
        return result

    return run


def torchscript_runner(content: bytes) -> Run:
    """The content of a `model.pt`, run by torch on the CPU."""
    return torch_runner(load_torchscript(content))


def onnx_runner(content: bytes) -> Run:
    """The content of a `model.onnx`, run by ONNX Runtime on the CPU."""
    session = onnx_session(content)
    name = session.get_inputs()[0].name

    def run(batch: Pixels) -> Pixels:
        result: Pixels = session.run(None, {name: batch})[0]
        return result

    return run


def onnx_session(content: bytes) -> onnxruntime.InferenceSession:
    """The content of a `model.onnx` as ONNX Runtime runs it in the service, on the CPU."""
    options = onnxruntime.SessionOptions()
    # As the service does: dark pictures make many denormal numbers.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def night_scenes(height: int, width: int) -> Pixels:
    """Three different pictures uint8 [3, height, width, 3]: a dark room, a brighter one, a lamp in the black.

    They have what real pictures have: gradients, edges, colour, noise, clipped lights.
    """
    random = np.random.default_rng([height, width])
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    wall = 0.5 + 0.5 * np.sin(9 * columns + 5 * rows * rows)
    edges = ((rows * 7).astype(int) + (columns * 5).astype(int)) % 2
    tint = np.array([1.0, 0.8, 0.6])
    room = (0.15 * wall + 0.1 * edges)[..., None] * tint
    lamp = np.exp(-80 * ((rows - 0.3) ** 2 + (columns - 0.4) ** 2))[..., None] * (2 - tint)
    light = np.stack([0.5 * room, 2.5 * room, 1.4 * lamp + 0.02 * room])
    noisy = light + random.normal(0.0, 0.01, light.shape) * np.sqrt(light + 0.02)
    return np.round(255 * np.clip(noisy, 0.0, 1.0)).astype(np.uint8)


def _at_size(torch_run: Run, exported: Run, height: int, width: int) -> Iterator[Difference]:
    scenes = night_scenes(height, width)
    flat = np.stack([np.full((height, width, 3), value, np.uint8) for value in (0, 40, 255)])
    for name, batch in (("scenes", scenes), ("flat", flat)):
        together = exported(batch)
        yield _difference(name, batch, "torch", together, torch_run(batch))
        alone = np.concatenate([exported(batch[i : i + 1]) for i in range(len(batch))])
        yield _difference(name, batch, "solo", together, alone)
        yield _difference(name, batch[:1], "torch", alone[:1], torch_run(batch[:1]))


def _difference(pictures: str, batch: Pixels, against: str, one: Pixels, other: Pixels) -> Difference:
    if one.shape != batch.shape or one.dtype != np.uint8:
        raise ParityError(f"the answer to uint8 {batch.shape} is {one.dtype} {one.shape}")
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16))
    count, height, width, _ = batch.shape
    return Difference(pictures, height, width, count, against, int(apart.max()), round(float((apart > 0).mean()), 6))
