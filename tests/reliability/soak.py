"""Everything at once, for as long as you like: traffic, bursts, garbage, slow and vanishing clients, killed workers.

    python -m tests.reliability.soak [--minutes 10] [--seed 0]

Steady clients send photos of many sizes; meanwhile misfortunes of every kind are drawn at random. Ends with a table,
and with 1 if a steady client got anything but a picture or a clear refusal, if the service stopped or could not be
stopped, or if its memory did not come to rest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.reliability.fuzz_inputs import request as fuzzed
from tests.reliability.fuzz_target import check_over_socket
from tests.reliability.load import Client, Reply, Verdict, get, open_loop, percentile, photo_request, resident_mib
from tests.reliability.restarts import worker
from tests.repositories import make_repository
from tests.servers import Server, serving

CLIENTS = 3
SIZES = ((64, 96), (200, 300), (400, 600), (333, 77), (1000, 1500))
GROWTH_MIB = 48.0
CLEAR = {429, 503, 504}


class Soak:
    """One service, its steady clients, and what befalls it."""

    def __init__(self, server: Server, seed: int) -> None:
        self.replies: list[Reply] = []
        self.misfortunes: Counter[str] = Counter()
        self.memory: list[float] = []
        self._server = server
        self._random = Random(seed)
        self._requests = [photo_request("", size) for size in SIZES]
        self._running = True

    async def run(self, seconds: float) -> None:
        """Let it all happen for so long, and then let the steady clients finish."""
        end = time.monotonic() + seconds
        steady = [asyncio.create_task(self._steady(number)) for number in range(CLIENTS)]
        kinds = [self._kill, self._hang_up, self._garbage, self._burst, self._slow, self._silence]
        while time.monotonic() < end:
            misfortune = self._random.choice(kinds)
            self.misfortunes[misfortune.__name__.strip("_").replace("_", " ")] += 1
            await misfortune()
            self.memory.append(resident_mib(self._server.process.pid))
        self._running = False
        await asyncio.gather(*steady)

    async def _steady(self, number: int) -> None:
        client, random = Client(self._server.port), Random(number)
        while self._running:
            self.replies.append(await client.ask(random.choice(self._requests)))
            await asyncio.sleep(0.02)
        client.close()

    async def _kill(self) -> None:
        with contextlib.suppress(LookupError, ProcessLookupError, FileNotFoundError):
            os.kill(worker(self._server.process.pid), signal.SIGKILL)
        await asyncio.sleep(self._random.uniform(1, 5))

    async def _hang_up(self) -> None:
        """Leave in the middle of an upload, and while an answer is made."""
        for _ in range(20):
            body = self._random.choice(self._requests)
            _, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            writer.write(body[: self._random.randrange(len(body) + 1)])
            await asyncio.sleep(self._random.uniform(0, 0.05))
            writer.transport.abort()

    async def _garbage(self) -> None:
        """Fuzzed requests, judged as the fuzzer does."""
        for _ in range(20):
            one = fuzzed(Random(self._random.randrange(10**9)))
            if one.method != "gRPC":
                await asyncio.to_thread(check_over_socket, self._server, one)

    async def _burst(self) -> None:
        """Far more than can be served, for a second."""
        await open_loop(self._server.port, self._requests[2], rate=100, seconds=1)

    async def _slow(self) -> None:
        """Uploads that stop half-way, and are still there when others come."""
        writers = []
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            writer.write(self._requests[0][:200])
            writers.append(writer)
        await asyncio.sleep(self._random.uniform(0.5, 3))
        for writer in writers:
            writer.close()

    async def _silence(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 2))


def judge(soak: Soak, verdict: Verdict) -> None:
    """Print the table."""
    for name, count in sorted(soak.misfortunes.items()):
        verdict.line(name, str(count))
    counts = Counter(reply.status for reply in soak.replies)
    strange = [reply for reply in soak.replies if reply.status != 200 and reply.status not in CLEAR]
    unclear = [
        reply
        for reply in soak.replies
        if reply.status in CLEAR and not json.loads(reply.body)["type"].startswith("/problems/")
    ]
    served = [reply.seconds for reply in soak.replies if reply.status == 200]
    verdict.line("photos of steady clients", f"{counts[200]:,} of {counts.total():,}", "some", counts[200] > 0)
    verdict.line("median and p99 of those", f"{percentile(served, 0.5):.2f} s, {percentile(served, 0.99):.2f} s")
    verdict.line("refused with 503, 504", str(counts[503] + counts[504]))
    verdict.line("anything else", str([reply.status for reply in strange][:10]), "none", not strange)
    verdict.line("refusals that are no problem document", str(len(unclear)), "0", not unclear)
    third = max(1, len(soak.memory) // 3)
    settled, last = max(soak.memory[third : 2 * third + 1]), min(soak.memory[-3:])
    verdict.line(
        "memory", f"{settled:.0f} MiB, {last:.0f} at the end", f"+{GROWTH_MIB:.0f}", last <= settled + GROWTH_MIB
    )


async def ready_again(server: Server) -> bool:
    """Whether the service is ready within ten seconds after it all."""
    client = Client(server.port)
    for _ in range(100):
        if (await client.ask(get("/readyz"))).status == 200:
            return True
        await asyncio.sleep(0.1)
    return False


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    verdict = Verdict()
    verdict.head()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make_repository(folder / "models", slow=0.02)
        options = {"default_model": "brighten", "engine_isolation": "process", "device": "cpu", "request_timeout": 10}
        with serving(root, folder, **options) as server:
            soak = Soak(server, chosen.seed)
            asyncio.run(soak.run(60 * chosen.minutes))
            judge(soak, verdict)
            ready = asyncio.run(ready_again(server))
            verdict.line("ready again", str(ready), "True", ready)
            code = server.stop()
            verdict.line("exit code", str(code), "0", code == 0)
            verdict.line("tracebacks in the log", str(server.log_text().count("Traceback")))
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
