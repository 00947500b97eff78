"""`nightlift enhance`: many pictures through one plane, side by side, with a bar, a summary and an exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nightlift._contact_sheets import write_contact_sheets
from nightlift._files import write_whole
from nightlift._jobs import STREAM, Job, find_jobs
from nightlift._planes import Answer, PictureRefused, Plane, PlaneOptions, open_plane
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
        options: of `POST /enhance`, without those that are left to the service.
        plane: where the work is done.
        workers: pictures under way at one time; 0: one more than there are cores.
        overwrite: whether pictures that are done are done again.
        watch: whether to wait for more pictures until a signal comes.
        compare: whether to write contact sheets.
    """

    inputs: tuple[Path, ...]
    out: Path
    options: Mapping[str, Any]
    plane: PlaneOptions
    workers: int = 0
    overwrite: bool = False
    watch: bool = False
    compare: bool = False


@dataclass
class Tally:
    """What became of the pictures so far."""

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
    """Enhance what the order names; the exit code: 0 all fine, 1 some failed, 130 stopped by a signal.

    With `watch`, which ends by a signal, 0 or 1.

    Raises:
        FileNotFoundError, ValueError: if the order itself is wrong; nothing has been written then.
    """
    if order.watch and STREAM in (*order.inputs, order.out):
        raise ValueError("--watch needs folders, not standard input or output")
    jobs = find_jobs(order.inputs, order.out, order.options.get("format"))
    if not jobs and not order.watch:
        raise ValueError(f"there is no picture in {', '.join(map(str, order.inputs))}")
    return asyncio.run(_run(order, jobs))


async def _run(order: Order, jobs: list[Job]) -> int:
    console = Console(stderr=True)
    tally = Tally()
    async with open_plane(order.plane) as plane, _until_signal() as stopped:
        todo = [job for job in jobs if order.overwrite or not job.done]
        tally.skipped = len(jobs) - len(todo)
        await _round(plane, order, todo, tally, console, stopped)
        if order.compare:
            await _compare(order, jobs, console)
        if order.watch:
            await _watch(plane, order, tally, console, stopped)
        interrupted = stopped.is_set() and not order.watch
    if jobs and jobs[0].target != STREAM:
        console.print(tally.table())
    for source, message in list(tally.failures.items())[:SHOWN_FAILURES]:
        console.print(f"[red]failed[/red] {escape(f'{source}: {message}')}", highlight=False, soft_wrap=True)
    if len(tally.failures) > SHOWN_FAILURES:
        console.print(f"and {len(tally.failures) - SHOWN_FAILURES} more")
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if tally.failures else EXIT_FINE


async def _round(
    plane: Plane, order: Order, jobs: Sequence[Job], tally: Tally, console: Console, stopped: asyncio.Event
) -> None:
    """Enhance `jobs`, several at a time. A failure is noted and stops nobody; a signal lets running ones finish."""
    if not jobs:
        return
    waiting = iter(jobs)
    workers = min(order.workers or available_cores() + 1, len(jobs))
    with _bar(console, jobs) as advance:

        async def work() -> None:
            for job in waiting:
                if stopped.is_set():
                    return
                try:
                    tally.enhanced(job, await _one(plane, job, order.options))
                except (PictureRefused, OSError) as error:
                    tally.failures[job.source] = str(error)
                advance()

        await asyncio.gather(*(work() for _ in range(workers)))


async def _one(plane: Plane, job: Job, options: Mapping[str, Any]) -> Answer:
    read = sys.stdin.buffer.read if job.source == STREAM else job.source.read_bytes
    data = await asyncio.to_thread(read)
    answer = await plane.enhance(data, {**options, "format": job.format} if job.format else options)
    if job.target == STREAM:
        sys.stdout.buffer.write(answer.data)
        sys.stdout.buffer.flush()
    else:
        await asyncio.to_thread(write_whole, job.target, answer.data)
    return answer


async def _watch(plane: Plane, order: Order, tally: Tally, console: Console, stopped: asyncio.Event) -> None:
    """Look for new and changed pictures until a signal comes. One that is still being written is left to rest."""
    console.print("watching for more pictures; Ctrl-C ends it")
    seen: dict[Path, tuple[int, int]] = {}
    tried = {source: _state(source) for source in tally.failures}
    while not stopped.is_set():
        jobs = [job for job in _jobs_now(order, console) if not job.done]
        states = {job.source: _state(job.source) for job in jobs}
        ready = [job for job in jobs if seen.get(job.source) == states[job.source] != tried.get(job.source)]
        seen = states
        if ready:
            await _round(plane, order, ready, tally, console, stopped)
            tried |= {job.source: states[job.source] for job in ready}
            if order.compare:
                await _compare(order, _jobs_now(order, console), console)
        await _sleep_unless(stopped, WATCH_SECONDS)


def _jobs_now(order: Order, console: Console) -> list[Job]:
    try:
        return find_jobs(order.inputs, order.out, order.options.get("format"))
    except (FileNotFoundError, ValueError) as error:  # the folder changes while we look; so may the reason
        console.print(f"[yellow]{escape(str(error))}[/yellow]")
        return []


def _state(path: Path) -> tuple[int, int]:
    """Size and time of last change; of a file that has gone, nothing that a file can have."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


async def _sleep_unless(stopped: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)


async def _compare(order: Order, jobs: Iterable[Job], console: Console) -> None:
    pairs = [
        (job.source, job.target) for job in jobs if STREAM not in (job.source, job.target) and job.target.exists()
    ]
    for sheet in await asyncio.to_thread(write_contact_sheets, pairs, order.out):
        console.print(f"before and after: {escape(str(sheet))}", highlight=False, soft_wrap=True)


@asynccontextmanager
async def _until_signal() -> AsyncIterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process as usual."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopped.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextmanager
def _bar(console: Console, jobs: Sequence[Job]) -> Iterator[Any]:
    """A progress bar on standard error; gives what advances it by one picture."""
    columns = (TextColumn("enhancing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=jobs[0].target == STREAM) as progress:
        task = progress.add_task("", total=len(jobs))
        yield lambda: progress.advance(task)
