"""Runs servers as separate processes on free ports of 127.0.0.1, and ends them with all their child processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from benchmarks._tables import ROOT


class ServerError(RuntimeError):
    """A server did not start; the message contains the last lines of its output."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_servers() -> None:
    """Make SIGTERM raise SystemExit in this process, so that `running` ends its servers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], port: int, *, path: str = "/", time_limit: float = 90.0
) -> Iterator[int]:
    """Run a server in its own process group until the block ends; yields its process id.

    Args:
        command: program and arguments.
        environment: variables in addition to those of this process.
        port: where the server will listen.
        path: path that answers a GET with 200 once the server is ready.
        time_limit: seconds to wait until it is ready.

    Raises:
        ServerError: if the server ends, or is not ready in time.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
        )
        try:
            _wait_ready(process, port, path, time_limit, log)
            yield process.pid
        finally:
            _end(process)


@contextmanager
def nightlift(**settings: object) -> Iterator[int]:
    """Run `nightlift serve` with `zero_dce_improved` and the given settings; yields its HTTP port."""
    port = free_port()
    model = {"models": "zero_dce_improved", "default_model": "zero_dce_improved"}
    chosen = {"port": port, "grpc_port": 0, "log_level": "warning", **model, **settings}
    environment = {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in chosen.items()}
    with running([sys.executable, "-m", "nightlift.cli", "serve"], environment, port, path="/readyz"):
        yield port


def _wait_ready(process: subprocess.Popen[bytes], port: int, path: str, time_limit: float, log: TextIO) -> None:
    end = time.monotonic() + time_limit
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServerError(f"the server ended with {process.returncode}:\n{_tail(log)}")
        if _answers(port, path):
            return
        time.sleep(0.1)
    raise ServerError(f"the server was not ready within {time_limit:g} s:\n{_tail(log)}")


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as probe:
            probe.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in probe.recv(64)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; after 8 seconds, kill its process group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(8)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(log: TextIO) -> str:
    log.seek(0)
    return "".join(log.readlines()[-25:])
