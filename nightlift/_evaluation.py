"""`nightlift evaluate`: its output while it measures, and the tables at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from training import evaluate
from training.evaluation import Row


def run_evaluation(models: Sequence[str], data: Path, options: Mapping[str, Any]) -> None:
    """Evaluate, print each row as it is measured, then the tables.

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
    """Score a detector on labelled pictures for each model and way of rendering, and print a table each.

    Args:
        models: names in the repository, or checkpoints.
        detector: ONNX file.
        data: ExDark's folder, or one with photographs and boxes.
        details: of `whole` and `guided`.
        out: folder for the tables, one folder in it for each model and detail.
        options: further arguments of `evaluate_detector`.

    Raises:
        FileNotFoundError, ValueError: as `training.evaluation.detection.evaluate_detector`.
    """
    # Imported here because it needs pycocotools, which the other evaluation does not.
    from training.evaluation.detection import evaluate_detector

    for model in models:
        for detail in details:
            folder = out / f"{Path(model).stem}_{detail}" if out is not None else None
            report = evaluate_detector(model, detector, data, detail=detail, out=folder, **options)
            print(f"{model}, {detail}\n\n{report.table()}\n")
