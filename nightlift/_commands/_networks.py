"""`train`, `evaluate` and `export`, which need the extras `training` and `export`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nightlift._commands._flags import Repository

WITHOUT_DETECTOR = {
    "layout": "--layout",
    "holdout": "--holdout",
    "seed": "--seed",
    "niqe": "--niqe",
    "plain": "--plain / --no-plain",
    "output_gamma": "--output-gamma / --no-output-gamma",
}
"""Parameters of `evaluate` that mean nothing to a detector -> their flags."""


class Detail(StrEnum):
    """Whether an evaluation runs networks at full size or through a proxy."""

    WHOLE = "whole"
    GUIDED = "guided"


class Format(StrEnum):
    """What export writes."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a recipe in training/recipes, or a YAML file; none with --queue.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Folder of the training data; STREAM=FOLDER, repeated, for several streams."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and curves; runs/RECIPE if absent.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto uses a GPU if there is one.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many devices.", min=1)] = 1,
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"] | None, typer.Option(help="The recipe's if absent.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for one a core.", min=0)] = 0,
    workers: Annotated[
        int, typer.Option(help="Processes that prepare samples; 0: the training process does it.", min=0)
    ] = 1,
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint with the initial weights.")] = None,
    vgg16: Annotated[Path | None, typer.Option(help="Weights of VGG-16, for perceptual losses.")] = None,
    resume: Annotated[bool, typer.Option(help="Resume from last.ckpt in the output folder, if it exists.")] = True,
    steps: Annotated[
        int | None, typer.Option(help="Length of the training and its schedule; the recipe's if absent.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; the recipe's if absent.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time after which the training stops, such as 150m; the same command resumes it later, also on "
            "another machine, from a state in training/unfinished."
        ),
    ] = None,
    queue: Annotated[
        Path | None, typer.Option(help="YAML list of trainings to run one after another, instead of a recipe.")
    ] = None,
) -> None:
    """Train a network from a recipe, or several in turn.

    SIGTERM and Ctrl-C end it after the step under way, and the same command goes on from there. Exit codes:
    0 success, 2 the command was wrong, 130 or 143 ended by a signal.

    Example: `nightlift train zero_dce --data data/zero_dce_train --budget 150m`
    """
    common = {"device": device, "devices": devices, "precision": precision, "threads": threads, "workers": workers}
    if queue is not None:
        given = [
            ("RECIPE", recipe), ("--data", data), ("--out", out), ("--start-from", start_from), ("--vgg16", vgg16),
            ("--steps", steps), ("--seed", seed), ("--no-resume", not resume),
        ]  # fmt: skip
        if names := [name for name, value in given if value]:
            raise typer.BadParameter(f"the file sets these itself: {', '.join(names)}", param_hint="--queue")
        from nightlift._training import run_queue

        raise typer.Exit(run_queue(queue, budget, **common))
    if recipe is None or not data:
        raise typer.BadParameter("give a recipe and its --data, or a --queue", param_hint="RECIPE")
    from nightlift._training import run_training

    code = run_training(
        recipe,
        data,
        out,
        budget,
        **common,
        start_from=start_from,
        vgg16=vgg16,
        resume=resume,
        steps=steps,
        seed=seed,
    )
    raise typer.Exit(code)


