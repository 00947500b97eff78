"""The command line: one command, `nightlift`, whose subcommands import what they need when they are called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="nightlift",
    help="Low-light image enhancement: serve, train, export and compare networks.",
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
    model_repository: Annotated[Path | None, typer.Option(help="Folder of models in Triton's layout.")] = None,
) -> None:
    """Run the service. Every setting is an environment variable NIGHTLIFT_*; these flags win over them.

    Example: `nightlift serve --port 8080`
    """
    from service.server import run
    from service.settings import Settings

    flags = {"host": host, "port": port, "grpc_port": grpc_port, "model_repository": model_repository}
    run(Settings(**{name: value for name, value in flags.items() if value is not None}))  # type: ignore[arg-type]


@app.command()
def models(
    model_repository: Annotated[Path | None, typer.Option(help="Folder of models in Triton's layout.")] = None,
) -> None:
    """List the models of a repository with their measured scores.

    Example: `nightlift models`
    """
    from nightlift._listing import print_models
    from service.settings import Settings

    settings = Settings(**({"model_repository": model_repository} if model_repository else {}))  # type: ignore[arg-type]
    print_models(settings.model_repository, settings.default_model)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe in training/recipes, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder of the training data.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and curves; runs/RECIPE if absent.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many devices.", min=1)] = 1,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, ...; the recipe's if absent.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 for one a core.", min=0)] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in the output folder.")] = False,
    steps: Annotated[
        int | None, typer.Option(help="Stop after so many steps; the recipe's number if absent.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; the recipe's if absent.")] = None,
) -> None:
    """Train a network from a recipe.

    Example: `nightlift train zero_dce --data data/zero_dce_train`
    """
    from training import train as run

    run(
        recipe,
        data,
        out or Path("runs") / Path(recipe).stem,
        device=device,
        devices=devices,
        precision=precision,
        threads=threads,
        resume=resume,
        steps=steps,
        seed=seed,
    )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A training checkpoint, or a published one.")],
    to: Annotated[Path, typer.Option(help="Model repository to write into.")] = Path("model_repository"),
    name: Annotated[str | None, typer.Option(help="Name of the model; the network's if absent.")] = None,
    version: Annotated[int | None, typer.Option(help="Version to write; the next one if absent.", min=1)] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the version if it is there.")] = False,
    scores: Annotated[Path | None, typer.Option(help="JSON of `nightlift evaluate`, for the model card.")] = None,
    from_official: Annotated[
        bool, typer.Option(help="The file is a checkpoint as its authors published it.")
    ] = False,
) -> None:
    """Turn a checkpoint into ONNX and TorchScript models that can be served.

    Example: `nightlift export runs/zero_dce/final.pt --to model_repository`
    """
    from export import export_checkpoint, import_official

    convert = import_official if from_official else export_checkpoint
    report = convert(checkpoint, to, name=name, version=version, overwrite=overwrite, scores=scores)
    typer.echo(report)


if __name__ == "__main__":
    main()
