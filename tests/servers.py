"""Real `nightlift serve` processes for tests, on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

START_SECONDS = 120.0  # the first one of a clone compiles kernels


@dataclass
class Server:
    """One running service."""

    process: subprocess.Popen[str]
    port: int
    grpc_port: int
    log: Path

    @property
    def url(self) -> str:
        """Where HTTP is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        """Where gRPC is served, as tritonclient wants it."""
        return f"127.0.0.1:{self.grpc_port}"

    def log_text(self) -> str:
        """Everything that the process wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until `/readyz` says so.

        Raises:
            AssertionError: if the process ended, or the time ran out; with what it wrote.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the server ended:\n{self.log_text()}"
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server was not ready within {seconds} s:\n{self.log_text()}")

    def wait_live(self, seconds: float = START_SECONDS) -> None:
        """Wait until it answers at all, ready or not."""
        wait_for(lambda: self._answers("/livez"), seconds)

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to stop, and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def serving(
    repository: Path,
    folder: Path,
    *,
    wait: bool = True,
    file_bytes: int | None = None,
    log_pipe: bool = False,
    **settings: object,
) -> Iterator[Server]:
    """Run `nightlift serve` over `repository`; `folder` takes its log, `settings` become NIGHTLIFT_* variables.

    `file_bytes` is how large a file the process may write, as on a disk that is full; its log is such a file. With
    `log_pipe` the log goes into a pipe that nobody reads.
    """
    ports = {"port": free_port(), "grpc_port": free_port()}
    values = {"model_repository": repository, "cpu_threads": 1, **ports, **settings}
    environment = os.environ | {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in values.items()}
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"server-{values['port']}.log"
    reader, writer = os.pipe() if log_pipe else (-1, -1)
    with os.fdopen(writer, "w") if log_pipe else log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "nightlift.cli", "serve"],
            env=environment,
            stdout=out,
            stderr=out,
            text=True,
            preexec_fn=None if file_bytes is None else partial(limit_files, file_bytes),
        )
    server = Server(process, int(str(values["port"])), int(str(values["grpc_port"])), log)
    try:
        if wait:
            server.wait_ready()
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if log_pipe:
            os.close(reader)


def limit_files(size: int) -> None:
    """Let this process write no file of more than `size` bytes; more fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
