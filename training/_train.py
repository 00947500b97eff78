"""From a recipe and a folder to a trained network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from training import networks
from training._compact_state import UNFINISHED
from training._holdout import Split, require_apart, split_samples
from training._manifest import command_line, describe_machine, describe_samples, git_revision
from training._precision import Precision, make_fabric, supported, without_subnormals
from training.checkpoints import load_checkpoint
from training.objectives import create_objective
from training.recipe import Recipe, load_recipe
from training.trainer import Limits, Trainer, TrainingResult


@without_subnormals()
def train(
    recipe: str | Path | Recipe,
    data: Path | Mapping[str, Path],
    out: Path,
    *,
    steps: int | None = None,
    seed: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    precision: Precision | None = None,
    threads: int | None = None,
    workers: int = 0,
    start_from: Path | None = None,
    vgg16: Path | None = None,
    resume: bool = True,
    stop_after: int | None = None,
    budget: float | None = None,
    stopped: Callable[[], bool] = lambda: False,
    keep_compact: bool = False,
    unfinished: Path = UNFINISHED,
    progress: bool = True,
    trainer_type: Callable[..., Trainer] = Trainer,
) -> TrainingResult:
    """Train a network as a recipe says, or resume an interrupted training.

    Args:
        recipe: name of a recipe of ours, a YAML file, or a checked recipe.
        data: folder of the data set, or folder by stream where the recipe has several.
        out: folder for everything that is written; made if missing.
        steps, seed, precision: instead of the recipe's.
        device: `auto` uses a CUDA device if there is one.
        devices: number of devices; a batch is divided among them.
        threads: CPU threads of torch; None or 0: torch's own choice.
        workers: processes that prepare batches ahead; 0: each is prepared when its step begins.
        start_from: training checkpoint with the initial weights.
        vgg16: weights of the perceptual losses' network; without them these terms are left out, with a note.
        resume: resume from `last.ckpt` in `out` if it exists; False: start over.
        stop_after: stop after this many steps in all, like an interruption: `last.ckpt` is there to resume from, and
            the schedule is that of the whole training.
        budget: the same after this many seconds from now.
        stopped: asked before each step; once it returns True the training ends the same way, with a compact state.
        keep_compact: write a compact state beside each `last.ckpt`, from which another machine can resume.
        unfinished: folder of compact states, named like `out`. A state is used if it is ahead of `last.ckpt`, and
            deleted when the training is done.
        progress: show a bar, or lines if the output is not a terminal.
        trainer_type: class of the trainer, for tools that inspect it.

    Raises:
        FileNotFoundError: a recipe, folder or checkpoint is missing.
        ValueError: the recipe is wrong, does not fit its data or checkpoint, `out` holds another training to resume,
            or a loss is not finite.
    """
    deadline = None if budget is None else time.monotonic() + budget
    if threads:
        torch.set_num_threads(threads)
    name = recipe.network if isinstance(recipe, Recipe) else str(recipe)
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = {"steps": steps, "seed": seed, "precision": precision}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    plan = plan.model_copy(update=changes | ({"epochs": None} if steps is not None else {}))
    compact = unfinished / f"{out.name}.pt"
    saved = (out / "last.ckpt").is_file() or compact.is_file()
    if plan.starts_from and start_from is None and not (resume and saved):
        raise ValueError(f"this recipe starts from {plan.starts_from}: name its checkpoint")

    folders = _folders(plan, data)
    out.mkdir(parents=True, exist_ok=True)
    split = split_samples(plan, folders)
    require_apart(split.streams, split.validation)
    accelerator = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    notes = _notes(plan, split)
    if (able := supported(plan.precision, accelerator)) != plan.precision:
        notes.append(f"this processor has no bfloat16 instructions: the training runs in {able}")
        plan = plan.model_copy(update={"precision": able})
    if plan.compile and accelerator == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        notes.append("there is no C++ compiler (g++ or clang++): the network is not compiled")
        plan = plan.model_copy(update={"compile": False})

    torch.manual_seed(plan.seed)
    network = networks.create(plan.network, **plan.options)
    resources = {"vgg16": vgg16} if vgg16 is not None else {}
    objective = create_objective(plan.objective.name, network, plan.objective.settings, resources)
    began_with = load_checkpoint(start_from) if start_from is not None else None
    objective.notes.extend(notes)
    objective.multiple = networks.spec(plan.network).multiple
    if began_with is not None:
        objective.start_from(began_with)

    fabric = make_fabric(accelerator, devices, plan.precision)
    fabric.launch()
    options = {
        "out": out,
        **changes,
        "device": accelerator,
        "devices": devices if devices > 1 else None,
        "threads": threads or None,
        "start_from": start_from,
        "vgg16": vgg16,
    }
    manifest = {
        "command": command_line(name, folders, options),
        "recipe": plan.model_dump(mode="json"),
        "seed": plan.seed,
        "data": {
            name: describe_samples(folders[name], samples, split.hidden[name])
            for name, samples in split.streams.items()
        },
        "validated_on": {name: [sample.name for sample in samples] for name, samples in split.validation.items()},
        "notes": objective.notes,
        "began_with": began_with and began_with.get("manifest"),
        "git_revision": git_revision(),
        **describe_machine(fabric.device, devices),
    }
    trainer = trainer_type(fabric, plan, objective, split, out, manifest, workers, compact, keep_compact)
    return trainer.fit(resume=resume, limits=Limits(stop_after, deadline, stopped), progress=progress)


def data_folders(words: Sequence[str]) -> Path | dict[str, Path]:
    """One folder for all streams, or folder by stream where the words are `STREAM=FOLDER`.

    Raises:
        ValueError: if several words do not all name their stream.
    """
    if len(words) == 1 and ("=" not in words[0] or Path(words[0]).exists()):
        return Path(words[0])
    folders = {stream: Path(folder) for stream, equals, folder in (word.partition("=") for word in words) if equals}
    if len(folders) != len(words):
        raise ValueError("several data folders are given as STREAM=FOLDER, each stream once")
    return folders


def _folders(plan: Recipe, data: Path | Mapping[str, Path]) -> dict[str, Path]:
    if not isinstance(data, Mapping):
        return dict.fromkeys(plan.data, Path(data))
    if set(data) != set(plan.data):
        raise ValueError(
            f"the recipe needs a folder for each of {', '.join(plan.data)}; given: {', '.join(data) or 'none'}"
        )
    return {stream: Path(folder) for stream, folder in data.items()}


def _notes(plan: Recipe, split: Split) -> list[str]:
    """Notes for the user about the hold-out."""
    notes = []
    for name, settings in plan.validation_sets().items():
        samples = [*split.streams[settings.data], *split.hidden[settings.data]]
        if settings.fraction is not None and len({sample.scene for sample in samples}) == len(samples):
            notes.append(
                f"no two photos of {name} are listed as one scene: held-out photos may show training scenes; "
                "`python -m training.datasets.scenes` makes a list"
            )
    return notes
