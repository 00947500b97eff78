"""`python -m tests.installation [PYTHON...]`: the built wheel, in clean environments and another folder, and used.

    python -m tests.installation                                # this Python
    python -m tests.installation python3.11 python3.12 python3.13

Builds the wheel, looks at what it holds, and for each Python installs it with what it needs, and no extra, into an
environment of its own; there, far from the clone, a photo is enhanced by the command, by `nightlift.enhance` and by a
`nightlift serve` that answers the client. Takes a minute for each, and a package index.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.pictures import dark_scene, encoded

ROOT = Path(__file__).resolve().parents[1]
SERVING = {"nightlift", "service"}

USE = """
import os, pathlib, sys, time
from nightlift import Client
assert 'site-packages' in sys.modules['nightlift'].__file__, sys.modules['nightlift'].__file__
heavy = {'numpy', 'PIL', 'service', 'onnxruntime'} & set(sys.modules)
assert not heavy, heavy
client = Client(f'localhost:{sys.argv[1]}')
until = time.monotonic() + 120
while not client.ready():
    assert time.monotonic() < until, 'the service is not ready'
    time.sleep(0.2)
served = client.enhance('photo.jpg', format='png')
from nightlift import enhance
here = enhance(pathlib.Path('photo.jpg'), format='png')
assert served.data == here.data
assert served.luminance_after > 2 * served.luminance_before
names = [model['name'] for model in client.models()['models']]
assert 'nightlift' in names and 'zero_dce' in names, names
print(served, len(names), 'models')
"""


def main(pythons: list[str]) -> int:
    """Build, and try in each Python; the exit code is 1 where one failed."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for python in pythons:
            started = time.monotonic()
            try:
                said = try_in(python, wheel, Path(folder) / Path(python).name)
            except (subprocess.CalledProcessError, AssertionError) as error:
                failed.append(python)
                said = f"failed: {error}\n{getattr(error, 'stderr', '') or ''}"
            print(f"{python}: {said} ({time.monotonic() - started:.0f} s)", flush=True)
    return int(bool(failed))


def build(folder: Path) -> Path:
    """The wheel, after a look at what it holds: what serves, with the models and no weights to train on."""
    clean = folder / "clone"
    subprocess.run(["git", "-C", ROOT, "clone", "--quiet", "--depth=1", f"file://{ROOT}", clean], check=True)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, clean)
    (wheel,) = folder.glob("nightlift-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == SERVING, tops
    models = {name.split("/")[2] for name in names if name.endswith("/model.onnx")}
    assert models == {path.parent.parent.name for path in ROOT.glob("model_repository/*/*/model.onnx")}, models
    assert not [name for name in names if name.endswith(".safetensors")]
    assert "nightlift/py.typed" in names
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(models)} models")
    return wheel


def try_in(python: str, wheel: Path, folder: Path) -> str:
    """Install the wheel for a Python, and use it in another folder; what the use said."""
    run(python, "-m", "venv", folder / "environment")
    programs = folder / "environment/bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "photo.jpg").write_bytes(encoded(dark_scene(), "jpeg"))
    version = run(programs / "nightlift", "--version", at=elsewhere).strip()
    run(programs / "nightlift", "enhance", "photo.jpg", at=elsewhere)
    assert (elsewhere / "photo.nightlift.jpg").stat().st_size > 1000
    run(programs / "nightlift", "doctor", at=elsewhere)
    bench = subprocess.run(
        [programs / "nightlift", "bench"], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert "needs a clone of the repository" in bench.stderr, bench.stderr
    port, grpc_port = free_ports()
    service = subprocess.Popen(
        [programs / "nightlift", "serve", "--port", str(port), "--grpc-port", str(grpc_port)],
        cwd=elsewhere,
        env=bare_environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        said = run(programs / "python", "-c", USE, str(port), at=elsewhere).strip()
    finally:
        service.terminate()
        service.wait(30)
    return f"{version}, {said}"


def free_ports() -> tuple[int, int]:
    """Two ports that nobody has."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def bare_environment() -> dict[str, str]:
    """Without what points to the clone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTLIFT_", "PYTHON"))}


def run(*command: object, at: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    outcome = subprocess.run(words, cwd=at, env=bare_environment(), capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise subprocess.CalledProcessError(outcome.returncode, words, outcome.stdout, outcome.stderr[-2000:])
    return outcome.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [sys.executable]))
