"""Every attack at random beside well-behaved clients, who must not notice much of it.

    python -m tests.reliability.hostile [--minutes 20] [--seed 0]

First the service is used once in every ordinary way, and rests for a minute: what memory it has then is what it is to
have again at the end. Then the well-behaved clients are alone, for a tenth of the time, 20 seconds at least; then
attacks are drawn at random, from another address of this machine and by a process of low priority. Ends with a table,
and with 1 if a well-behaved client got anything but a picture or a 503 with `Retry-After`, or waited more than three
times as long as when it was alone (p99), if `/livez` took longer than 100 ms, if the memory went beyond what was
allowed, or was not back a minute later, if something was logged as a failure, or if the service could not be stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx
import tritonclient.grpc

from tests.pictures import dark_scene, encoded
from tests.reliability import attacks, bombs
from tests.reliability.load import Client, Reply, Verdict, get, percentile, photo_request, resident_mib
from tests.repositories import make_repository
from tests.servers import Server, serving

CLIENTS = 2
ADDRESS = "127.0.0.2"
"""Of the well-behaved clients: callers without keys are told apart by their address."""

PAUSE = 0.2
LIVEZ_SECONDS = 0.1
SLOWER = 3
REST_SECONDS = 60.0
FORMATS = ("jpeg", "png", "webp", "avif", "tiff")
SETTINGS = {
    "default_model": "brighten",
    "device": "cpu",
    "cpu_threads": 0,
    "answer_timeout": 5,
    "grpc_connection_age": 10,
    "header_timeout": 5,
    "request_timeout": 20,
    "max_answer_bytes_in_flight": 128 << 20,
    "max_body_bytes_in_flight": 128 << 20,
    "max_pixels_in_flight": 67_200_000,
}
ALLOWED_MIB = 2 * 128 + 2 * (128 + 64) + 4 * 2 * 64 + 67.2e6 * 8 / 2**20 + 256
"""By which the process may grow: answers, bodies of both transports, gRPC's open messages, pictures, and the rest."""


def attack(server: Server, seed: int) -> str:
    """One attack, drawn at random; its name."""
    random = Random(seed)
    os.nice(19 - os.nice(0))
    seconds = random.uniform(3, 8)
    kinds = {
        "long messages of open calls": lambda: attacks.long_messages(server, 16, seconds),
        "long messages of inference": lambda: attacks.long_messages(
            server, 16, seconds, "/inference.GRPCInferenceService/ModelInfer"
        ),
        "answers unread over HTTP": lambda: attacks.unread_answers(server, 8, seconds + 5, side=1500),
        "answers unread over gRPC": lambda: attacks.unread_rpc_answers(server, 4, seconds + 5, "brighten", side=900),
        "requests ahead of their answers": lambda: attacks.pipelining(server, 10, seconds),
        "bodies without end": lambda: attacks.endless_body(server, seconds),
        "bodies behind a request": lambda: attacks.endless_requests(server, seconds),
        "silence": lambda: attacks.silence(server, 300, seconds),
        "slow bodies": lambda: attacks.slow_bodies(server, 50, seconds),
        "hang-ups": lambda: attacks.hang_ups(server, 100, seconds),
        "bombs": lambda: bombs.send(server, random, seconds),
    }
    name = random.choice(sorted(kinds))
    kinds[name]()
    return name


def use(server: Server) -> None:
    """Ask for what anybody may ask for, over both transports and several at a time.

    Libraries, threads and their heaps are there from the first use on, and stay.
    """
    photos = [encoded(dark_scene("coffee", (1500, 2000)), format) for format in FORMATS]
    pixels = dark_scene("coffee", (900, 900))[None]

    def over_http(number: int) -> int:
        kind = number % len(FORMATS)
        options = {"format": FORMATS[-1 - kind], "exposure": 0.5, "shadows": 0.5}
        return httpx.post(f"{server.url}/enhance", params=options, content=photos[kind], timeout=60).status_code

    def over_grpc(number: int) -> int:
        image = tritonclient.grpc.InferInput("image", list(pixels.shape), "UINT8")
        image.set_data_from_numpy(pixels)
        with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
            client.infer("brighten", [image], client_timeout=60)
        return 200

    for ask in (over_http, over_grpc):
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(ask, range(40)))
        assert set(statuses) <= {200, 503}, statuses


