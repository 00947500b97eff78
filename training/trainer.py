"""The training loop: one for all procedures, on Lightning Fabric.

The output folder gets

    last.ckpt      everything that a resumed run needs; the run then repeats exactly
    best.pt        the training checkpoint with the best validation score, if the recipe validates
    final.pt       the training checkpoint of the last step
    run.json       the record of the training (`training._manifest`)
    curve.csv      the curves; tensorboard/ has them, too, with sample pictures
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from training import _compact_state
from training._ema import ModelEma
from training._holdout import Split
from training._inputs import Inputs
from training._journal import Journal, read_curve
from training._optimizers import Optimizers
from training._resume import identity, require_same
from training._running_mean import RunningMean
from training._validation import Validation
from training.checkpoints import load_checkpoint, save_checkpoint
from training.objectives import Objective, without_resources
from training.recipe import Recipe

SAVE_EVERY = 300.0
"""Longest time in seconds between saved states, even if the recipe's checkpoints are rarer."""

RESERVE = 15.0
"""Seconds of a time budget that are reserved for saving and for the results."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        checkpoint: the training checkpoint to export: the best one if the recipe validates, else the last. It exists
            once the last step is done.
        manifest: the content of `run.json`; `steps_done` of `steps` are done.
    """

    checkpoint: Path
    manifest: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return bool(self.manifest["steps_done"] == self.manifest["steps"])


@dataclass(frozen=True)
class Limits:
    """Limits after which a training stops as if it were interrupted; it can be resumed later.

    Attributes:
        steps: number of steps in all; None: the recipe's.
        deadline: by `time.monotonic()`; None: none.
        stopped: asked before each step whether it is not to be done any more.
    """

    steps: int | None = None
    deadline: float | None = None
    stopped: Callable[[], bool] = lambda: False


