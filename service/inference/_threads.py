"""The threads of one runner, which run submitted work in order of arrival.

An executor of the standard library will not do: at exit the interpreter waits for its threads, for ever if a pass
hangs. CUDA runtimes keep state per thread, so a thread stays with its runner.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class _RunnerThread(threading.Thread):
    """A daemon thread, recognisable among all threads of the process."""


def any_thread_runs() -> bool:
    """Whether a thread of any runner is still alive, as one is whose pass hangs."""
    return any(isinstance(thread, _RunnerThread) for thread in threading.enumerate())


class RunnerThreads:
    """Runs submitted work in daemon threads: a single one, so strictly in sequence, until `widen` is called."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._name = name
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self.widen(1)

    def widen(self, threads: int) -> None:
        """Use at least `threads` threads from now on."""
        while len(self._threads) < threads and not self._stopped:
            self._threads.append(_RunnerThread(target=self._loop, name=self._name, daemon=True))
            self._threads[-1].start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` after everything submitted before."""
        future: Future[T] = Future()
        self._work.put((future, work))
        return future

    def stop(self, timeout: float | None = None) -> bool:
        """Wait for submitted work, at most `timeout` seconds; returns whether every thread has ended."""
        self._stopped = True
        for _ in self._threads:
            self._work.put(None)
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _loop(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work, item  # an idle thread must not keep the last batch alive
