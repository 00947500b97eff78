"""`serve`, and the commands that examine what it would serve: `models`, `doctor`, `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nightlift._commands._flags import Json, Repository, given, model_names


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (NIGHTLIFT_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port, 0 for a free one (NIGHTLIFT_PORT).")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="gRPC port (NIGHTLIFT_GRPC_PORT).")] = None,
    model_repository: Repository = None,
) -> None:
    """Run the service. Every setting is an environment variable NIGHTLIFT_*; flags take precedence.

    Example: `nightlift serve --port 8080`
    """
    from service.server import run
    from service.settings import Settings

    run(Settings(**given(host=host, port=port, grpc_port=grpc_port, model_repository=model_repository)))


def models(
    as_json: Json = False,
    model_repository: Repository = None,
) -> None:
    """List the models in a repository with their measured scores.

    Example: `nightlift models`
    """
    from nightlift._listing import print_models
    from service.settings import Settings

    settings = Settings(**given(model_repository=model_repository))
    print_models(settings.model_repository, settings.default_model, as_json=as_json)


def doctor(
    as_json: Json = False,
    model_repository: Repository = None,
) -> None:
    """Check what is installed, which devices work, and what each model would run on; exits with 1 on errors.

    Example: `nightlift doctor`
    """
    from nightlift._listing import print_findings
    from service.doctor import examine, exit_status
    from service.settings import Settings

    findings = examine(Settings(**given(model_repository=model_repository)))
    raise typer.Exit(exit_status(print_findings(findings, as_json=as_json)))


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models to measure; if absent, the default model.", autocompletion=model_names),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT, may be repeated; if absent, 600x400 and 4000x3000.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds for each program.", min=1)] = 9,
    out: Annotated[Path | None, typer.Option(help="Markdown file to write; if absent, print.")] = None,
    model_repository: Repository = None,
) -> None:
    """Measure the service, JPEG to JPEG in this process, against the codec alone and the network alone.

    Under load, and beside other servers: `python -m benchmarks.serving --help`, `python -m benchmarks.peers --help`.

    Example: `nightlift bench zero_dce_improved --size 4000x3000`
    """
    from benchmarks import parse_size, run
    from service.settings import Settings

    settings = Settings(**given(model_repository=model_repository))
    sizes = [parse_size(text) for text in size or ("600x400", "4000x3000")]
    table = run(settings, models or [settings.default_model], sizes, rounds)
    if out is None:
        typer.echo(table)
    else:
        out.write_text(table + "\n", encoding="utf-8")
