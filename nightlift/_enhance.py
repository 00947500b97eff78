"""`nightlift enhance`: many pictures through one backend, concurrently, with progress, a summary and an exit code."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nightlift._backends import Answer, Backend, BackendOptions, PictureRefused, open_backend
from nightlift._contact_sheets import write_contact_sheets
from nightlift._files import write_whole
from nightlift._jobs import STREAM, Job, find_jobs
from nightlift._records import Records
from nightlift._signals import Stopped, end_at_once, unless_stopped, until_signal
from service.settings import available_cores

WATCH_SECONDS = 1.0
SHOWN_FAILURES = 20

EXIT_FINE = 0
EXIT_SOME_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Order:
    """Everything that one call of `nightlift enhance` asks for.

    Attributes:
        inputs, out: as for `find_jobs`.
        options: of `POST /enhance`, without those that were not given.
        backend: where the work is done.
        workers: pictures processed at one time; 0: one more than there are cores.
        overwrite: whether finished pictures are enhanced again.
        watch: whether to wait for more pictures until a signal comes.
        compare: whether to write contact sheets.
        quiet: whether to print errors only.
        as_json: whether to print a line of JSON about each picture to standard output.
    """

    inputs: tuple[Path, ...]
    out: Path | None
    options: Mapping[str, Any]
    backend: BackendOptions
    workers: int = 0
    overwrite: bool = False
    watch: bool = False
    compare: bool = False
    quiet: bool = False
    as_json: bool = False


@dataclass
class Tally:
    """The outcome of each picture so far."""

    as_json: bool = False
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    skipped: int = 0
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)

    def enhanced(self, job: Job, answer: Answer) -> None:
        """Count a picture that was enhanced."""
        self.done += 1
        self.before.append(answer.luminance_before)
        self.after.append(answer.luminance_after)
        self.failures.pop(job.source, None)
        self._tell(
            job,
            model=f"{answer.model}/{answer.version}",
            detail=answer.detail,
            luminance_before=answer.luminance_before,
            luminance_after=answer.luminance_after,
        )

    def failed(self, job: Job, error: Exception) -> None:
        """Count a picture that could not be enhanced."""
        message = str(error)
        if isinstance(error, OSError) and error.strerror:
            message = f"{error.filename or job.target}: {error.strerror}"
        self.failures[job.source] = message
        self._tell(job, error=message)

    def left(self, jobs: Iterable[Job]) -> None:
        """Count pictures that were skipped as finished."""
        for job in jobs:
            self.skipped += 1
            self._tell(job, skipped=True)

    def _tell(self, job: Job, **what: Any) -> None:
        if self.as_json:
            print(json.dumps({"source": str(job.source), "target": str(job.target), **what}), flush=True)

    def table(self) -> Table:
        """The summary, one line."""
        seconds = time.monotonic() - self.started
        table = Table("enhanced", "already done", "failed", "brightness", "seconds", "pictures/s")
        table.add_row(
            str(self.done),
            str(self.skipped),
            str(len(self.failures)),
            f"{fmean(self.before):.3f} → {fmean(self.after):.3f}" if self.done else "–",
            f"{seconds:.1f}",
            f"{self.done / seconds:.2f}",
        )
        return table


def run(order: Order) -> int:
    """Enhance the pictures of the order; returns the exit code: 0 success, 1 some failed, 130 stopped by a signal.

    With `watch`, which always ends by a signal, the code is 0 or 1.

    Raises:
        FileNotFoundError, ValueError: if the order itself is wrong; nothing has been written then.
    """
    if order.watch and (order.out is None or STREAM in (*order.inputs, order.out)):
        raise ValueError("--watch needs an output folder and cannot read standard input; use -o FOLDER")
    if order.compare and order.out is None:
        raise ValueError("--compare needs an output for its sheets; use -o FILE or FOLDER")
    if order.as_json and (order.out == STREAM or (order.out is None and STREAM in order.inputs)):
        raise ValueError("--json and the picture cannot both go to standard output; use -o FILE")
    console = Console(stderr=True, quiet=order.quiet or order.as_json)

    jobs = find_jobs(
        *(order.inputs, order.out, order.options.get("format")),
        lambda path: _say(console, f"skipped {path}: it is a pipe, a device or a broken link, not a file"),
    )
    if not jobs and not order.watch:
        raise ValueError(f"no pictures found in {', '.join(map(str, order.inputs))}")
    end_at_once()
    return asyncio.run(_run(order, jobs, console))


@dataclass(frozen=True)
class _Run:
    """What all parts of one run need."""

    backend: Backend
    order: Order
    console: Console
    stopped: asyncio.Event
    records: Records
    tally: Tally

    def options(self, job: Job) -> dict[str, Any]:
        """The options for a picture."""
        return {**self.order.options, **({"format": job.format} if job.format else {})}


async def _run(order: Order, jobs: list[Job], console: Console) -> int:
    tally = Tally(order.as_json)
    has_stream = STREAM in (*order.inputs, order.out)
    is_folder = order.out is not None and not has_stream and all(job.target != order.out for job in jobs)
    async with open_backend(order.backend) as backend, until_signal(lambda: console.show_cursor(True)) as stopped:
        run = _Run(backend, order, console, stopped, Records(order.out if is_folder else None), tally)
        todo = _todo(run, jobs)
        tally.left(job for job in jobs if job not in todo)
        await _round(run, todo)
        if order.compare:
            await _compare(order, jobs, console)
        if order.watch:
            await _watch(run)
        interrupted = stopped.is_set() and not order.watch
    if jobs and jobs[0].target != STREAM:
        console.print(tally.table())
    errors = Console(stderr=True, quiet=order.as_json)
    for source, message in list(tally.failures.items())[:SHOWN_FAILURES]:
        errors.print(f"[red]failed[/red] {escape(f'{source}: {message}')}", highlight=False, soft_wrap=True)
    if len(tally.failures) > SHOWN_FAILURES:
        errors.print(f"and {len(tally.failures) - SHOWN_FAILURES} more")
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if tally.failures else EXIT_FINE


def _todo(run: _Run, jobs: list[Job]) -> list[Job]:
    """Pictures that are not finished, or were made with other options."""
    if run.order.overwrite:
        return jobs
    changed = {job.target for job in jobs if job.done and run.records.is_other(job.target, run.options(job))}
    if changed:
        _say(run.console, f"enhancing {len(changed)} again: they were made with other options")
    if run.order.out is None or (len(jobs) == 1 and jobs[0].target == run.order.out):
        for job in jobs:
            if job.done:
                _say(run.console, f"{job.target} already exists and was not changed; --overwrite replaces it")
    return [job for job in jobs if not job.done or job.target in changed]


async def _round(run: _Run, jobs: Sequence[Job]) -> None:
    """Enhance `jobs`, several at a time. Failures are recorded; a signal lets running jobs finish."""
    if not jobs:
        return
    waiting = iter(jobs)
    workers = min(run.order.workers or available_cores() + 1, len(jobs))
    with _bar(run.console, jobs) as advance:

        async def work() -> None:
            for job in waiting:
                if run.stopped.is_set():
                    return
                try:
                    run.tally.enhanced(job, await _one(run, job))
                except Stopped:
                    return
                except (PictureRefused, OSError) as error:
                    run.tally.failed(job, error)
                advance()

        await asyncio.gather(*(work() for _ in range(workers)))


async def _one(run: _Run, job: Job) -> Answer:
    data = await unless_stopped(run.stopped, _standard_input if job.source == STREAM else job.source.read_bytes)
    options = run.options(job)
    answer = await run.backend.enhance(data, options)
    if job.target == STREAM:
        sys.stdout.buffer.write(answer.data)
        sys.stdout.buffer.flush()
    else:
        await asyncio.to_thread(write_whole, job.target, answer.data)
        run.records.note(job.target, options)
    return answer


def _standard_input() -> bytes:
    """All of stdin. Not by `sys.stdin`: a thread that reads it holds the lock that the interpreter needs at exit."""
    return FileIO(0, closefd=False).readall()


async def _watch(run: _Run) -> None:
    """Look for new and changed pictures until a signal comes; files still being written are left for later."""
    run.console.print("watching for more pictures; press Ctrl-C to stop")
    seen: dict[Path, tuple[int, int]] = {}
    tried = {source: _state(source) for source in run.tally.failures}
    while not run.stopped.is_set():
        jobs = [job for job in _jobs_now(run.order, run.console) if not job.done]
        states = {job.source: _state(job.source) for job in jobs}
        ready = [job for job in jobs if seen.get(job.source) == states[job.source] != tried.get(job.source)]
        seen = states
        if ready:
            await _round(run, ready)
            tried |= {job.source: states[job.source] for job in ready}
            if run.order.compare:
                await _compare(run.order, _jobs_now(run.order, run.console), run.console)
        await _sleep_unless(run.stopped, WATCH_SECONDS)


def _say(console: Console, sentence: str) -> None:
    console.print(escape(sentence), highlight=False, soft_wrap=True)


def _jobs_now(order: Order, console: Console) -> list[Job]:
    try:
        return find_jobs(order.inputs, order.out, order.options.get("format"))
    except (FileNotFoundError, ValueError) as error:  # the folder may have changed meanwhile
        console.print(f"[yellow]{escape(str(error))}[/yellow]")
        return []


def _state(path: Path) -> tuple[int, int]:
    """Size and time of last change; (-1, -1) for a file that no longer exists."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


async def _sleep_unless(stopped: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)


async def _compare(order: Order, jobs: Iterable[Job], console: Console) -> None:
    assert order.out is not None  # checked by `run`
    pairs = [
        (job.source, job.target) for job in jobs if STREAM not in (job.source, job.target) and job.target.exists()
    ]
    title = ", ".join(path.resolve().name for path in order.inputs)
    for sheet in await asyncio.to_thread(write_contact_sheets, pairs, order.out, title):
        console.print(f"before and after: {escape(str(sheet))}", highlight=False, soft_wrap=True)


@contextmanager
def _bar(console: Console, jobs: Sequence[Job]) -> Iterator[Any]:
    """A progress bar on standard error; yields a function that advances it by one picture."""
    columns = (TextColumn("enhancing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=jobs[0].target == STREAM) as progress:
        task = progress.add_task("", total=len(jobs))
        yield lambda: progress.advance(task)
