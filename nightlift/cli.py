"""The command line: one command, `nightlift`, whose subcommands import what they need when they are called."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from nightlift import _commands as commands
from service.locations import clone

# Heading in the help -> its commands, in order.
COMMANDS = {
    "Pictures": (commands.enhance, commands.video, commands.bulk),
    "Service": (commands.serve, commands.models, commands.doctor, commands.bench),
    "Networks": (commands.train, commands.evaluate, commands.export),
}

# Package that the serving install lacks -> the extra that installs it.
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

TRACEBACK = "NIGHTLIFT_TRACEBACK"
"""Variable that makes unexpected errors show a traceback."""

# Parts of this repository that images and wheels leave out.
LEFT_OUT = {"benchmarks", "export", "training"}

app = typer.Typer(
    name="nightlift",
    help="Low-light image enhancement: serve, enhance, train, evaluate and export.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nightlift {metadata.version('nightlift')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Low-light image enhancement: serve, enhance, train, evaluate and export."""


for heading, functions in COMMANDS.items():
    for function in functions:
        app.command(rich_help_panel=heading)(function)
app.add_typer(commands.keys, name="keys", rich_help_panel="Service")


def main() -> None:
    """Entry point of the `nightlift` command; errors are one line, and exit with 2."""
    if (root := clone()) is not None:
        sys.path.append(str(root))
    try:
        app()
    except Exception as error:
        message = _message(error)
        if message is None:
            if os.environ.get(TRACEBACK):
                raise
            what = f"{type(error).__name__}: {_first_line(error)}"
            message = f"unexpected error: {what}; {TRACEBACK}=1 shows where it happened"
        typer.secho(f"nightlift: {message}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _message(error: Exception) -> str | None:
    """The message for the user; None if the error is not meant for the user."""
    if isinstance(error, OSError) and error.strerror:
        names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{names}: {error.strerror}" if names else error.strerror
    if hasattr(error, "errors") and type(error).__name__ == "ValidationError":  # pydantic's, in several lines
        return "; ".join(_of_settings(one) for one in error.errors())
    if isinstance(error, ValueError | FileNotFoundError | FileExistsError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        part = (error.name or "").partition(".")[0]
        if part in LEFT_OUT:
            return f"this command needs a clone of the repository: wheels and images do not include {part}"
        extra = EXTRAS.get(error.name or "")
        return f'{error}; it comes with pip install "nightlift[{extra}]"' if extra else None
    from service.errors import NightliftError  # imported late: it loads gRPC, which would slow the help

    return str(error) if isinstance(error, NightliftError) else None


def _of_settings(error: dict[str, Any]) -> str:
    """The error in one setting, with the name of its variable."""
    name = ".".join(map(str, error["loc"]))
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"NIGHTLIFT_{name.upper()}: {message}" if name else message


if __name__ == "__main__":
    main()
