"""From a recipe and a folder to a trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from training import networks
from training._manifest import command_line, describe_machine, describe_samples, git_revision
from training._precision import make_fabric, without_subnormals
from training.checkpoints import load_checkpoint
from training.datasets import Sample, find_samples, hold_out
from training.objectives import create_objective
from training.recipe import Recipe, load_recipe
from training.trainer import Trainer, TrainingResult


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
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] | None = None,
    threads: int | None = None,
    workers: int = 0,
    start_from: Path | None = None,
    vgg16: Path | None = None,
    resume: bool = True,
    stop_after: int | None = None,
    progress: bool = True,
) -> TrainingResult:
    """Train a network as a recipe says, or go on with a training that was interrupted.

    Args:
        recipe: name of a recipe of ours, a YAML file, or a checked recipe.
        data: folder of the data set, or folder by stream where the recipe has several.
        out: folder for everything that is written; made if missing.
        steps, seed, precision: in place of the recipe's.
        device: `auto` takes a CUDA device if there is one.
        devices: number of devices; a batch is shared out among them.
        threads: CPU threads of torch; None or 0: torch's own choice.
        workers: threads that prepare samples.
        start_from: training checkpoint whose weights to begin with.
        vgg16: weights of the perceptual losses' network; without them these terms are left out, loudly.
        resume: go on from `last.ckpt` in `out` if it is there; False: begin anew.
        stop_after: end after so many steps in all, as an interruption would: `last.ckpt` is there to resume from,
            and the schedule is the whole training's.
        progress: show a bar, or lines where the output is no terminal.

    Raises:
        FileNotFoundError: a recipe, folder or checkpoint is missing.
        ValueError: the recipe is wrong, does not fit its data or checkpoint, `out` holds another training to resume,
            or a loss is not finite.
    """
    if threads:
        torch.set_num_threads(threads)
    name = recipe.network if isinstance(recipe, Recipe) else str(recipe)
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    given = {"steps": steps, "seed": seed, "precision": precision}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    plan = plan.model_copy(update=changes | ({"epochs": None} if steps is not None else {}))
    if plan.starts_from and start_from is None and not (resume and (out / "last.ckpt").is_file()):
        raise ValueError(f"this recipe starts from {plan.starts_from}: name its checkpoint")

    folders = _folders(plan, data)
    out.mkdir(parents=True, exist_ok=True)
    splits = _splits(plan, folders)

    torch.manual_seed(plan.seed)
    network = networks.create(plan.network, **plan.options)
    resources = {"vgg16": vgg16} if vgg16 is not None else {}
    objective = create_objective(plan.objective.name, network, plan.objective.settings, resources)
    began_with = load_checkpoint(start_from) if start_from is not None else None
    if plan.validation is not None and _all_apart(next(iter(splits.values()))):
        objective.notes.append(
            "no two photos of the first stream are listed as one scene's: held-out photos may show what is trained "
            "on; `python -m training.datasets.scenes` makes a list"
        )
    objective.multiple = networks.spec(plan.network).multiple
    if began_with is not None:
        objective.start_from(began_with)

    accelerator = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
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
        "data": {stream: describe_samples(folders[stream], *split) for stream, split in splits.items()},
        "notes": objective.notes,
        "began_with": began_with and began_with.get("manifest"),
        "git_revision": git_revision(),
        **describe_machine(fabric.device, devices),
    }
    trainer = Trainer(fabric, plan, objective, splits, out, manifest, workers)
    return trainer.fit(resume=resume, stop_after=stop_after, progress=progress)


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


def _splits(plan: Recipe, folders: Mapping[str, Path]) -> dict[str, tuple[list[Sample], list[Sample]]]:
    """(training samples, held-out samples) by stream: what is held out of the first is not trained on in any."""
    samples = {name: find_samples(part.layout, folders[name], part.split) for name, part in plan.data.items()}
    if plan.validation is None:
        return {name: (found, []) for name, found in samples.items()}
    first = next(iter(samples))
    kept, held_out = hold_out(samples[first], plan.validation.fraction, plan.seed)
    if not kept:
        raise ValueError(
            f"{folders[first]}: all {len(samples[first])} samples would be held out, none is left to train on"
        )
    hidden = set().union(*map(_files, held_out))
    splits = {first: (kept, held_out)}
    for name in list(samples)[1:]:
        seen = [sample for sample in samples[name] if hidden.isdisjoint(_files(sample))]
        unseen = [sample for sample in samples[name] if not hidden.isdisjoint(_files(sample))]
        if not seen:
            raise ValueError(f"stream {name} has only what is held out of {first}")
        splits[name] = (seen, unseen)
    return splits


def _all_apart(split: tuple[list[Sample], list[Sample]]) -> bool:
    samples = [sample for part in split for sample in part]
    return len({sample.scene for sample in samples}) == len(samples)


def _files(sample: Sample) -> set[Path]:
    return {path.resolve() for path in sample.files.values()}
