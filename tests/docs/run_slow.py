"""The documents' commands that take minutes, run as they stand in a fresh clone: `python -m tests.docs.run_slow`.

Clones the commit at hand, sets it up as the README says, and runs the rest in the clone's own environment: the
service and the page's curl, formatting and documents, `bench`, `--watch`, TensorBoard, a training on two devices.
With --keep FOLDER the clone stays there, and the next run takes its environment. The exit code is 1 if anything
failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docs.documents import ROOT
from tests.docs.ledger import Runner, commands_of
from tests.pictures import SCENES, dark_scene, encoded
from tests.servers import free_port

TIMEOUT = 900.0
"""Seconds for one command, or until a server answers; the first one installs everything."""

FIRST = ("make serve", "git clone")
"""Beginnings of what comes before all others, the last one first."""

COMMANDS = sorted(
    commands_of(Runner.SLOW),
    key=lambda command: next((number for number, text in enumerate(FIRST) if command.startswith(text)), -1),
    reverse=True,
)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs.run_slow", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder for the clone; a temporary one if absent")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        place = (arguments.keep or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        for command in COMMANDS:
            print(f"== {command}", flush=True)
            started = time.monotonic()
            try:
                runner_of(command)(command, place)
            except Exception as error:  # the others are still tried
                failed.append(command)
                print(f"FAILED: {error}", flush=True)
            else:
                print(f"   well, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(COMMANDS) - len(failed)} of {len(COMMANDS)} commands ran")
    return bool(failed)


def runner_of(command: str) -> Callable[[str, Path], None]:
    """What runs a command: those that serve are started, looked at and stopped."""
    for beginning, runner in (
        ("git clone", clone),
        ("make serve", serve),
        ("nightlift serve", serve),
        ("tensorboard", tensorboard),
    ):
        if command.startswith(beginning):
            return runner
    return watch if "--watch" in command else once


def clone(command: str, place: Path) -> None:
    """The clone, with the files that the other commands name."""
    folder = place / "nightlift"
    if not (folder / ".git").exists():
        shell(command.replace("<this repository>", f"file://{ROOT}"), place)
    for name in ("photos", "data/zero_dce_train"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for scene in SCENES:
            (folder / name / f"{scene}.png").write_bytes(encoded(dark_scene(scene, (160, 240))))
    (folder / "photo.jpg").write_bytes(encoded(dark_scene("coffee"), "jpeg"))


def serve(command: str, place: Path) -> None:
    """A service, until it has enhanced the photo."""
    port, grpc_port = str(free_port()), str(free_port())
    command = command.replace("0.0.0.0", "127.0.0.1").replace("8000", port)
    with running(command, place, NIGHTLIFT_PORT=port, NIGHTLIFT_GRPC_PORT=grpc_port) as process:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), process)
        photo = place / "nightlift/photo.jpg"
        request = urllib.request.Request(f"http://127.0.0.1:{port}/enhance", data=photo.read_bytes())
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.headers["Nightlift-Model"], "no model answered"


def tensorboard(command: str, place: Path) -> None:
    """TensorBoard, until it shows its page."""
    port = free_port()
    with running(f"{command} --port {port}", place) as process:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), process)


def watch(command: str, place: Path) -> None:
    """A watching command, until it has taken a photo that came later."""
    shutil.rmtree(place / "nightlift/bright", ignore_errors=True)
    with running(command, place) as process:
        wait_for((place / "nightlift/bright/contact_sheet_001.jpg").exists, process)
        shutil.copy(place / "nightlift/photo.jpg", place / "nightlift/photos/later.jpg")
        wait_for((place / "nightlift/bright/later.jpg").exists, process)


def once(command: str, place: Path) -> None:
    """Everything else ends by itself."""
    if command.startswith("nightlift bench"):
        command += " --rounds 1"
    if command.startswith("nightlift train"):
        command += " --steps 2"
        if gpus() < 2:
            command = command.replace("--device cuda", "--device cpu")
    shell(command, place / "nightlift")


def gpus() -> int:
    """How many GPUs this machine has."""
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0


def shell(command: str, folder: Path) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: if it fails; with the end of what it said.
    """
    words = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


@contextmanager
def running(command: str, place: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until it is interrupted, as by Ctrl-C; it must end well then."""
    folder = place / "nightlift"
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment(folder) | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def environment(folder: Path) -> dict[str, str]:
    """Variables for a shell in the clone with its environment activated."""
    return os.environ | {"PATH": f"{folder / '.venv/bin'}:{os.environ['PATH']}", "VIRTUAL_ENV": str(folder / ".venv")}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: if the process ended, or the time ran out.
    """
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether somebody answers there, and all is well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main())
