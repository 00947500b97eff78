"""A training's output for people: TensorBoard curves and pictures, a CSV of the curve, and progress."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


class Journal:
    """Writes `curve.csv` and `tensorboard/` under the output folder, and shows a progress bar.

    The CSV has one row per measurement: `step`, `seconds` since the very start, `name`, `value`. After a resume, rows
    beyond the resumed step are dropped, so that the curve has no duplicates.
    """

    def __init__(self, folder: Path, steps: int, first_step: int, leader: bool, progress: bool) -> None:
        """
        Args:
            folder: the training's output folder.
            steps: number of steps in all.
            first_step: steps already done.
            leader: whether this process writes and shows anything; only one of several does.
            progress: show a bar, or lines if the output is not a terminal.
        """
        self._leader = leader
        progress = progress and leader
        self._curve = folder / "curve.csv"
        if leader:
            self._forget(first_step)
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not progress or not self._console.is_terminal,
        )
        self._plain = progress and not self._console.is_terminal
        self._steps = steps
        self._task = self._progress.add_task("training", total=steps, completed=first_step)
        self._progress.start()

    def note(self, text: str) -> None:
        """Tell the user something that must not be overlooked."""
        if self._leader:
            self._console.print(f"note: {text}", style="bold yellow", highlight=False, soft_wrap=True)

    def advance(self) -> None:
        """One more step is done."""
        self._progress.advance(self._task)

    def scalars(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Note measurements after so many steps; names with a slash are grouped by TensorBoard."""
        if not self._leader:
            return
        with self._curve.open("a", newline="") as file:
            csv.writer(file).writerows(
                [step, f"{seconds:.1f}", name, f"{value:.6g}"] for name, value in values.items()
            )
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._progress.update(self._task, description=shown[:100])
        if self._plain:
            self._console.print(f"{step}/{self._steps}  {seconds:.0f} s  {shown}", highlight=False, soft_wrap=True)

    def pictures(self, step: int, pictures: Mapping[str, Tensor]) -> None:
        """Note pictures, float [N, 3, H, W] in [0, 1] by name."""
        if not self._leader:
            return
        for name, batch in pictures.items():
            self._writer.add_images(name, batch.float().cpu(), step)

    def close(self) -> None:
        """End the bar and write everything to disk."""
        self._progress.stop()
        if self._leader:
            self._writer.close()

    def _forget(self, first_step: int) -> None:
        kept = [["step", "seconds", "name", "value"]]
        if self._curve.exists():
            with self._curve.open(newline="") as file:
                kept += [row for row in list(csv.reader(file))[1:] if int(row[0]) <= first_step]
        with self._curve.open("w", newline="") as file:
            csv.writer(file).writerows(kept)


def read_curve(file: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves in a `curve.csv`: (step, value) pairs by name."""
    curves: dict[str, list[tuple[int, float]]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            curves.setdefault(row["name"], []).append((int(row["step"]), float(row["value"])))
    return curves
