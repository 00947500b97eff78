"""The servers compared: how each is installed and started, and how requests to it look."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import simplejpeg

from benchmarks._load import Target, form, post
from benchmarks._servers import free_port, running

HERE = Path(__file__).resolve().parent / "servers"
CODEC = (f"onnxruntime=={ort.__version__}", "simplejpeg", "numpy", "opencv-python-headless")
HOST = ("--host", "127.0.0.1")
VERSIONS = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@dataclass(frozen=True)
class Arrangement:
    """How a peer uses the cores: workers (processes or threads), threads per inference pass, and batch size."""

    workers: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads} threads" + (f", batches of {self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Peer:
    """A model server.

    Attributes:
        name: display name.
        package: name of the distribution on PyPI, whose version is reported.
        requirements: what pip installs in addition to ONNX Runtime and the codec.
        command: program of the environment and its arguments; `{port}` is the port, `{here}` the folder `servers`.
        ready: path that answers 200 once the server is ready.
        field: form field for the photo, if it cannot be the body of the request.
        batches: whether the server's batching works for such requests.
    """

    name: str
    package: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    ready: str
    field: str | None = None
    batches: bool = False

    def install(self, environments: Path) -> None:
        """Create the peer's environment, unless it exists.

        Raises:
            subprocess.CalledProcessError: if pip fails; its output goes to the terminal.
        """
        folder = environments / self.package
        if not (folder / "bin" / "python").is_file():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *self.requirements, *CODEC], check=True)

    def version(self, environments: Path) -> str:
        """The installed version."""
        python = str(environments / self.package / "bin" / "python")
        asked = subprocess.run([python, "-c", VERSIONS, self.package], capture_output=True, text=True, check=True)
        return asked.stdout.strip()

    @contextmanager
    def serving(
        self, environments: Path, model: Path, arrangement: Arrangement, mode: str = "whole"
    ) -> Iterator[int]:
        """Run the server; yields its port. `mode` is `whole` (full resolution) or `shrunk`, see `photo_network`.

        Raises:
            ServerError: if the server does not start.
        """
        port = free_port()
        programs = environments / self.package / "bin"
        command = [word.format(port=port, here=HERE) for word in self.command]
        environment = {
            "PEER_MODEL": str(model),
            "PEER_MODE": mode,
            "PEER_PORT": str(port),
            "PEER_WORKERS": str(arrangement.workers),
            "PEER_THREADS": str(arrangement.threads),
            "PEER_BATCH": str(arrangement.batch),
            "PYTHONPATH": str(HERE),
            "PATH": f"{programs}:/usr/bin:/bin",
            "BENTOML_DO_NOT_TRACK": "true",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        if self.package == "mlserver":
            environment |= _mlserver_ports(port)
        with running([str(programs / command[0]), *command[1:]], environment, port, path=self.ready):
            yield port

    def target(self, port: int, files: Sequence[bytes]) -> Target:
        """A target with the JPEG files as requests for this server."""
        if self.field is None:
            return Target(port, tuple(post(port, "/enhance", file) for file in files))
        return Target(port, tuple(form(port, "/enhance", file, self.field) for file in files))


PEERS = (
    Peer("FastAPI", "fastapi", ("fastapi", "uvicorn[standard]"), ("python", "{here}/fastapi_server.py"), "/health"),
    Peer("LitServe", "litserve", ("litserve",), ("python", "{here}/litserve_server.py"), "/health", batches=True),
    Peer(
        "BentoML",
        "bentoml",
        ("bentoml",),
        ("bentoml", "serve", "bentoml_server:Enhance", "--working-dir", "{here}", *HOST, "--port", "{port}"),
        "/readyz",
        field="photo",
    ),
    Peer("MLServer", "mlserver", ("mlserver",), ("mlserver", "start", "{here}/mlserver_model"), "/v2/health/ready"),
    Peer("Ray Serve", "ray", ("ray[serve]",), ("python", "{here}/ray_server.py"), "/-/healthz", batches=True),
)


def arrangements(peer: Peer, cores: int) -> list[Arrangement]:
    """The arrangements to try."""
    found = [Arrangement(cores, 1), Arrangement(1, cores)]
    return [*found, Arrangement(1, cores, 4)] if peer.batches else found


def is_picture(answer: bytes) -> bool:
    """Whether a JPEG is not black. Raises ValueError if it cannot be decoded."""
    return bool(np.mean(simplejpeg.decode_jpeg(answer)) > 0)


def _mlserver_ports(port: int) -> dict[str, str]:
    settings = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0}
    return {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_DEBUG": "false"} | {
        f"MLSERVER_{name.upper()}": json.dumps(value) for name, value in settings.items()
    }
