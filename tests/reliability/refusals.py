"""What it costs a full service to say so: CPU of its process for each photo that it refuses.

    python -m tests.reliability.refusals [--requests 1000]

The network runs in a process of its own, which is stopped, so that its queue stays full. Ten connections ask again
and again. CPU time hardly depends on what else the machine does, but for the caches.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.reliability.load import Client, Verdict, photo_request, run
from tests.reliability.restarts import worker
from tests.repositories import make_repository
from tests.servers import Server, serving

MAX_QUEUE_SIZE = 4
TOGETHER = 10
REFUSAL_CPU_SECONDS = 0.0005
SETTINGS = {
    "default_model": "brighten",
    "engine_isolation": "process",
    "device": "cpu",
    "codec_threads": 1,
}


async def measure(server: Server, requests: int) -> bool:
    """Print the cost; whether it is small enough."""
    holders = Client(server.port)
    small, large = photo_request("", (48, 64)), photo_request("detail=whole")
    os.kill(worker(server.process.pid), signal.SIGSTOP)
    held = []
    for _ in range(3):  # what was admitted at first moves on to the network, and makes room once more
        held += [asyncio.create_task(holders.ask(small)) for _ in range(2 * MAX_QUEUE_SIZE)]
        await asyncio.sleep(0.5)
    verdict = Verdict()
    verdict.head()
    for name, request in (("2 KB", small), ("62 KB", large)):
        client = Client(server.port)
        before, refused = cpu_seconds(server.process.pid), 0
        for _ in range(requests // TOGETHER):
            replies = await asyncio.gather(*(client.ask(request) for _ in range(TOGETHER)))
            refused += sum(reply.status == 503 for reply in replies)
        each = (cpu_seconds(server.process.pid) - before) / requests
        verdict.line(f"refused, {name}", f"{refused:,} of {requests:,}", "all", refused == requests)
        said, wanted = f"{each * 1000:.2f} ms", f"{REFUSAL_CPU_SECONDS * 1000:.1f} ms"
        verdict.line(f"CPU of the service for each, {name}", said, wanted, each <= REFUSAL_CPU_SECONDS)
        client.close()
    os.kill(worker(server.process.pid), signal.SIGCONT)
    for task in held:
        task.cancel()
    return not verdict.failed


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's threads so far, without its children."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = make_repository(Path(name) / "models", max_queue_size=MAX_QUEUE_SIZE)
        with serving(root, Path(name), **SETTINGS) as server:
            return 0 if run(measure(server, chosen.requests)) else 1


if __name__ == "__main__":
    sys.exit(main())
