"""`enhance`, `video` and `bulk`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nightlift._commands._flags import (
    BackendFlags,
    EnhanceFlags,
    Quiet,
    Rendering,
    Repository,
    share_or_auto,
    with_groups,
)

VIDEOS = (".mp4", ".mkv", ".mov")
"""Suffixes of videos that can be written; new files get the first."""


@with_groups
def enhance(
    inputs: Annotated[list[Path], typer.Argument(help="Files, folders (including subfolders), or - for stdin.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File or folder to write, or - for stdout; if absent, photo.nightlift.jpg beside photo.jpg.",
        ),
    ] = None,
    *,
    rendering: Rendering,
    workers: Annotated[
        int,
        typer.Option("--workers", "-w", min=0, help="Pictures processed at the same time; 0: one more than cores."),
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Enhance finished files again.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep watching for new pictures, until Ctrl-C.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write contact sheets of before and after.")
    ] = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON about each picture to standard output.")
    ] = False,
    backend: BackendFlags,
) -> None:
    """Enhance pictures. Finished files are skipped; a broken one is reported, and the others are still enhanced.

    Exit codes: 0 success, 1 some failed, 2 the command was wrong, 130 stopped by Ctrl-C. With --watch,
    which ends by Ctrl-C, 0 or 1.

    Example: `nightlift enhance photos/ -o bright/`
    """
    from nightlift._enhance import Order, run

    order = Order(
        inputs=tuple(inputs),
        out=out,
        options=rendering.options(),
        backend=backend.options(rendering.model),
        workers=workers,
        overwrite=overwrite,
        watch=watch,
        compare=compare,
        quiet=quiet,
        as_json=as_json,
    )
    raise typer.Exit(run(order))


@with_groups
def video(
    source: Annotated[str, typer.Argument(help="A video that ffmpeg reads: a file, - for stdin, or a URL.")],
    target: Annotated[
        str | None,
        typer.Argument(
            help="Video to write, H.264: .mp4, .mkv, .mov, .m3u8 for live viewing, - for stdout; if absent, "
            "night.nightlift.mp4 beside night.mp4.",
            show_default=False,
        ),
    ] = None,
    *,
    flags: EnhanceFlags,
    denoise: Annotated[
        Any,
        typer.Option(
            parser=share_or_auto,
            metavar="auto|0-1",
            help="Noise reduction for every frame, which is slow; auto: where noise would be visible.",
        ),
    ] = "0",
    temporal_smoothing: Annotated[
        float, typer.Option(min=0, max=10, help="Seconds over which the effect is averaged; 0 turns this off.")
    ] = 0.5,
    crf: Annotated[int, typer.Option(min=0, max=51, help="H.264 quality: 0 is lossless, 18 looks lossless.")] = 18,
    metadata: Annotated[
        Literal["keep", "without_location", "strip"], typer.Option(help="Which of the source's tags to keep.")
    ] = "without_location",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing video without asking.")] = False,
    quiet: Quiet = False,
    model_repository: Repository = None,
    steadiness: Annotated[float | None, typer.Option(min=0, max=10, hidden=True)] = None,
) -> None:
    """Enhance a video without flicker; sound and metadata are kept, except the location. Needs ffmpeg.

    A camera (`rtsp://...`) is recorded until Ctrl-C.

    Example: `nightlift video night.mp4 bright.mp4`
    """
    from nightlift._backends import BackendOptions
    from nightlift._video import VideoRequest, run

    if steadiness is not None:
        typer.echo("--steadiness is now --temporal-smoothing; the former name will stop working", err=True)
        temporal_smoothing = steadiness
    backend = BackendOptions(model=flags.model, model_repository=model_repository)
    if target is None:
        target = _beside(source)
    if target != "-" and Path(target).exists() and not overwrite and sys.stdin.isatty():
        overwrite = typer.confirm(f"{target} exists already. Replace it?", abort=True)
    started = time.monotonic()
    run(VideoRequest(source, target, backend, flags.guided(), temporal_smoothing, crf, metadata, overwrite, denoise))
    if not quiet and Path(target).is_file():
        size = Path(target).stat().st_size / 1e6
        typer.echo(f"{target}: {size:.1f} MB in {time.monotonic() - started:.1f} s", err=True)


def _beside(source: str) -> str:
    """The default target of a video: `NAME.nightlift.SUFFIX` beside it."""
    if source == "-" or "://" in source:
        raise typer.BadParameter("a video from stdin or a URL needs a target, such as bright.mp4 or -")
    path = Path(source)
    return str(path.with_name(f"{path.stem}.nightlift{path.suffix if path.suffix in VIDEOS else VIDEOS[0]}"))


@with_groups
def bulk(
    source: Annotated[str, typer.Argument(help="Folder or bucket: a path, s3://, gs://, hdfs://.")],
    target: Annotated[str, typer.Argument(help="Folder or bucket to write to; subfolders are kept.")],
    *,
    rendering: Rendering,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: as many as fit on the cluster.")] = 0,
    cpus: Annotated[float, typer.Option(min=0, help="CPU cores per worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs per worker; may be a fraction.")] = 0.0,
    backend: BackendFlags,
) -> None:
    """Enhance a folder or bucket on a Ray cluster; finished files are skipped. Needs the extra `ray`.

    Exit codes: 0 success, 1 some failed, 2 the command was wrong.

    Example: `nightlift bulk s3://photos/dark s3://photos/bright --cpus 4`
    """
    from nightlift.bulk import BulkRequest, enhance_bulk

    order = BulkRequest(source, target, rendering.options(), backend.options(rendering.model), workers, cpus, gpus)
    report = enhance_bulk(order)
    for name, reason in report.failures.items():
        typer.echo(f"failed {name}: {reason}", err=True)
    typer.echo(f"{report.enhanced} enhanced, {report.done} already done, {len(report.failures)} failed")
    raise typer.Exit(1 if report.failures else 0)