class Soak:
    """One service, its well-behaved clients and its attackers."""

    def __init__(self, server: Server, seed: int) -> None:
        self.quiet: list[Reply] = []
        self.meanwhile: list[Reply] = []
        self.probes: list[float] = []
        self.attacks: Counter[str] = Counter()
        self.before = self.peak = resident_mib(server.process.pid)
        self._server = server
        self._random = Random(seed)
        self._replies = self.quiet
        self._running = True

    async def run(self, seconds: float) -> None:
        """Quiet first, then attacked for so long."""
        steady = [asyncio.create_task(self._steady(number)) for number in range(CLIENTS)]
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(max(20.0, seconds / 10))
        self._replies = self.meanwhile
        self.probes.clear()
        await asyncio.to_thread(self._attack, seconds)
        self._running = False
        await asyncio.gather(*steady, watching)

    def _attack(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:

            def one_after_the_other() -> None:
                while time.monotonic() < end:
                    self.attacks[pool.apply(attack, (_remote(self._server), self._random.randrange(10**9)))] += 1

            workers = [threading.Thread(target=one_after_the_other) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

    async def _steady(self, number: int) -> None:
        client, request = Client(self._server.port, ADDRESS), photo_request("", (400, 600))
        while self._running:
            self._replies.append(await client.ask(request))
            await asyncio.sleep(PAUSE)
        client.close()

    async def _watch(self) -> None:
        client = Client(self._server.port, ADDRESS)
        while self._running:
            self.probes.append((await client.ask(get("/livez"))).seconds)
            self.peak = max(self.peak, resident_mib(self._server.process.pid))
            await asyncio.sleep(0.1)
        client.close()


def _remote(server: Server) -> Server:
    """What of it another process needs."""
    return Server(None, server.port, server.grpc_port, server.log)  # type: ignore[arg-type]


def judge(soak: Soak, verdict: Verdict) -> None:
    """Print the table."""
    for name, count in sorted(soak.attacks.items()):
        verdict.line(name, str(count))
    counts = Counter(reply.status for reply in soak.meanwhile)
    lost = {status: count for status, count in counts.items() if status not in (200, 503)}
    verdict.line("photos of well-behaved clients", f"{counts[200]:,} of {counts.total():,}", "some", counts[200] > 0)
    verdict.line("refused with 503", str(counts[503]))
    verdict.line("anything else", str(lost or "nothing"), "nothing", not lost)
    times = [[reply.seconds for reply in replies if reply.status == 200] for replies in (soak.quiet, soak.meanwhile)]
    for share in (0.5, 0.99):
        alone, beside = (percentile(values, share) for values in times)
        verdict.line(
            "p99" if share > 0.5 else "median",
            f"{alone:.3f} s alone, {beside:.3f} s beside attacks",
            f"{SLOWER} times" if share > 0.5 else "",
            share < 0.9 or beside <= SLOWER * alone,
        )
    slow = sum(seconds > LIVEZ_SECONDS for seconds in soak.probes)
    verdict.line(
        "/livez, p99 and slowest",
        f"{1000 * percentile(soak.probes, 0.99):.0f} ms, {1000 * max(soak.probes):.0f} ms; {slow} beyond",
        f"p99 within {1000 * LIVEZ_SECONDS:.0f} ms",
        percentile(soak.probes, 0.99) <= LIVEZ_SECONDS,
    )
    grown = soak.peak - soak.before
    verdict.line(
        "memory", f"{soak.before:.0f} MiB, +{grown:.0f} at most", f"+{ALLOWED_MIB:.0f}", grown <= ALLOWED_MIB
    )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    verdict = Verdict()
    verdict.head()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make_repository(folder / "models", slow=0.02, max_pixels=4_000_000)
        with serving(root, folder, **SETTINGS) as server:
            use(server)
            time.sleep(REST_SECONDS)
            soak = Soak(server, chosen.seed)
            asyncio.run(soak.run(60 * chosen.minutes))
            judge(soak, verdict)
            time.sleep(REST_SECONDS)
            after = resident_mib(server.process.pid)
            verdict.line("a minute later", f"{after:.0f} MiB", "within 10 %", after <= 1.1 * soak.before)
            code = server.stop(60)
            verdict.line("exit code", str(code), "0", code == 0)
            failures = len(re.findall(r"Traceback| ERROR ", server.log_text()))
            verdict.line("failures in the log", str(failures), "0", failures == 0)
            if failures:
                lines = server.log_text().splitlines()
                first = next(place for place, line in enumerate(lines) if re.search(r"Traceback| ERROR ", line))
                print(*lines[max(0, first - 3) : first + 60], sep="\n", file=sys.stderr)
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
