"""A real Triton server for tests: its core, from the nvidia-pytriton wheel, over any model repository, on the CPU.

The wheel has the core and its Python backend; `engines/triton_backends` adds the two backends that our models name,
so that a repository made for production loads as it is. Its environment is made once, in build/triton-venv: the
core's Python backend exchanges garbage with NumPy 2, so NumPy 1 goes before the packages that the tests run with.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "build" / "triton-venv"
BACKENDS = Path(__file__).with_name("engines") / "triton_backends"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ("nvidia-pytriton==0.7.0", "numpy==1.26.4")


def make_environment() -> Path:
    """Install the server, unless that has been done; its site-packages folder."""
    site = ENVIRONMENT / "lib" / f"python{PYTHON}" / "site-packages"
    done = ENVIRONMENT / "complete"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with ENVIRONMENT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not done.exists():
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            pip = [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", *PACKAGES], check=True)
            (site / "tests.pth").write_text(sysconfig.get_paths()["purelib"])
            done.touch()
    return site


class TritonServer:
    """A running server; a context manager, which waits until it is ready, and ends it.

    Args:
        repository: its model repository.
        folder: an empty folder for its backends and its log.
        options: more command line options.
    """

    def __init__(self, repository: Path, folder: Path, options: Sequence[str] = ()) -> None:
        self.http_port, self.grpc_port, self.metrics_port = _free_ports(3)
        self.log = folder / "triton.log"
        self._repository = repository
        self._options = tuple(options)
        self._site = make_environment()
        self._backends = folder / "backends"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def grpc_url(self) -> str:
        """`host:port` of its gRPC service."""
        return f"127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        """Start it, and return at once."""
        server = self._site / "pytriton" / "tritonserver"
        if not self._backends.exists():
            shutil.copytree(server / "backends", self._backends)
            shutil.copytree(BACKENDS, self._backends, dirs_exist_ok=True)
            stub = self._backends / "python" / "triton_python_backend_stub"
            shutil.copy(server / "python_backend_stubs" / PYTHON / stub.name, stub)
            stub.chmod(0o755)
        command = [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._backends}",
            "--http-address=127.0.0.1",
            f"--http-port={self.http_port}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.grpc_port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self.metrics_port}",
            "--allow-gpu-metrics=false",
            *self._options,
        ]
        libraries = (str(sysconfig.get_config_var("LIBDIR")), str(self._site / "nvidia_pytriton.libs"))
        environment = {
            **os.environ,
            "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(ENVIRONMENT),
            "PYTHONPATH": str(self._site),
            "LD_LIBRARY_PATH": ":".join(libraries),
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until it is ready.

        Raises:
            RuntimeError: if it ends, or is not ready in time; the message is the end of its log.
        """
        deadline = time.monotonic() + seconds
        url = f"http://127.0.0.1:{self.http_port}/v2/health/ready"
        while time.monotonic() < deadline:
            with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=2):
                return
            if self._process is None or self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"Triton is not ready: {self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """End it as a crash would, its backends' processes included."""
        if self._process is None:
            return
        memory = self._shared_memory()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for region in memory:
            region.unlink(missing_ok=True)

    def suspend(self, seconds: float) -> None:
        """Hold it for a while, its backends' processes included, as a machine without a free core would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.killpg(self._process.pid, signal.SIGCONT)

    def _shared_memory(self) -> set[Path]:
        """The named regions that it shares with its backends' processes, and that would outlive it."""
        assert self._process is not None
        with suppress(OSError):
            lines = Path(f"/proc/{self._process.pid}/maps").read_text().splitlines()
            return {Path(line[line.index("/dev/shm/") :]) for line in lines if "/dev/shm/triton" in line}
        return set()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> TritonServer:
        self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # a second, where an orderly end takes several


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
