"""Writes log lines to standard error in a thread, so that nothing else waits if its reader stops reading."""

from __future__ import annotations

import os
import queue
import stat
import threading
import time
from contextlib import suppress

from service.telemetry._metrics import LOST_LOG_LINES

WAITING_LINES = 4096
"""Lines that wait to be written; further ones are lost."""

CLOSING_SECONDS = 1.0
"""Seconds for which the process waits at its end for unread lines."""


class LogWriter:
    """Writes lines to a file descriptor in its own thread; `write` never waits.

    Lines are lost if `WAITING_LINES` already wait, or if they cannot be written: on a full disk, or without a reader.
    They are counted, and the next line that can be written is preceded by one with their number.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(WAITING_LINES)
        self._lost = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, line: str) -> None:
        """Hand a line over, without its end."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lose(1)

    def close(self) -> None:
        """Wait until all lines are written, for `CLOSING_SECONDS` at most."""
        end = time.monotonic() + CLOSING_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.005)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            lost = self._lost
            try:
                said = (
                    f"{lost} lines of the log were lost: they were not read, or could not be written\n"
                    if lost
                    else ""
                )
                written = self._put(f"{said}{line}\n")
            except Exception:  # such as no memory: there is no other thread that writes
                written = False
            if written:
                with self._lock:
                    self._lost -= lost
            else:
                self._lose(1)
            self._lines.task_done()

    def _put(self, text: str) -> bool:
        """Whether all of it could be written."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return False
        return True

    def _lose(self, count: int) -> None:
        LOST_LOG_LINES.inc(count)
        with self._lock:
            self._lost += count


def release_standard_error() -> int:
    """A descriptor of standard error for the log; other writers to standard error no longer wait for a reader.

    C libraries write messages about damaged files directly to descriptor 2, and would block their thread on a full
    pipe. A pipe or terminal is reopened for them in non-blocking mode, so that only this process's end is affected;
    output that does not fit is lost. Files do not need this, and sockets cannot be reopened.
    """
    kept = os.dup(2)
    with suppress(OSError):
        mode = os.fstat(2).st_mode
        if stat.S_ISFIFO(mode) or os.isatty(2):
            again = os.open(f"/proc/self/fd/{kept}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            os.dup2(again, 2)  # which children inherit
            os.close(again)
    return kept
