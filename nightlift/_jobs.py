"""The jobs of `nightlift enhance`: which picture is written where, and whether that is done already."""

from __future__ import annotations

import mimetypes
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.pictures import SUFFIXES, is_picture

FORMATS = {suffix: format.value for suffix, format in SUFFIXES.items() if format.is_written}
"""Suffix -> format that is written under it."""

NEW_SUFFIXES = {format: suffix for suffix, format in reversed(FORMATS.items())}
"""Format -> the suffix it is written under where it changes."""

ANSWERED = {suffix: NEW_SUFFIXES[format.answered_as] for suffix, format in SUFFIXES.items() if not format.is_written}
"""Suffixes of formats that are only read -> suffix of the answer."""

STREAM = Path("-")
"""Stands for standard input and standard output."""


@dataclass(frozen=True)
class Job:
    """One picture to enhance.

    Attributes:
        source: file to read, or `STREAM`.
        target: file to write, or `STREAM`.
        format: to ask for; None: the input's own.
    """

    source: Path
    target: Path
    format: str | None

    @property
    def done(self) -> bool:
        """Whether the target exists and is not older than the source, or the source no longer exists."""
        if STREAM in (self.source, self.target) or not self.target.exists():
            return False
        try:
            changed = self.source.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        return self.target.stat().st_mtime_ns >= changed


def find_jobs(
    inputs: Sequence[Path], out: Path | None, format: str | None, leave_out: Callable[[Path], None] = lambda _: None
) -> list[Job]:
    """The pictures among `inputs`, folders with everything below them, and where each goes.

    Without `out` the result of `photo.jpg` is `photo.nightlift.jpg` beside it. A single file is written to `out`
    itself if that has a picture's suffix, else into the folder `out`. The contents of a single folder go into `out`
    with the same subfolders; with several inputs, each folder keeps its name there. The suffix decides the
    output format.

    Args:
        inputs: files and folders, or `STREAM` alone.
        out: a file, a folder (created later) or `STREAM`; None: beside the inputs, or `STREAM` for `STREAM`.
        format: of all results; None: each keeps its own.
        leave_out: called with each path that has a picture's suffix but is not a file: a pipe, a device, a broken
            link. Reading one could block forever.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError: the arguments do not go together, or something would be overwritten.
    """
    for path in inputs:
        if path != STREAM and not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
        if path != STREAM and not path.is_file() and not path.is_dir():
            raise ValueError(f"{path} is neither a file nor a folder; use - to read standard input")
    if out is None and STREAM not in inputs:
        return [_beside(path, format) for path in inputs]
    if out is None:
        out = STREAM
    if STREAM in (*inputs, out) or _is_single_file(inputs, out):
        return [_single(inputs, out, format)]
    _check_folder(out)
    pairs = [pair for path in inputs for pair in _targets(path, out, len(inputs) > 1, leave_out)]
    jobs = [Job(source, *find_target(target, format)) for source, target in pairs]
    jobs = _apart(jobs, dict(pairs))
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise ValueError(f"{job.target} is an input; choose another folder for the results")
    return jobs


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people count: 2.jpg before 10.jpg."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _beside(source: Path, format: str | None) -> Job:
    """A picture's result in the same folder."""
    if source.is_dir():
        raise ValueError(f"Missing output: {source} is a folder; use -o FOLDER")
    if source.suffix.lower() not in SUFFIXES:
        raise ValueError(f"Missing output: {source} does not have the suffix of a picture; use -o FILE")
    target, written = find_target(source, format)
    return Job(source, source.with_name(f"{source.stem}.nightlift{target.suffix}"), written)


def find_target(target: Path, format: str | None) -> tuple[Path, str]:
    """(the path to write, with the suffix of its format; the format).

    Args:
        target: the path with the picture's own suffix.
        format: of the result; None: the picture's own, or a substitute for formats that are only read.
    """
    suffix = target.suffix.lower()
    if format is None:
        target = target.with_suffix(ANSWERED[suffix]) if suffix in ANSWERED else target
    elif FORMATS.get(suffix) != format:
        target = target.with_suffix(NEW_SUFFIXES[format])
    return target, FORMATS[target.suffix.lower()]


def path_within(folder: str, other: str) -> str | None:
    """Where `other` is below `folder`, `.` if it is the same; None if it is elsewhere.

    Args:
        folder, other: paths with slashes in one file system or among its buckets, without links.
    """
    target = posixpath.relpath(other, folder)
    return None if target.split("/")[0] == ".." else target


def _is_single_file(inputs: Sequence[Path], out: Path) -> bool:
    return len(inputs) == 1 and inputs[0].is_file() and not out.is_dir() and out.suffix.lower() in FORMATS


def _single(inputs: Sequence[Path], out: Path, format: str | None) -> Job:
    if len(inputs) != 1 or inputs[0].is_dir():
        raise ValueError("standard input and output can hold only one picture")
    source = inputs[0]
    if out != STREAM and out.suffix.lower() not in FORMATS:
        raise ValueError(f"{out}: unknown output format; use one of {', '.join(FORMATS)}")
    if STREAM not in (source, out) and out.exists() and out.samefile(source):
        raise ValueError(f"{out} is the input; choose another name for the result")
    suffixed = FORMATS.get(out.suffix.lower())
    if format and suffixed and format != suffixed:
        raise ValueError(
            f"{out} has the suffix of a {suffixed} file, but --format asks for {format}; leave one of them out"
        )
    return Job(source, out, format or suffixed)


def _check_folder(out: Path) -> None:
    """Refuse an output folder that has the suffix of a picture file."""
    kind = mimetypes.guess_type(out.name)[0] or ""
    if out.is_dir() or not (out.suffix.lower() in SUFFIXES or kind.startswith(("image/", "video/"))):
        return
    if out.suffix.lower() in FORMATS:
        raise ValueError(f"{out} is the name of a single picture, but there are several inputs; name a folder")
    raise ValueError(f"{out.suffix} files cannot be written; use one of {', '.join(FORMATS)}")


def _targets(
    path: Path, out: Path, keep_name: bool, leave_out: Callable[[Path], None]
) -> Iterator[tuple[Path, Path]]:
    """(picture, its target below `out` with its own suffix) for a file or folder; skips pictures inside `out`."""
    if path.is_file():
        yield path, out / path.name
        return
    base = out / path.resolve().name if keep_name else out
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        here_too = (name for name in folders if not name.startswith(".") and not _same(here / name, out))
        folders[:] = sorted(here_too, key=natural)
        for name in sorted(files, key=natural):
            if not is_picture(here / name):
                continue
            if not (here / name).is_file():
                leave_out(here / name)
            else:
                yield here / name, base / (here / name).relative_to(path)


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def _apart(jobs: list[Job], targets: dict[Path, Path]) -> list[Job]:
    """If two pictures would get the same name, those whose suffix changes keep the old suffix before the new one."""
    count = Counter(job.target for job in jobs)
    jobs = [
        Job(job.source, job.target.with_name(targets[job.source].name + job.target.suffix), job.format)
        if count[job.target] > 1 and job.target != targets[job.source]
        else job
        for job in jobs
    ]
    for target, times in Counter(job.target for job in jobs).items():
        if times > 1:
            raise ValueError(f"{times} inputs would be written to {target}; enhance them into separate folders")
    return jobs
