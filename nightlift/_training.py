"""`nightlift train`: one training or a queue of them, with a report at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from training import (
    MAX_UNFINISHED_BYTES,
    UNFINISHED,
    data_folders,
    keep_freed_memory,
    parse_duration,
    train,
    work_through,
)

if TYPE_CHECKING:
    from training import TrainingResult


def run_training(
    recipe: str, data: Sequence[str], out: Path | None, budget: str | None, **options: Any
) -> TrainingResult:
    """Train as a recipe says, and report what is left if the time was not enough.

    Args:
        recipe: name or file.
        data: folder, or `STREAM=FOLDER` each.
        out: folder for what is written; None: `runs/RECIPE`.
        budget: such as `150m`; None: as long as it takes.
        options: further arguments of `training.train`.

    Raises:
        FileNotFoundError, ValueError: as `training.train`.
    """
    keep_freed_memory()
    result = train(
        recipe,
        data_folders(data),
        out or Path("runs") / Path(recipe).stem,
        budget=parse_duration(budget) if budget else None,
        keep_compact=budget is not None,
        **options,
    )
    if not result.finished:
        done, steps = result.manifest["steps_done"], result.manifest["steps"]
        _say(f"{done:,} of {steps:,} steps are done; the same command resumes from there")
        _say_size()
    return result


def run_queue(queue: Path, budget: str | None, **options: Any) -> None:
    """Run a list of trainings, and print which are done and what is left.

    Args:
        queue: YAML file (`training.work_through`).
        budget: for all together, such as `150m`; None: as long as it takes.
        options: arguments of `training.train` for all of them.

    Raises:
        FileNotFoundError, ValueError: as `training.work_through`.
    """
    keep_freed_memory()
    report = work_through(queue, parse_duration(budget) if budget else None, **options)
    print(report.table())
    _say_size()


def _say_size() -> None:
    """Warn if the states of unfinished trainings are too large to commit."""
    size = sum(file.stat().st_size for file in UNFINISHED.glob("*.pt"))
    if size > MAX_UNFINISHED_BYTES:
        most = MAX_UNFINISHED_BYTES >> 20
        _say(f"{UNFINISHED} holds {size / 2**20:.1f} MiB of unfinished trainings; commit at most {most} MiB")


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
