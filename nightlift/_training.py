"""`nightlift train` and `nightlift evaluate`: what is shown while they work, and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from training import (
    MOST_UNFINISHED_BYTES,
    UNFINISHED,
    data_folders,
    evaluate,
    keep_freed_memory,
    parse_duration,
    train,
    work_through,
)

if TYPE_CHECKING:
    from training import TrainingResult
    from training.evaluation import Row


def run_training(
    recipe: str, data: Sequence[str], out: Path | None, budget: str | None, **options: Any
) -> TrainingResult:
    """Train as a recipe says, and say what is left where the time was not enough.

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
        _say(f"{done:,} of {steps:,} steps are done; the same command goes on from there")
        _say_size()
    return result


def run_queue(queue: Path, budget: str | None, **options: Any) -> None:
    """Work through a list of trainings, and print what is done and what is left.

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
    """Warn where the states of unfinished trainings are too large to commit."""
    size = sum(file.stat().st_size for file in UNFINISHED.glob("*.pt"))
    if size > MOST_UNFINISHED_BYTES:
        most = MOST_UNFINISHED_BYTES >> 20
        _say(f"{UNFINISHED} holds {size / 2**20:.1f} MiB of unfinished trainings; commit at most {most} MiB")


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def run_evaluation(models: Sequence[str], data: Path, options: Mapping[str, Any]) -> None:
    """Evaluate, saying each row as it is measured, and print the tables.

    Raises:
        FileNotFoundError, ValueError: as `training.evaluate`.
    """
    progress = Console(stderr=True)

    def say(row: Row) -> None:
        scores = (f"{row.psnr:.2f} dB" if row.psnr is not None else "", f"{row.seconds:.2f} s a picture")
        progress.print(f"{row.name}, {row.detail}: {', '.join(filter(None, scores))}", highlight=False)

    print(evaluate(list(models), data, on_row=say, **options).to_markdown())


def run_detection(
    models: Sequence[str], detector: Path, data: Path, *, details: Sequence[str], out: Path | None, **options: Any
) -> None:
    """Score a detector on ExDark for each model and way of rendering, and print a table each.

    Args:
        models: names in the repository, or checkpoints.
        detector: ONNX file.
        data: ExDark's folder.
        details: of `whole` and `guided`.
        out: folder for the tables, one folder in it for each model and detail.
        options: further arguments of `evaluate_detector`.

    Raises:
        FileNotFoundError, ValueError: as `training.evaluation.detection.evaluate_detector`.
    """
    # Brings pycocotools, which the other evaluation can do without.
    from training.evaluation.detection import evaluate_detector

    for model in models:
        for detail in details:
            folder = out / f"{Path(model).stem}_{detail}" if out is not None else None
            report = evaluate_detector(model, detector, data, detail=detail, out=folder, **options)
            print(f"{model}, {detail}\n\n{report.table()}\n")
