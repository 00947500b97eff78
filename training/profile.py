"""Where a training's time goes: `python -m training.profile RECIPE --data FOLDER [--steps 20]`.

A row of Markdown: seconds per step, and the shares of waiting for data, the network's forward pass, the losses, the
backward pass, and the optimiser; then the operations of the network's matrix products and convolutions, forward and
backward, and their speed relative to this machine's for large matrices in the same precision and run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from training._memory import keep_freed_memory
from training._train import data_folders, train
from training.trainer import Limits, Trainer, TrainingResult

WARM_UP = 8
"""Warm-up steps, which are not measured: memory is mapped, pictures are decoded, graphs are compiled."""

MATRIX = 2048
"""Side of the matrices by which the machine's speed is measured."""

HEADER = (
    "| recipe | s a step | data | network forward | losses | back | optimiser | GFLOP a step | of the peak |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


class _Stopwatch:
    """Seconds by name, once it runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.runs = False

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self.runs:
            self.seconds[name] += time.perf_counter() - began

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.measure(name):
                return function(*args, **kwargs)

        return call


class _MeasuredTrainer(Trainer):
    """A trainer under a stopwatch."""

    watch: _Stopwatch
    counted = 0
    flops = 0.0
    total = 0.0

    def _run(self, end: int, limits: Limits, journal: Any) -> None:
        network = self.objective.network
        for method in self.optimizers.players["network"].methods or ("forward",):
            setattr(network, method, self.watch.wrap("forward", getattr(network, method)))
        self.fabric.backward = self.watch.wrap("back", self.fabric.backward)  # type: ignore[method-assign]
        update = self.watch.wrap("update", self.optimizers.update)
        batches = self.inputs.batches(range(end), 0, 1)
        self.objective.train()
        for step in range(end):
            if step == WARM_UP:
                self.watch.runs = True
                began = time.perf_counter()
            with self.watch.measure("data"):
                batch = next(batches)
            torch.manual_seed(step)
            if step == WARM_UP - 1 and not self.recipe.compile:
                with FlopCounterMode(display=False) as counter:
                    self.objective.step(self._to_device(batch), update)
                self.flops = counter.get_total_flops()
            else:
                self.objective.step(self._to_device(batch), update)
            with self.watch.measure("update"):
                if self.average is not None:
                    self.average.update()
        self.total = time.perf_counter() - began
        self.counted = end - WARM_UP

    def _finish(self) -> TrainingResult:
        return TrainingResult(self.out, {"steps_done": 0, "steps": self.steps})

    def row(self, name: str) -> str:
        """The row of the table."""
        parts, steps = self.watch.seconds, self.counted
        back, update = parts["back"], parts["update"] - parts["back"]
        losses = self.total - parts["data"] - parts["forward"] - back - update
        shares = [parts["data"], parts["forward"], losses, back, update]
        cells = " | ".join(f"{100 * part / self.total:.0f} %" for part in shares)
        precision = torch.bfloat16 if self.recipe.precision == "bf16-mixed" else torch.float32
        speed = self.flops * steps / self.total
        work = f"{self.flops / 1e9:.1f} | {100 * speed / peak(precision):.1f} %" if self.flops else "| "
        return f"| `{name}` | {self.total / steps:.3f} | {cells} | {work} |"


def peak(precision: torch.dtype) -> float:
    """Operations a second of a product of large matrices, two for each multiplication; the best of five."""
    one, other = torch.randn(2, MATRIX, MATRIX).to(precision).unbind()
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        torch.matmul(one, other)
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds[1:])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.profile", description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="name of a recipe, or a file")
    parser.add_argument("--data", action="append", required=True, help="FOLDER, or STREAM=FOLDER, repeated")
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured, after some to warm up")
    parser.add_argument("--start-from", type=Path, help="checkpoint, where the recipe wants one")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare samples")
    arguments = parser.parse_args()
    keep_freed_memory()
    measured: list[_MeasuredTrainer] = []

    def build(*args: Any) -> _MeasuredTrainer:
        trainer = _MeasuredTrainer(*args)
        trainer.watch = _Stopwatch()
        measured.append(trainer)
        return trainer

    with tempfile.TemporaryDirectory() as folder:
        train(
            arguments.recipe,
            data_folders(arguments.data),
            Path(folder) / "profile",
            stop_after=WARM_UP + arguments.steps,
            workers=arguments.workers,
            start_from=arguments.start_from,
            resume=False,
            progress=False,
            trainer_type=build,
        )
    print(f"{HEADER}\n{measured[0].row(Path(arguments.recipe).stem)}")


if __name__ == "__main__":
    main()
