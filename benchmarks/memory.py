"""`python -m benchmarks.memory`: the resident memory of a service, as accounted by the kernel. Linux only.

One request: a fresh `nightlift serve` enhances one large JPEG, or one of the files given by `--files`, guided. Its
resident memory is read before and after, and at its peak: the kernel records the peak of the main process, and
sampling every few milliseconds finds that of all processes together. Plateau: one service gets thousands of requests
for pictures of hundreds of sizes; its memory must stop growing.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import simplejpeg
from PIL import Image

from benchmarks._codec_floor import night_scene
from benchmarks._servers import free_port, running

MEGABYTE = 1_000_000
LARGE = ((4000, 3000), (8000, 6000))
MIN_SIDE, MAX_SIDE = 240, 1600
START_SECONDS = 120.0
SETTLE_SECONDS = 1.0
LOOK_SECONDS = 0.005
CLIENTS = 2


@dataclass(frozen=True)
class OneRequest:
    """Resident memory before, during and after one request, and the size of its file, in bytes; sides in pixels."""

    width: int
    height: int
    file: int
    before: int
    peak: int
    after: int

    @property
    def bytes_per_pixel(self) -> float:
        """Bytes of the peak above idle, per pixel of the picture."""
        return (self.peak - self.before) / (self.width * self.height)


class Service:
    """A running service and its memory."""

    def __init__(self, process: int, url: str) -> None:
        self._process = process
        self._client = httpx.Client(base_url=url, timeout=120)

    def enhance(self, file: bytes, format: str | None = None) -> bytes:
        """Enhance one picture, guided; returns the enhanced file, by default in the format of the original."""
        options = {"detail": "guided"} | ({"format": format} if format else {})
        return self._client.post("/enhance", params=options, content=file).raise_for_status().content

    def resident(self) -> int:
        """Resident bytes of the process and its children now."""
        return _resident_with_children(self._process)

    def _peak(self) -> int:
        """Largest number of resident bytes of the main process since `reset`."""
        status = Path(f"/proc/{self._process}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])

    @contextmanager
    def watched(self) -> Iterator[list[int]]:
        """A list whose item, after the block, is the peak resident bytes of the process and its children."""
        peaks = [0]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                peaks[0] = max(peaks[0], _resident_with_children(self._process))

        looking = threading.Thread(target=watch)
        looking.start()
        try:
            yield peaks
        finally:
            ended.set()
            looking.join()
            peaks[0] = max(peaks[0], self._peak())

    def reset(self) -> None:
        """Make the kernel record the peak from now on."""
        Path(f"/proc/{self._process}/clear_refs").write_text("5")


def _resident_with_children(process: int) -> int:
    """Resident bytes of a process and all its descendants."""
    try:
        resident = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):
        return 0  # the process has ended
    return resident + sum(map(_resident_with_children, children))


@contextmanager
def serving(model: str) -> Iterator[Service]:
    """A new service on a free port that serves only this model."""
    port = free_port()
    settings = {"port": port, "grpc_port": 0, "models": model, "default_model": model, "log_level": "warning"}
    environment = {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "nightlift.cli", "serve"]
    with running(command, environment, port, path="/readyz", time_limit=START_SECONDS) as process:
        yield Service(process, f"http://127.0.0.1:{port}")


def one_request(model: str, width: int, height: int) -> OneRequest:
    """Resident memory of a new service and its children around its first request, a JPEG of this size in pixels."""
    return one_file(model, simplejpeg.encode_jpeg(night_scene(width, height), quality=90, colorsubsampling="420"))


def one_file(model: str, file: bytes, format: str | None = None) -> OneRequest:
    """Resident memory of a new service and its children around its first request."""
    with serving(model) as service:
        before = service.resident()
        service.reset()
        with service.watched() as peaks:
            answer = service.enhance(file, format)
        time.sleep(SETTLE_SECONDS)
        after = service.resident()
    Image.MAX_IMAGE_PIXELS = None
    width, height = Image.open(io.BytesIO(answer)).size
    return OneRequest(width, height, len(file), before, peaks[0], after)


def plateau(model: str, requests: int, sizes: int, every: int) -> Iterator[tuple[int, int]]:
    """(requests served, resident bytes) after every `every` requests, for pictures of `sizes` different sizes."""
    random = np.random.default_rng(0)
    sides = random.integers(MIN_SIDE, MAX_SIDE, (sizes, 2))
    scene = night_scene(MAX_SIDE, MAX_SIDE)
    files = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(scene[:rows, :columns]), quality=90) for rows, columns in sides
    ]
    with serving(model) as service, ThreadPoolExecutor(CLIENTS) as clients:
        yield 0, service.resident()
        for first in range(0, requests, every):
            chosen = random.integers(0, sizes, min(every, requests - first))
            list(clients.map(lambda index: service.enhance(files[index]), chosen))
            yield first + len(chosen), service.resident()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", default="zero_dce_improved")
    parser.add_argument("--requests", type=int, default=2000, help="requests for the plateau; 0 skips it")
    parser.add_argument("--sizes", type=int, default=300, help="number of different picture sizes for the plateau")
    parser.add_argument("--every", type=int, default=250, help="requests between two readings of the plateau")
    parser.add_argument("--no-large", action="store_true", help="skip the single large requests")
    parser.add_argument("--files", type=Path, nargs="+", default=[], help="measure only these files, one by one")
    parser.add_argument("--format", help="format of the answers to --files")
    wishes = parser.parse_args(arguments)
    if wishes.files:
        print("| file | its size, MB | before, MB | peak, MB | after, MB | peak above idle, bytes a pixel |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for path in wishes.files:
            print(_line(path.name, one_file(wishes.model, path.read_bytes(), wishes.format)), flush=True)
        return
    if not wishes.no_large:
        print("| picture | file, MB | before, MB | peak, MB | after, MB | peak above idle, bytes a pixel |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for width, height in LARGE:
            print(_line(f"{width}x{height}", one_request(wishes.model, width, height)), flush=True)
    if wishes.requests:
        print("\n| requests | resident, MB |\n| ---: | ---: |")
        for served, resident in plateau(wishes.model, wishes.requests, wishes.sizes, wishes.every):
            print(f"| {served} | {resident / MEGABYTE:.0f} |", flush=True)


def _line(name: str, one: OneRequest) -> str:
    sizes = " | ".join(f"{size / MEGABYTE:.0f}" for size in (one.file, one.before, one.peak, one.after))
    return f"| {name} | {sizes} | {one.bytes_per_pixel:.1f} |"


if __name__ == "__main__":
    main()
