"""One thread for one runner, in order of arrival.

Not an executor of the standard library: that waits for its threads when the interpreter ends, for ever if a pass of a
network hangs. CUDA runtimes keep state by thread, so a thread stays with its runner.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class RunnerThread:
    """Runs what is submitted, one after the other, in a daemon thread."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` when all that was submitted before is done."""
        future: Future[T] = Future()
        self._work.put((future, work))
        return future

    def stop(self, timeout: float | None = None) -> bool:
        """Wait for what was submitted, at most `timeout` seconds; whether the thread has ended."""
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del future, work, item  # an idle thread must not keep the last batch alive
