"""Flags that several commands share, each once. Nothing is imported here that the help does not need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Detail = Literal["auto", "whole", "guided", "tiles"]
Format = Literal["jpeg", "png", "webp", "avif", "tiff"]
Metadata = Literal["keep", "without_location", "strip"]

Repository = Annotated[
    Path | None, typer.Option(help="Folder of models in Triton's layout; NIGHTLIFT_MODEL_REPOSITORY.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model to use; the default model if absent.")]
Strength = Annotated[float, typer.Option(min=0, max=1, help="How much of the enhancement is applied.")]
Protect = Annotated[float, typer.Option(min=0, max=1, help="How far lamps and skies keep their tone.")]
Gate = Annotated[bool, typer.Option("--gate/--no-gate", help="Enhance pictures less that are bright already.")]
Gamma = Annotated[float, typer.Option(min=0.3, max=3, help="Exponent on the result; below 1 brightens.")]
