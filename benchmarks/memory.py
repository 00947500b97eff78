"""`python -m benchmarks.memory`: what a service's process takes of memory, by the kernel's own accounts. Linux only.

One request: a fresh `nightlift serve` is asked to enhance one large JPEG, or one of the files given by `--files`,
guided; its resident memory is read before, at its peak (the kernel keeps the maximum, which is reset before the
request; where children help, all are looked at every few milliseconds) and after. Plateau: one service gets thousands
of requests of hundreds of different sizes, and must not go on growing.
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
    """Resident bytes of a process around one request for a picture of `pixels`."""

    width: int
    height: int
    file: int
    before: int
    peak: int
    after: int

    @property
    def bytes_per_pixel(self) -> float:
        """Peak above idle for each pixel of the picture."""
        return (self.peak - self.before) / (self.width * self.height)


class Service:
    """One running service, and the kernel's accounts of its memory."""

    def __init__(self, process: int, url: str) -> None:
        self._process = process
        self._client = httpx.Client(base_url=url, timeout=120)

    def enhance(self, file: bytes, format: str | None = None) -> bytes:
        """Enhance one picture, guided; the answer, in its own format where none is given."""
        options = {"detail": "guided"} | ({"format": format} if format else {})
        return self._client.post("/enhance", params=options, content=file).raise_for_status().content

    def resident(self, name: str = "VmRSS") -> int:
        """Bytes resident now, or with VmHWM the most since `reset`."""
        status = Path(f"/proc/{self._process}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])

    @contextmanager
    def watched(self) -> Iterator[list[int]]:
        """The most bytes that the process and its children had together while the block ran, in the list after it."""
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
            peaks[0] = max(peaks[0], self.resident("VmHWM"))

    def reset(self) -> None:
        """Let the kernel measure the peak from now on."""
        Path(f"/proc/{self._process}/clear_refs").write_text("5")


def _resident_with_children(process: int) -> int:
    """Bytes resident of a process and all below it."""
    try:
        resident = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):
        return 0  # it has ended
    return resident + sum(map(_resident_with_children, children))


@contextmanager
def serving(model: str) -> Iterator[Service]:
    """A fresh service on a free port, with this model alone."""
    port = free_port()
    settings = {"port": port, "grpc_port": 0, "models": model, "default_model": model, "log_level": "warning"}
    environment = {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "nightlift.cli", "serve"]
    with running(command, environment, port, path="/readyz", time_limit=START_SECONDS) as process:
        yield Service(process, f"http://127.0.0.1:{port}")


def one_request(model: str, width: int, height: int) -> OneRequest:
    """Resident memory of a fresh service around its first large request."""
    return one_file(model, simplejpeg.encode_jpeg(night_scene(width, height), quality=90, colorsubsampling="420"))


def one_file(model: str, file: bytes, format: str | None = None) -> OneRequest:
    """Resident memory of a fresh service, and its children, around its first large request."""
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
    """(requests served, resident bytes) after every `every` requests, of pictures of `sizes` different sizes."""
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
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", default="zero_dce_improved")
    parser.add_argument("--requests", type=int, default=2000, help="of the plateau; 0 leaves it out")
    parser.add_argument("--sizes", type=int, default=300, help="different sizes of pictures among them")
    parser.add_argument("--every", type=int, default=250, help="how often the plateau is looked at")
    parser.add_argument("--no-large", action="store_true", help="leave out the single large requests")
    parser.add_argument("--files", type=Path, nargs="+", default=[], help="measure these, and nothing else")
    parser.add_argument("--format", help="of the answers to --files")
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
