"""Flags that several commands share, each once. Nothing is imported here that the help does not need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Repository = Annotated[
    Path | None, typer.Option(help="Folder of models in Triton's layout; NIGHTLIFT_MODEL_REPOSITORY.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model to use; the default model if absent.")]
Strength = Annotated[float, typer.Option(min=0, max=1, help="How much of the enhancement is applied.")]
Protect = Annotated[float, typer.Option(min=0, max=1, help="How far lamps and skies keep their tone.")]
Gate = Annotated[bool, typer.Option("--gate/--no-gate", help="Enhance pictures less that are bright already.")]
Gamma = Annotated[float, typer.Option(min=0.3, max=3, help="Exponent on the result; below 1 brightens.")]
Detail = Annotated[
    Literal["auto", "whole", "guided", "tiles"], typer.Option("--detail", help="How pictures meet the network.")
]
Format = Annotated[
    Literal["jpeg", "png", "webp", "avif", "tiff"] | None,
    typer.Option("--format", help="Format to write; each picture's own if absent."),
]
Quality = Annotated[int, typer.Option(min=1, max=100, help="Of lossy formats.")]
Metadata = Annotated[
    Literal["keep", "without_location", "strip"], typer.Option("--metadata", help="What is kept of EXIF.")
]
Server = Annotated[str | None, typer.Option(help="URL of a service that does the work; else this process.")]
ApiKey = Annotated[str | None, typer.Option(envvar="NIGHTLIFT_API_KEY", help="For the server, where it wants one.")]
