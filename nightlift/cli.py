"""The command line: one command, `nightlift`, whose subcommands import what they need when they are called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nightlift import _flags as flags

app = typer.Typer(
    name="nightlift",
    help="Low-light image enhancement: serve, enhance, train, evaluate and export.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

# What the serving install leaves out -> the extra that brings it.
EXTRAS = {
    "lightning_fabric": "training",
    "onnx": "export",
    "onnxscript": "export",
    "onnxslim": "export",
    "pycocotools": "training",
    "pyarrow": "ray",
    "ray": "ray",
    "skimage": "training",
    "tensorboard": "training",
    "torch": "training,export",
    "torchmetrics": "training",
    "yaml": "training",
}


def main() -> None:
    """Entry point of the `nightlift` command; errors meant for the user are one line, and exit with 2."""
    try:
        app()
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        typer.secho(f"nightlift: {error}", fg="red", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        typer.secho(
            f'nightlift: {error}; it comes with pip install "nightlift[{EXTRAS[error.name]}]"', fg="red", err=True
        )
        sys.exit(2)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; NIGHTLIFT_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port, 0 for a free one; NIGHTLIFT_PORT.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="gRPC port; NIGHTLIFT_GRPC_PORT.")] = None,
    model_repository: flags.Repository = None,
) -> None:
    """Run the service. Every setting is an environment variable NIGHTLIFT_*; these flags win over them.

    Example: `nightlift serve --port 8080`
    """
    from service.server import run
    from service.settings import Settings

    run(Settings(**_given(host=host, port=port, grpc_port=grpc_port, model_repository=model_repository)))


@app.command()
def models(
    model_repository: flags.Repository = None,
) -> None:
    """List the models of a repository with their measured scores.

    Example: `nightlift models`
    """
    from nightlift._listing import print_models
    from service.settings import Settings

    settings = Settings(**_given(model_repository=model_repository))
    print_models(settings.model_repository, settings.default_model)


@app.command()
def doctor(
    model_repository: flags.Repository = None,
) -> None:
    """Say what is installed, which devices really work, and what each model would run on; exit code 1 on problems.

    Example: `nightlift doctor`
    """
    from nightlift._listing import print_findings
    from service.doctor import examine, exit_status
    from service.settings import Settings

    raise typer.Exit(exit_status(print_findings(examine(Settings(**_given(model_repository=model_repository))))))


@app.command()
def bench(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to measure; the default model if absent.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT, may be repeated; 600x400 and 4000x3000.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each contestant.", min=1)] = 9,
    out: Annotated[Path | None, typer.Option(help="Markdown file to write; the terminal if absent.")] = None,
    model_repository: flags.Repository = None,
) -> None:
    """Measure the service, JPEG to JPEG in process, beside the bare codec and the bare network.

    Example: `nightlift bench zero_dce_improved --size 4000x3000`
    """
    from benchmarks import run
    from nightlift._sizes import parse_size
    from service.settings import Settings

    settings = Settings(**_given(model_repository=model_repository))
    sizes = [parse_size(text) for text in size or ("600x400", "4000x3000")]
    table = run(settings, models or [settings.default_model], sizes, rounds)
    if out is None:
        typer.echo(table)
    else:
        out.write_text(table + "\n", encoding="utf-8")


@app.command()
def enhance(
    inputs: Annotated[list[Path], typer.Argument(help="Files, folders (with all below them), or - for stdin.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File or folder to write, or - for stdout, stdin's default.")
    ] = None,
    model: flags.Model = None,
    strength: flags.Strength = 1.0,
    protect: flags.Protect = 0.5,
    gate: flags.Gate = True,
    gamma: flags.Gamma = 1.0,
    detail: flags.Detail = "auto",
    format: flags.Format = None,
    quality: flags.Quality = 90,
    metadata: flags.Metadata = "without_location",
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Pictures at a time; 0: cores + 1.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Do again what is done.")] = False,
    watch: Annotated[bool, typer.Option(help="Then wait for more pictures, until Ctrl-C.")] = False,
    compare: Annotated[bool, typer.Option(help="Write contact sheets of before and after, too.")] = False,
    server: Annotated[
        str | None, typer.Option(help="URL of a service that does the work; else this process.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="NIGHTLIFT_API_KEY", help="For the server.")] = None,
    model_repository: flags.Repository = None,
) -> None:
    """Enhance pictures. Those that are done are skipped; one that is broken is reported and stops no other.

    Exit codes: 0 all is well, 1 some failed, 2 the command was wrong, 130 stopped by Ctrl-C.

    Example: `nightlift enhance photos/ -o bright/`
    """
    from nightlift._enhance import Order, run
    from nightlift._planes import PlaneOptions

    if out is None and inputs != [Path("-")]:
        raise typer.BadParameter("say where the results go", param_hint="--out")
    options = _given(
        model=model,
        detail=detail,
        strength=strength,
        protect=protect,
        gate=gate,
        gamma=gamma,
        format=format,
        quality=quality,
        metadata=metadata,
    )
    order = Order(
        tuple(inputs),
        out or Path("-"),
        options,
        PlaneOptions(server, api_key, model, model_repository),
        workers,
        overwrite,
        watch,
        compare,
    )
    raise typer.Exit(run(order))


@app.command()
def video(
    source: Annotated[Path, typer.Argument(help="A video that ffmpeg reads.")],
    target: Annotated[Path, typer.Argument(help="Video to write, H.264: .mp4, .mkv or .mov.")],
    model: flags.Model = None,
    strength: flags.Strength = 1.0,
    protect: flags.Protect = 0.5,
    gate: flags.Gate = True,
    gamma: flags.Gamma = 1.0,
    steadiness: Annotated[
        float, typer.Option(min=0, max=10, help="Seconds over which the effect is averaged; 0: none.")
    ] = 0.5,
    crf: Annotated[int, typer.Option(min=0, max=51, help="Quality of the stream: 0 is lossless, 18 looks so.")] = 18,
    model_repository: flags.Repository = None,
) -> None:
    """Enhance a video without flicker; sound and metadata are kept. Needs ffmpeg.

    Example: `nightlift video night.mp4 bright.mp4`
    """
    from nightlift._planes import PlaneOptions
    from nightlift._video import VideoOrder, guided, run

    plane = PlaneOptions(model=model, model_repository=model_repository)
    run(VideoOrder(source, target, plane, guided(strength, protect, gate, gamma), steadiness, crf))


@app.command()
def bulk(
    source: Annotated[str, typer.Argument(help="Folder or bucket: a path, s3://, gs://, hdfs://.")],
    target: Annotated[str, typer.Argument(help="Folder or bucket to write, the tree kept.")],
    model: flags.Model = None,
    strength: flags.Strength = 1.0,
    protect: flags.Protect = 0.5,
    gate: flags.Gate = True,
    gamma: flags.Gamma = 1.0,
    detail: flags.Detail = "auto",
    format: flags.Format = None,
    quality: flags.Quality = 90,
    metadata: flags.Metadata = "without_location",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: as many as the cluster has room for.")] = 0,
    cpus: Annotated[float, typer.Option(min=0, help="Cores a worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs a worker; may be a fraction.")] = 0.0,
    server: flags.Server = None,
    api_key: flags.ApiKey = None,
    model_repository: flags.Repository = None,
) -> None:
    """Enhance a folder or bucket on a Ray cluster; what is done is skipped. Needs the extra `ray`.

    Exit codes: 0 all is well, 1 some failed, 2 the command was wrong.

    Example: `nightlift bulk s3://photos/dark s3://photos/bright --cpus 4`
    """
    from nightlift._planes import PlaneOptions
    from nightlift.bulk import BulkOrder, enhance_bulk

    options = _given(
        model=model,
        detail=detail,
        strength=strength,
        protect=protect,
        gate=gate,
        gamma=gamma,
        format=format,
        quality=quality,
        metadata=metadata,
    )
    plane = PlaneOptions(server, api_key, model, model_repository)
    report = enhance_bulk(BulkOrder(source, target, options, plane, workers, cpus, gpus))
    for name, reason in report.failures.items():
        typer.echo(f"failed {name}: {reason}", err=True)
    typer.echo(f"{report.enhanced} enhanced, {report.done} already done, {len(report.failures)} failed")
    raise typer.Exit(1 if report.failures else 0)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe in training/recipes, or a YAML file.")],
    data: Annotated[
        list[str], typer.Option(help="Folder of the training data; STREAM=FOLDER, repeated, for several streams.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and curves; runs/RECIPE if absent.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")
    ] = "auto",
    devices: Annotated[int, typer.Option(help="How many devices.", min=1)] = 1,
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"] | None, typer.Option(help="The recipe's if absent.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for one a core.", min=0)] = 0,
    workers: Annotated[int, typer.Option(help="Threads that prepare samples.", min=0)] = 0,
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint whose weights to begin with.")] = None,
    vgg16: Annotated[Path | None, typer.Option(help="Weights of VGG-16, for perceptual losses.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from last.ckpt in the output folder, if it is there.")] = True,
    steps: Annotated[
        int | None, typer.Option(help="Stop after so many steps; the recipe's number if absent.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; the recipe's if absent.")] = None,
) -> None:
    """Train a network from a recipe.

    Example: `nightlift train zero_dce --data data/zero_dce_train`
    """
    from nightlift._training import data_folders
    from training import train as run

    run(
        recipe,
        data_folders(data),
        out or Path("runs") / Path(recipe).stem,
        device=device,
        devices=devices,
        precision=precision,
        threads=threads,
        workers=workers,
        start_from=start_from,
        vgg16=vgg16,
        resume=resume,
        steps=steps,
        seed=seed,
    )


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Names in the model repository, or checkpoints.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")],
    layout: Annotated[str, typer.Option(help="Layout of the folder; folder: pictures without references.")] = "lolv1",
    split: Annotated[Literal["train", "test"], typer.Option(help="Part of the data set.")] = "test",
    holdout: Annotated[float, typer.Option(min=0, max=1, help="Only this share, as training holds out.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the hold-out.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pictures, spread over the set.")] = None,
    detail: Annotated[
        list[str] | None, typer.Option(help="whole or guided: how pictures meet networks; both if absent.")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(help="ONNX object detector as YOLOv8 exports: score it on ExDark, plain and enhanced."),
    ] = None,
    niqe: Annotated[bool, typer.Option(help="Measure NIQE too, which needs no references.")] = False,
    plain: Annotated[bool, typer.Option(help="Begin with the input and methods without a network.")] = True,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for one a core.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.md and evaluation.json.")] = None,
    model_repository: flags.Repository = None,
) -> None:
    """Measure models against references, beside brightening without a network; or by what a detector then finds.

    Example: `nightlift evaluate zero_dce --data data/LOLv1 --out runs/evaluation`
    """
    from nightlift._training import run_detection, run_evaluation
    from service.settings import Settings

    if detector is not None:
        run_detection(
            models,
            detector,
            data,
            details=tuple(detail or ("guided",)),
            split=split,
            limit=limit,
            threads=threads or None,
            repository=model_repository or Settings().model_repository,
            out=out,
        )
        return
    options = {
        "layout": layout,
        "split": split,
        "holdout": holdout,
        "seed": seed,
        "limit": limit,
        "details": tuple(detail or ("whole", "guided")),
        "with_niqe": niqe,
        "plain": plain,
        "threads": threads or None,
        "repository": model_repository or Settings().model_repository,
        "out": out,
    }
    run_evaluation(models, data, options)


@app.command()
def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="A training checkpoint; or a published one, in several files if need be.")
    ],
    to: Annotated[Path, typer.Option(help="Model repository to write into.")] = Path("model_repository"),
    name: Annotated[str | None, typer.Option(help="Name of the model; the network's if absent.")] = None,
    version: Annotated[int | None, typer.Option(help="Version to write; the next one if absent.", min=1)] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the version if it is there.")] = False,
    format: Annotated[list[str] | None, typer.Option(help="onnx or torchscript; both if absent.")] = None,
    scores: Annotated[Path | None, typer.Option(help="JSON of `nightlift evaluate`, for the model card.")] = None,
    full_size: Annotated[bool, typer.Option(help="Compare with torch at 400x600 too.")] = True,
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

    formats = format or ["onnx", "torchscript"]
    if from_official:
        report = import_official(
            checkpoints,
            to,
            network=network,
            formats=formats,
            name=name,
            version=version,
            overwrite=overwrite,
            scores=scores,
            full_size=full_size,
        )
    elif len(checkpoints) == 1:
        report = export_checkpoint(
            checkpoints[0],
            to,
            formats=formats,
            name=name,
            version=version,
            overwrite=overwrite,
            scores=scores,
            full_size=full_size,
        )
    else:
        raise typer.BadParameter("only published checkpoints come in several files", param_hint="CHECKPOINTS")
    typer.echo(report)


def _given(**flags: Any) -> dict[str, Any]:
    """The flags that were given, by name; the others are left to whoever has the defaults."""
    return {name: value for name, value in flags.items() if value is not None}


if __name__ == "__main__":
    main()