def evaluate(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(help="Names in the model repository, or checkpoints.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")],
    layout: Annotated[str, typer.Option(help="Layout of the folder; folder: pictures without references.")] = "lolv1",
    split: Annotated[Literal["train", "test"], typer.Option(help="Part of the data set.")] = "test",
    holdout: Annotated[float, typer.Option(min=0, max=1, help="Use only this held-out share, as in training.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the hold-out.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many pictures, spread over the set.")
    ] = None,
    detail: Annotated[
        list[Detail] | None,
        typer.Option(help="At full size or through a proxy; if absent both, with --detector guided."),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            help="ONNX object detector as YOLOv8 or YOLOX exports: score it on ExDark, or on photos with boxes.csv, "
            "plain and enhanced, instead of against references. Without --layout, --holdout, --seed, --niqe, --plain "
            "and --output-gamma."
        ),
    ] = None,
    niqe: Annotated[bool, typer.Option(help="Measure NIQE too, which needs no references.")] = False,
    plain: Annotated[bool, typer.Option(help="Include the input and methods without a network.")] = True,
    output_gamma: Annotated[
        bool, typer.Option(help="Apply the gamma that the network is served with to results of checkpoints.")
    ] = True,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for one a core.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.md and evaluation.json.")] = None,
    model_repository: Repository = None,
) -> None:
    """Measure models against references, beside methods without a network; or by how well a detector then works.

    Example: `nightlift evaluate zero_dce --data data/LOLv1 --out runs/evaluation`
    """
    if detector is not None:
        for name, flags in WITHOUT_DETECTOR.items():
            source = context.get_parameter_source(name)
            if source is not None and source.name != "DEFAULT":
                raise typer.BadParameter("it has no effect with --detector", param_hint=flags)

    from nightlift._evaluation import run_detection, run_evaluation
    from service.settings import Settings

    if detector is not None:
        run_detection(
            models,
            detector,
            data,
            details=tuple(detail or (Detail.GUIDED,)),
            split=split,
            limit=limit,
            threads=threads or None,
            repository=model_repository or Settings().model_repository,
            out=out,
        )
        return
    options: dict[str, Any] = {
        "layout": layout,
        "split": split,
        "holdout": holdout,
        "seed": seed,
        "limit": limit,
        "details": tuple(detail or Detail),
        "with_niqe": niqe,
        "plain": plain,
        "output_gamma": output_gamma,
        "threads": threads or None,
        "repository": model_repository or Settings().model_repository,
        "out": out,
    }
    run_evaluation(models, data, options)


def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="A training checkpoint; or a published one, which may be several files.")
    ],
    to: Annotated[Path, typer.Option(help="Model repository to write into.")] = Path("model_repository"),
    name: Annotated[str | None, typer.Option(help="Name of the model; the network's if absent.")] = None,
    version: Annotated[int | None, typer.Option(help="Version to write; the next one if absent.", min=1)] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the version if it exists.")] = False,
    format: Annotated[list[Format] | None, typer.Option(help="What to write; both if absent.")] = None,
    scores: Annotated[Path | None, typer.Option(help="JSON of `nightlift evaluate`, for the model card.")] = None,
    full_size: Annotated[bool, typer.Option(help="Compare with torch at 400x600 too.")] = True,
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, an option of the network to change after training; may be repeated."),
    ] = None,
    from_official: Annotated[
        bool, typer.Option(help="The file is a checkpoint as its authors published it.")
    ] = False,
    network: Annotated[
        str | None, typer.Option(help="With --from-official: our name of the network, if several fit.")
    ] = None,
) -> None:
    """Turn a checkpoint into ONNX and TorchScript models that can be served.

    Example: `nightlift export runs/zero_dce/final.pt --to model_repository`
    """
    from export import export_checkpoint, import_official

    options: dict[str, Any] = {
        "formats": list(format or Format),
        "name": name,
        "version": version,
        "overwrite": overwrite,
        "scores": scores,
        "full_size": full_size,
    }
    if from_official and option:
        raise typer.BadParameter("published weights keep the options they were published with", param_hint="--option")
    if from_official:
        report = import_official(checkpoints, to, network=network, **options)
    elif len(checkpoints) == 1:
        report = export_checkpoint(checkpoints[0], to, options=_network_options(option or []), **options)
    else:
        raise typer.BadParameter("only published checkpoints come in several files", param_hint="CHECKPOINTS")
    typer.echo(report)


def _network_options(words: list[str]) -> dict[str, Any]:
    """NAME=VALUE, where the value is JSON: a number, true, false or a quoted string."""
    options = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            raise typer.BadParameter(
                f"{word!r} is not NAME=VALUE with a number, true, false or a string in quotes", param_hint="--option"
            ) from None
    return options
