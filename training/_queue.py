"""Several trainings in turn, within one time budget: `nightlift train --queue FILE --budget 170m`.

    data: {pairs: data/LOLv1, brackets: data/zero_dce_train}
    trainings:
      - recipe: drbn_proxy
      - {recipe: drbn_proxy_fine, start_from: runs/drbn_proxy/final.pt}
      - {recipe: zero_dce_cpu, data: {image: data/zero_dce_train}}

Each resumes where it was, in `runs/RECIPE`; the first unfinished one gets all the remaining time.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training._train import train
from training.recipe import load_recipe

UNITS = {"s": 1, "m": 60, "h": 3600}


class _Entry(BaseModel):
    """One training of a queue.

    Attributes:
        recipe: name or file.
        data: a folder, or folders by stream; None: the queue's, of which each recipe uses those of its streams.
        out: folder for what is written; None: `runs/RECIPE`.
        start_from, vgg16, steps, seed: as for `training.train`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    data: Path | dict[str, Path] | None = None
    out: Path | None = None
    start_from: Path | None = None
    vgg16: Path | None = None
    steps: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=0)

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.out or Path("runs") / Path(self.recipe).stem


class _Queue(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path | dict[str, Path] | None = None
    trainings: tuple[_Entry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Progress:
    """How far one training is: `done` of `steps`, after so many seconds in all."""

    folder: Path
    done: int
    steps: int | None
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it."""
        return self.done == self.steps

    def line(self) -> str:
        """A row of the table."""
        if self.steps is None:
            return f"| `{self.folder}` | not begun | |"
        if self.finished:
            return f"| `{self.folder}` | done: {self.steps:,} steps in {self.seconds / 60:,.0f} min | |"
        left = self.seconds / max(self.done, 1) * (self.steps - self.done)
        return f"| `{self.folder}` | {self.done:,} of {self.steps:,} steps | about {left / 60:,.0f} min |"


@dataclass(frozen=True)
class QueueReport:
    """How far all trainings of a queue are."""

    trainings: tuple[Progress, ...]

    @property
    def finished(self) -> bool:
        """Whether nothing is left."""
        return all(training.finished for training in self.trainings)

    def table(self) -> str:
        """For people, in Markdown."""
        rows = "\n".join(training.line() for training in self.trainings)
        return f"| training | state | left |\n| --- | --- | --- |\n{rows}"


def work_through(
    file: Path, budget: float | None, stopped: Callable[[], bool] = lambda: False, **options: Any
) -> QueueReport:
    """Run a list of trainings one after another, until all are done, the time is over or it is stopped.

    Args:
        file: YAML, as at the head of this module.
        budget: seconds from now for all together; None: no limit.
        stopped: whether to end after the step under way (`training.train`).
        options: further arguments of `training.train`, for all.

    Raises:
        FileNotFoundError: there is no such file, or something that it names is missing.
        ValueError: the file is wrong, or a training fails as `training.train` says.
    """
    queue = _read(file)
    deadline = None if budget is None else time.monotonic() + budget
    for entry in queue.trainings:
        left = None if deadline is None else deadline - time.monotonic()
        if _progress(entry.folder).finished:
            continue
        if stopped() or (left is not None and left <= 0):
            break
        result = train(
            entry.recipe,
            _data(entry, queue),
            entry.folder,
            budget=left,
            keep_compact=budget is not None,
            stopped=stopped,
            start_from=entry.start_from,
            vgg16=entry.vgg16,
            steps=entry.steps,
            seed=entry.seed,
            **options,
        )
        if not result.finished:
            break
    return QueueReport(tuple(_progress(entry.folder) for entry in queue.trainings))


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `150m`, `2h`, `1h30m`.

    Raises:
        ValueError: it is none of these.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write 90s, 150m, 2h or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _read(file: Path) -> _Queue:
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return _Queue.model_validate(content)
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name} is not YAML: {error}") from error
    except ValidationError as error:
        fields = (f"{'.'.join(map(str, e['loc'])) or 'queue'}: {e['msg']}" for e in error.errors())
        raise ValueError(f"the queue {file.name} is wrong\n  " + "\n  ".join(fields)) from error


def _data(entry: _Entry, queue: _Queue) -> Path | dict[str, Path]:
    data = entry.data if entry.data is not None else queue.data
    if data is None:
        raise ValueError(f"{entry.recipe}: neither the training nor the queue says where its data is")
    if isinstance(data, Path) or entry.data is not None:
        return data
    return {name: folder for name, folder in data.items() if name in load_recipe(entry.recipe).data}


def _progress(folder: Path) -> Progress:
    record = folder / "run.json"
    if not record.is_file():
        return Progress(folder, 0, None, 0.0)
    content = json.loads(record.read_text(encoding="utf-8"))
    return Progress(folder, content["steps_done"], content["steps"], content["seconds"])
