"""The command line: one command, `nightlift`, whose subcommands import what they need when they are called."""

from __future__ import annotations

import sys

import typer

from nightlift import _commands as commands

# Heading in the help -> its commands, in order.
COMMANDS = {
    "Pictures": (commands.enhance, commands.video, commands.bulk),
    "Service": (commands.serve, commands.models, commands.doctor, commands.bench),
    "Networks": (commands.train, commands.evaluate, commands.export),
}

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

# Parts of this repository that the images leave out.
LEFT_OUT = {"benchmarks", "export", "training"}

app = typer.Typer(
    name="nightlift",
    help="Low-light image enhancement: serve, enhance, train, evaluate and export.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for heading, functions in COMMANDS.items():
    for function in functions:
        app.command(rich_help_panel=heading)(function)
app.add_typer(commands.keys, name="keys", rich_help_panel="Service")


def main() -> None:
    """Entry point of the `nightlift` command; errors meant for the user are one line, and exit with 2."""
    try:
        app()
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        typer.secho(f"nightlift: {message}", fg="red", err=True)
        sys.exit(2)


def _message(error: Exception) -> str | None:
    """What the user is told of an error; None if it is not meant for the user."""
    if isinstance(error, ValueError | FileNotFoundError | FileExistsError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        part = (error.name or "").partition(".")[0]
        if part in LEFT_OUT:
            return f"{part} is not installed, as in the images; run this in a clone of the repository"
        extra = EXTRAS.get(error.name or "")
        return f'{error}; it comes with pip install "nightlift[{extra}]"' if extra else None
    from service.errors import NightliftError  # brings gRPC, without which the help is quick

    return str(error) if isinstance(error, NightliftError) else None


if __name__ == "__main__":
    main()
