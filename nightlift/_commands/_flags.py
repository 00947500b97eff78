"""Flags that several commands share. Only what the help needs is imported here, so that it is fast.

A group of flags is a frozen dataclass. A command takes it as one argument and is decorated with `with_groups`.
"""

from __future__ import annotations

import functools
import glob
import inspect
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from service.limits import EXPOSURE_RANGE, GAMMA_RANGE, MAX_SIDE_RANGE, SHADOWS_RANGE, SHARE_RANGE
from service.locations import model_repository as bundled_models

if TYPE_CHECKING:
    from nightlift._backends import BackendOptions
    from service.rendering import RenderOptions

Repository = Annotated[
    Path | None, typer.Option(help="Model repository, a folder in Triton's layout (NIGHTLIFT_MODEL_REPOSITORY).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """Model names for shell completion; read from file names alone, since the shell waits."""
    given = context.params.get("model_repository") or os.environ.get("NIGHTLIFT_MODEL_REPOSITORY")
    folder = Path(given) if given else bundled_models()
    return sorted(path.parent.name for path in folder.glob(f"{glob.escape(incomplete)}*/config.pbtxt"))


Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model to use; if absent, the default model.", autocompletion=model_names),
]
Detail = Annotated[
    Literal["auto", "whole", "guided", "tiles"], typer.Option("--detail", help="At which size the network runs.")
]
Format = Annotated[
    Literal["jpeg", "jpg", "png", "webp", "avif", "tiff", "tif"] | None,
    typer.Option("--format", help="Format to write; if absent, same as the original."),
]
Metadata = Annotated[
    Literal["keep", "without_location", "strip"],
    typer.Option("--metadata", help="Which EXIF, XMP and IPTC data to keep."),
]


def share_or_auto(value: str) -> str | float:
    """What `--denoise` takes."""
    if value == "auto":
        return value
    lowest, highest = SHARE_RANGE
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not lowest <= share <= highest:
        raise typer.BadParameter(f"{value!r} is neither auto nor a number from {lowest} to {highest}")
    return share


@dataclass(frozen=True)
class EnhanceFlags:
    """How far the enhancement goes, in pictures and videos alike."""

    model: Model = None
    strength: Annotated[
        float, typer.Option(min=SHARE_RANGE[0], max=SHARE_RANGE[1], help="How much of the enhancement to apply.")
    ] = 1.0
    protect: Annotated[
        float,
        typer.Option(
            min=SHARE_RANGE[0], max=SHARE_RANGE[1], help="How much to protect bright areas such as lamps and skies."
        ),
    ] = 0.5
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Enhance pictures that are already bright less.")] = (
        True
    )
    gamma: Annotated[
        float, typer.Option(min=GAMMA_RANGE[0], max=GAMMA_RANGE[1], help="Exponent on the result; below 1 brightens.")
    ] = 1.0
    exposure: Annotated[
        float,
        typer.Option(
            min=EXPOSURE_RANGE[0], max=EXPOSURE_RANGE[1], help="Stops brighter or darker than the automatic result."
        ),
    ] = 0.0
    shadows: Annotated[
        float,
        typer.Option(
            min=SHADOWS_RANGE[0], max=SHADOWS_RANGE[1], help="Lift only the dark areas or, below 0, darken them."
        ),
    ] = 0.0

    def guided(self) -> RenderOptions:
        """The options of a video's frames."""
        from service.rendering import Detail, RenderOptions

        return RenderOptions(
            Detail.GUIDED, self.strength, self.protect, self.gate, self.gamma, self.exposure, self.shadows
        )


@dataclass(frozen=True)
class Rendering(EnhanceFlags):
    """The parameters of `POST /enhance`."""

    denoise: Annotated[
        Any,
        typer.Option(
            parser=share_or_auto, metavar="auto|0-1", help="Noise reduction; auto: where noise would be visible."
        ),
    ] = "auto"
    detail: Detail = "auto"
    max_side: Annotated[
        int | None,
        typer.Option(min=MAX_SIDE_RANGE[0], max=MAX_SIDE_RANGE[1], help="Longest side of the result in pixels."),
    ] = None
    format: Format = None
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of lossy formats.")] = 90
    metadata: Metadata = "without_location"

    def options(self) -> dict[str, Any]:
        """The parameters by name, without those that were not given."""
        from service.pictures import FORMAT_ALIASES

        options = given(**{field.name: getattr(self, field.name) for field in fields(self)})
        if "format" in options:
            options["format"] = FORMAT_ALIASES.get(options["format"], options["format"])
        return options


@dataclass(frozen=True)
class BackendFlags:
    """Where the work is done: in this process, or by a service."""

    server: Annotated[
        str | None,
        typer.Option(help="Address of a service to use, such as localhost:8000; if absent, work in this process."),
    ] = None
    api_key: Annotated[str | None, typer.Option(envvar="NIGHTLIFT_API_KEY", help="API key for the server.")] = None
    ca: Annotated[
        Path | None,
        typer.Option(envvar="NIGHTLIFT_CA", help="PEM file of the CA that signed the server's certificate."),
    ] = None
    client_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="NIGHTLIFT_CLIENT_CERTIFICATE",
            help="PEM file with a client certificate and its key.",
        ),
    ] = None
    model_repository: Repository = None

    def options(self, model: str | None) -> BackendOptions:
        """What opens the backend for a model."""
        from nightlift._backends import BackendOptions

        return BackendOptions(
            self.server, self.api_key, self.ca, self.client_certificate, model, self.model_repository
        )


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each dataclass argument replaced by one flag per field."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            kinds = get_type_hints(groups[name], include_extras=True)
            parameters += [
                parameter.replace(name=field.name, default=field.default, annotation=kinds[field.name])
                for field in fields(groups[name])
            ]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @functools.wraps(command)
    def flat(**flags: Any) -> None:
        for name, group in groups.items():
            flags[name] = group(**{field.name: flags.pop(field.name) for field in fields(group)})
        command(**flags)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def given(**flags: Any) -> dict[str, Any]:
    """The flags that were given, by name; the callee has the defaults of the others."""
    return {name: value for name, value in flags.items() if value is not None}