class Trainer:
    """Runs an objective's steps and holds their state: streams, optimisers, the average, checkpoints."""

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        objective: Objective,
        split: Split,
        out: Path,
        manifest: dict[str, Any],
        workers: int = 0,
        compact: Path | None = None,
        keep_compact: bool = False,
    ) -> None:
        """
        Args:
            fabric: devices and precision, launched.
            recipe: the checked recipe.
            objective: the procedure around a network on the CPU.
            split: samples to train on, and to validate with.
            out: existing folder for everything written.
            manifest: the content of `run.json` beside the figures of the run.
            workers: processes that prepare batches ahead.
            compact: file of the compact state to resume from; deleted when the training is done. None: none.
            keep_compact: whether to write it beside each `last.ckpt`, not only where a training is stopped.

        Raises:
            ValueError: the recipe does not fit its data, or its optimisers are not the objective's players.
        """
        self.fabric = fabric
        self.recipe = recipe
        self.objective = objective
        self.network = objective.network  # as it is before Fabric wraps it: what is validated and exported
        self.out = out
        self.manifest = manifest
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, Any] | None = None
        self.losses: dict[str, float] = {}
        self.means = RunningMean()
        self.compact = compact
        self.keep_compact = keep_compact
        self.processors: list[str] = []

        first = next(iter(split.streams))
        self.inputs = Inputs(recipe, split.streams, workers, fabric.world_size, split.hidden[first])
        self.validation = Validation(recipe, split.validation, self.inputs.fields)
        self.steps = recipe.total_steps(self.inputs.epoch)
        self.optimizers = Optimizers(fabric, recipe, objective)

    def fit(self, *, resume: bool, limits: Limits, progress: bool) -> TrainingResult:
        """Run until the last step, or as far as the limits allow, and write the results.

        Raises:
            ValueError: `last.ckpt` is of another training, a loss is not finite, or validation lacks the score that
                selects the best checkpoint.
        """
        if self.recipe.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.fabric.to_device(self.objective)
        self.average = ModelEma(self.network, self.recipe.ema) if self.recipe.ema else None
        if resume:
            self._resume()
        if self.manifest["processor"] not in self.processors:
            self.processors.append(self.manifest["processor"])
        self.optimizers.wrap()

        end = self.steps if limits.steps is None else min(limits.steps, self.steps)
        journal = Journal(self.out, self.steps, self.step, self.fabric.is_global_zero, progress)
        for note in self.objective.notes:
            journal.note(note)
        try:
            self._run(end, limits, journal)
        finally:
            journal.close()
        return self._finish()

    def _run(self, end: int, limits: Limits, journal: Journal) -> None:
        recipe = self.recipe
        rank, world = self.fabric.global_rank, self.fabric.world_size
        began = saved = time.monotonic() - self.seconds
        saved += self.seconds
        longest = 0.0
        self.objective.train()
        for batch in self.inputs.batches(range(self.step, end), rank, world):
            started = time.monotonic()
            stopped = limits.stopped()
            late = limits.deadline is not None and started + longest + RESERVE > limits.deadline
            if self._on_any_device(stopped or late):
                self._save(compact=self.keep_compact or stopped)
                break
            rates = self.optimizers.set_rates(self.step, self.steps)
            torch.manual_seed(_mixed_seed(recipe.seed, self.step, rank))
            losses = self.objective.step(self._to_device(batch), self.optimizers.update)
            if self.average is not None:
                self.average.update()
            self.means.add(losses)
            self.step += 1
            self.seconds = time.monotonic() - began
            journal.advance()

            if self._due(recipe.log_every, self.steps):
                self.losses = self.means.take()
                values = {f"train/{name}": value for name, value in self.losses.items()}
                values |= {f"lr/{name}": rate for name, rate in rates.items()}
                journal.scalars(self.step, self.seconds, values)
                self._check_finite()
            if recipe.validation and self._due(recipe.validation.every, self.steps):
                self._validate(journal)
            if self._due(recipe.preview_every, self.steps):
                with self._for_inference():
                    journal.pictures(self.step, self.objective.preview(self._to_device(self.inputs.preview)))
            if self._due(recipe.checkpoint_every, end) or time.monotonic() - saved > SAVE_EVERY:
                self._save(compact=self.keep_compact)
                saved = time.monotonic()
            # A step with a validation takes longest; until there has been one, its time is unknown.
            longest = max(longest, time.monotonic() - started)

    def _on_any_device(self, here: bool) -> bool:
        """Whether this is so on one of the devices. One that left alone would let the others wait for ever."""
        if self.fabric.world_size == 1:
            return here
        share = self.fabric.all_reduce(torch.tensor(float(here), device=self.fabric.device))
        assert isinstance(share, Tensor)
        return bool(share > 0)

    def _due(self, every: int, end: int) -> bool:
        return self.step % every == 0 or self.step == end

    def _to_device(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A batch of code values on this device, float in [0, 1]."""
        layout = torch.channels_last if self.recipe.channels_last else torch.contiguous_format
        return {
            name: value.to(self.fabric.device).to(torch.float32, memory_format=layout) / 255
            for name, value in batch.items()
        }

    def _check_finite(self) -> None:
        for name, value in self.losses.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value} before step {self.step}: the training has diverged")

    def _validate(self, journal: Journal) -> None:
        """Score the held-out samples; keep the checkpoint if it is the best so far."""
        settings = self.recipe.validation
        assert settings is not None
        with self._for_inference():
            scores = self.validation.scores(self.objective, self.network, self._to_device)
            if settings.select not in scores:
                raise ValueError(
                    f"validation gives no score {settings.select!r} to select by, only {', '.join(scores) or 'none'}"
                )
            score = scores[settings.select]
            better = self.best is None or (
                score < self.best["score"] if settings.mode == "min" else score > self.best["score"]
            )
            if better:
                self.best = {"step": self.step, "score": score, "select": settings.select}
                self._save_network("best.pt")
        journal.scalars(self.step, self.seconds, {f"validation/{name}": value for name, value in scores.items()})

    @contextmanager
    def _for_inference(self) -> Iterator[None]:
        """Within the block, the objective's network is the one to export: averaged, unwrapped, in float32."""
        wrapped = self.objective.network
        self.objective.network = self.network
        self.objective.eval()
        try:
            if self.average is None:
                yield
            else:
                with self.average.applied():
                    yield
        finally:
            self.objective.network = wrapped
            self.objective.train()

    def _save(self, compact: bool) -> None:
        """Write `last.ckpt`, and the compact state if there is to be one."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "losses": self.losses,
            "means": self.means.state_dict(),
            "processors": self.processors,
            "identity": identity(self.manifest),
            "command": self.manifest["command"],
            "objective": without_resources(self.objective.state_dict()),
            "optimizers": self.optimizers.state_dict(),
            "average": self.average.state_dict() if self.average else None,
        }
        save_checkpoint(self.out / "last.ckpt", state)
        if compact and self.compact is not None:
            best, curve = self.out / "best.pt", self.out / "curve.csv"
            weights = load_checkpoint(best)["state_dict"] if self.best is not None else None
            text = curve.read_text() if curve.is_file() else ""
            _compact_state.save_compact(self.compact, {**state, "best_weights": weights, "curve": text})

    def _resume(self) -> None:
        """Resume from the state in this folder, or from the compact state if that is ahead."""
        exact = self.out / "last.ckpt"
        state = torch.load(exact, map_location="cpu", weights_only=True) if exact.is_file() else None
        if self.compact is not None and self.compact.is_file():
            compact = _compact_state.load_compact(self.compact)
            if state is None or state["step"] < compact["step"]:
                self._restore(self.compact, compact)
                (self.out / "curve.csv").write_text(compact["curve"])
                if compact["best_weights"] is not None and self.fabric.is_global_zero:
                    save_checkpoint(self.out / "best.pt", self._checkpoint(compact["best_weights"]))
                return
        if state is not None:
            self._restore(exact, state)

    def _restore(self, path: Path, state: dict[str, Any]) -> None:
        if self.manifest["began_with"] is None and "identity" in state:  # then the command does not say so either
            self.manifest |= {"began_with": state["identity"]["began_with"], "command": state["command"]}
        try:
            require_same(state.get("identity"), identity(self.manifest))
            known = without_resources(self.objective.state_dict())
            if known.keys() != state["objective"].keys():
                raise ValueError("its weights have other names")
            self.objective.load_state_dict(state["objective"], strict=False)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{path} cannot be resumed; choose another folder, or start over: {error}") from error
        self.optimizers.load_state_dict(state["optimizers"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.best = state["best"]
        self.losses = state["losses"]
        self.processors = list(state.get("processors", ()))
        self.means.load_state_dict(state["means"])

    def _save_network(self, name: str) -> None:
        """Write a training checkpoint with the network's present weights."""
        if self.fabric.is_global_zero:
            weights = {key: value.detach().cpu().contiguous() for key, value in self.network.state_dict().items()}
            save_checkpoint(self.out / name, self._checkpoint(weights))

    def _checkpoint(self, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        manifest = {
            **self.manifest,
            "steps": self.steps,
            "steps_done": self.step,
            "seconds": round(self.seconds, 1),
            "processors": self.processors,
            "final_losses": self.losses,
            "best": self.best,
        }
        return {
            "network": self.recipe.network,
            "options": self.recipe.options,
            "state_dict": dict(weights),
            "manifest": manifest,
        }

    def _finish(self) -> TrainingResult:
        """Write the final results and the manifest."""
        curve = [list(point) for point in read_curve(self.out / "curve.csv").get("train/loss", [])]
        complete = self._checkpoint({})["manifest"] | {"curve": curve}
        best, final = self.out / "best.pt", self.out / "final.pt"
        if self.fabric.is_global_zero:
            if self.step == self.steps:
                with self._for_inference():
                    self._save_network("final.pt")
                save_checkpoint(final, load_checkpoint(final) | {"manifest": complete})
                if self.compact is not None:
                    self.compact.unlink(missing_ok=True)
            if best.is_file() and self.best is not None:
                save_checkpoint(best, load_checkpoint(best) | {"manifest": complete})
            (self.out / "run.json").write_text(json.dumps(complete, indent=2) + "\n")
        self.fabric.barrier()
        return TrainingResult(best if self.recipe.validation else final, complete)


def _mixed_seed(seed: int, step: int, rank: int) -> int:
    """A seed of its own for each step and device, far from its neighbours."""
    return (seed * 1_000_003 + step * 8_191 + rank * 131_071 + 17) * 2_654_435_761 % 2**63
