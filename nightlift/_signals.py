"""Signals that end a run: the first lets running work finish, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SHOW_CURSOR = "\x1b[?25h"
"""What a terminal is sent after a progress bar, which hides the cursor."""


class Stopped(Exception):
    """A signal interrupted a wait that might never have ended."""


def end_at_once() -> None:
    """Let the next SIGINT or SIGTERM end the process, until `until_signal` takes over: no work has begun yet.

    With KeyboardInterrupt instead, asyncio would wait until a model is loaded.
    """
    for number in SIGNALS:
        signal.signal(number, lambda number, _: os._exit(128 + number))


@contextmanager
def first_signal(announcement: str) -> Iterator[Callable[[], int | None]]:
    """Within the block, the number of the first SIGINT or SIGTERM, None before it; a second one ends the process.

    A signal that was ignored from the start stays so: shells begin background commands of scripts deaf to SIGINT.

    Args:
        announcement: what the first signal writes to standard error, after its name.
    """
    came: list[int] = []

    def write(text: str) -> None:  # past Python's buffer, which the signal may have interrupted
        with suppress(OSError):
            os.write(2, text.encode())

    def stop(number: int, _: object) -> None:
        if came:
            if sys.stderr.isatty():
                write(SHOW_CURSOR)
            os._exit(128 + number)
        came.append(number)
        write(f"{signal.Signals(number).name}: {announcement}\n")

    heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def until_signal(last_words: Callable[[], object]) -> AsyncIterator[asyncio.Event]:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process at once, after `last_words`.

    KeyboardInterrupt will not do: the interpreter would wait for its threads, and one may be blocked in a read.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: int) -> None:
        if stopped.is_set():
            last_words()
            os._exit(128 + number)
        stopped.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield stopped
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def unless_stopped(stopped: asyncio.Event, work: Callable[[], T]) -> T:
    """The result of blocking work in a thread, which is abandoned if a signal comes first.

    Raises:
        Stopped: a signal came first.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.cancelled():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type]
        else:
            result.set_exception(error)

    def run() -> None:
        value, failure = None, None
        try:
            value = work()
        except BaseException as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, daemon=True).start()
    stop = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((result, stop), return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        result.cancel()
        raise Stopped
    finally:
        stop.cancel()
