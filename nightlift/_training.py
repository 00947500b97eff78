"""`nightlift train`: one training or a queue of them, what ends them early, and a report at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nightlift._signals import first_signal
from training import (
    MAX_UNFINISHED_BYTES,
    UNFINISHED,
    data_folders,
    keep_freed_memory,
    parse_duration,
    train,
    work_through,
)

ANNOUNCEMENT = "the training ends after this step; a second signal ends it at once"


def run_training(recipe: str, data: Sequence[str], out: Path | None, budget: str | None, **options: Any) -> int:
    """Train as a recipe says, and report what is left if the time was not enough or a signal came.

    Args:
        recipe: name or file.
        data: folder, or `STREAM=FOLDER` each.
        out: folder for what is written; None: `runs/RECIPE`.
        budget: such as `150m`; None: as long as it takes.
        options: further arguments of `training.train`.

    Returns:
        The exit code: 0, or 130 or 143 where SIGINT or SIGTERM ended the training before its last step.

    Raises:
        FileNotFoundError, ValueError: as `training.train`.
    """
    keep_freed_memory()
    with first_signal(ANNOUNCEMENT) as signal:
        result = train(
            recipe,
            data_folders(data),
            out or Path("runs") / Path(recipe).stem,
            budget=parse_duration(budget) if budget else None,
            keep_compact=budget is not None,
            stopped=lambda: signal() is not None,
            **options,
        )
    if not result.finished and _is_first_process():
        done, steps = result.manifest["steps_done"], result.manifest["steps"]
        _say(f"{done:,} of {steps:,} steps are done; the same command resumes from there")
        _say_size()
    return _exit_code(result.finished, signal())


def run_queue(queue: Path, budget: str | None, **options: Any) -> int:
    """Run a list of trainings, and print which are done and what is left.

    Args:
        queue: YAML file (`training.work_through`).
        budget: for all together, such as `150m`; None: as long as it takes.
        options: arguments of `training.train` for all of them.

    Returns:
        The exit code, as of `run_training`.

    Raises:
        FileNotFoundError, ValueError: as `training.work_through`.
    """
    keep_freed_memory()
    with first_signal(ANNOUNCEMENT) as signal:
        report = work_through(
            queue, parse_duration(budget) if budget else None, stopped=lambda: signal() is not None, **options
        )
    print(report.table())
    _say_size()
    return _exit_code(report.finished, signal())


def _exit_code(finished: bool, number: int | None) -> int:
    return 128 + number if number is not None and not finished and _is_first_process() else 0


def _is_first_process() -> bool:
    """Of those that share a training. The first one kills the others, and itself, where one of them fails."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _say_size() -> None:
    """Warn if the states of unfinished trainings are too large to commit."""
    size = sum(file.stat().st_size for file in UNFINISHED.glob("*.pt"))
    if size > MAX_UNFINISHED_BYTES:
        most = MAX_UNFINISHED_BYTES >> 20
        _say(f"{UNFINISHED} holds {size / 2**20:.1f} MiB of unfinished trainings; commit at most {most} MiB")


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)
