"""`python -m benchmarks.memory`: what a service's process takes of memory, by the kernel's own accounts. Linux only.

One request: a fresh `nightlift serve` is asked to enhance one large JPEG, guided; its resident memory is read before,
at its peak (the kernel keeps the maximum, which is reset before the request) and after. Plateau: one service gets
thousands of requests of hundreds of different sizes, and must not go on growing.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import simplejpeg

from benchmarks._codec_floor import night_scene
from benchmarks._servers import free_port, running

MEGABYTE = 1_000_000
LARGE = ((4000, 3000), (8000, 6000))
SMALLEST_SIDE, LARGEST_SIDE = 240, 1600
START_SECONDS = 120.0
SETTLE_SECONDS = 1.0
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

    def enhance(self, file: bytes) -> None:
        """Enhance one JPEG, guided."""
        self._client.post("/enhance", params={"detail": "guided"}, content=file).raise_for_status()

    def resident(self, name: str = "VmRSS") -> int:
        """Bytes resident now, or with VmHWM the most since `reset`."""
        status = Path(f"/proc/{self._process}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])

    def reset(self) -> None:
        """Let the kernel measure the peak from now on."""
        Path(f"/proc/{self._process}/clear_refs").write_text("5")


@contextmanager
def serving(model: str) -> Iterator[Service]:
    """A fresh service on a free port, with this model alone."""
    port = free_port()
    settings = {"port": port, "grpc_port": 0, "models": model, "default_model": model, "log_level": "warning"}
    environment = {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "nightlift.cli", "serve"]
    with running(command, environment, port, path="/readyz", patience=START_SECONDS) as process:
        yield Service(process, f"http://127.0.0.1:{port}")


def one_request(model: str, width: int, height: int) -> OneRequest:
    """Resident memory of a fresh service around its first large request."""
    file = simplejpeg.encode_jpeg(night_scene(width, height), quality=90, colorsubsampling="420")
    with serving(model) as service:
        before = service.resident()
        service.reset()
        service.enhance(file)
        peak = service.resident("VmHWM")
        time.sleep(SETTLE_SECONDS)
        return OneRequest(width, height, len(file), before, peak, service.resident())


def plateau(model: str, requests: int, sizes: int, every: int) -> Iterator[tuple[int, int]]:
    """(requests served, resident bytes) after every `every` requests, of pictures of `sizes` different sizes."""
    random = np.random.default_rng(0)
    sides = random.integers(SMALLEST_SIDE, LARGEST_SIDE, (sizes, 2))
    scene = night_scene(LARGEST_SIDE, LARGEST_SIDE)
    files = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(scene[:rows, :columns]), quality=90) for rows, columns in sides
    ]
    with serving(model) as service, ThreadPoolExecutor(CLIENTS) as clients:
        yield 0, service.resident()
        for first in range(0, requests, every):
            chosen = random.integers(0, sizes, min(every, requests - first))
            list(clients.map(lambda place: service.enhance(files[place]), chosen))
            yield first + len(chosen), service.resident()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--model", default="zero_dce_improved")
    parser.add_argument("--requests", type=int, default=2000, help="of the plateau; 0 leaves it out")
    parser.add_argument("--sizes", type=int, default=300, help="different sizes of pictures among them")
    parser.add_argument("--every", type=int, default=250, help="how often the plateau is looked at")
    parser.add_argument("--no-large", action="store_true", help="leave out the single large requests")
    wishes = parser.parse_args(arguments)
    if not wishes.no_large:
        print("| picture | file, MB | before, MB | peak, MB | after, MB | peak above idle, bytes a pixel |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for width, height in LARGE:
            one = one_request(wishes.model, width, height)
            sizes = " | ".join(f"{size / MEGABYTE:.0f}" for size in (one.file, one.before, one.peak, one.after))
            print(f"| {width}x{height} | {sizes} | {one.bytes_per_pixel:.1f} |", flush=True)
    if wishes.requests:
        print("\n| requests | resident, MB |\n| ---: | ---: |")
        for served, resident in plateau(wishes.model, wishes.requests, wishes.sizes, wishes.every):
            print(f"| {served} | {resident / MEGABYTE:.0f} |", flush=True)


if __name__ == "__main__":
    main()
