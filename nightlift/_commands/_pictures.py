"""`enhance`, `video` and `bulk`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nightlift._commands._flags import Look, Place, Rendering, Repository, with_groups


@with_groups
def enhance(
    inputs: Annotated[list[Path], typer.Argument(help="Files, folders (with all below them), or - for stdin.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File or folder to write, or - for stdout, stdin's default.")
    ] = None,
    *,
    rendering: Rendering,
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Pictures at a time; 0: cores + 1.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is done.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Then wait for more pictures, until Ctrl-C.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write contact sheets of before and after, too.")
    ] = False,
    place: Place,
) -> None:
    """Enhance pictures. Those that are done are skipped; one that is broken is reported and stops no other.

    Exit codes: 0 all is well, 1 some failed, 2 the command was wrong, 130 stopped by Ctrl-C. With --watch,
    which ends by Ctrl-C, 0 or 1.

    Example: `nightlift enhance photos/ -o bright/`
    """
    from nightlift._enhance import Order, run

    if out is None and inputs != [Path("-")]:
        raise typer.BadParameter("say where the results go", param_hint="--out")
    order = Order(
        inputs=tuple(inputs),
        out=out or Path("-"),
        options=rendering.options(),
        plane=place.plane(rendering.model),
        workers=workers,
        overwrite=overwrite,
        watch=watch,
        compare=compare,
    )
    raise typer.Exit(run(order))


@with_groups
def video(
    source: Annotated[str, typer.Argument(help="A video that ffmpeg reads: a file, - for stdin, or a URL.")],
    target: Annotated[
        str,
        typer.Argument(help="Video to write, H.264: .mp4, .mkv, .mov, .m3u8 to be watched at once, - for stdout."),
    ],
    *,
    look: Look,
    steadiness: Annotated[
        float, typer.Option(min=0, max=10, help="Seconds over which the effect is averaged; 0: none.")
    ] = 0.5,
    crf: Annotated[int, typer.Option(min=0, max=51, help="Quality of the stream: 0 is lossless, 18 looks so.")] = 18,
    metadata: Annotated[
        Literal["keep", "without_location", "strip"], typer.Option(help="What is kept of the source's tags.")
    ] = "without_location",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a video that is there, unasked.")] = False,
    model_repository: Repository = None,
) -> None:
    """Enhance a video without flicker; sound and metadata are kept, but not the place. Needs ffmpeg.

    A camera (`rtsp://...`) is watched until Ctrl-C; what came until then is kept.

    Example: `nightlift video night.mp4 bright.mp4`
    """
    from nightlift._planes import PlaneOptions
    from nightlift._video import VideoOrder, guided, run

    plane = PlaneOptions(model=look.model, model_repository=model_repository)
    options = guided(look.strength, look.protect, look.gate, look.gamma)
    if target != "-" and Path(target).exists() and not overwrite and sys.stdin.isatty():
        overwrite = typer.confirm(f"{target} is there already. Replace it?", abort=True)
    run(VideoOrder(source, target, plane, options, steadiness, crf, metadata, overwrite))


@with_groups
def bulk(
    source: Annotated[str, typer.Argument(help="Folder or bucket: a path, s3://, gs://, hdfs://.")],
    target: Annotated[str, typer.Argument(help="Folder or bucket to write, the tree kept.")],
    *,
    rendering: Rendering,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: as many as the cluster has room for.")] = 0,
    cpus: Annotated[float, typer.Option(min=0, help="Cores a worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs a worker; may be a fraction.")] = 0.0,
    place: Place,
) -> None:
    """Enhance a folder or bucket on a Ray cluster; what is done is skipped. Needs the extra `ray`.

    Exit codes: 0 all is well, 1 some failed, 2 the command was wrong.

    Example: `nightlift bulk s3://photos/dark s3://photos/bright --cpus 4`
    """
    from nightlift.bulk import BulkOrder, enhance_bulk

    order = BulkOrder(source, target, rendering.options(), place.plane(rendering.model), workers, cpus, gpus)
    report = enhance_bulk(order)
    for name, reason in report.failures.items():
        typer.echo(f"failed {name}: {reason}", err=True)
    typer.echo(f"{report.enhanced} enhanced, {report.done} already done, {len(report.failures)} failed")
    raise typer.Exit(1 if report.failures else 0)
