"""What clients bring who do not ask before: many photos at once, many clients at once, and one beside a crowd.

    python -m tests.reliability.bursts [--seconds 60]

Default settings and the models that come with the service. Prints a table, and ends with 1 if a line of it is not
met. Each client's requests count as one caller; the one beside the crowd has an address of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.reliability.load import Client, Reply, Verdict, closed_loop, percentile, photo_request, resident_mib, run
from tests.servers import Server, serving

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
TOGETHER = 64
SIZES = ((400, 500), (600, 900), (800, 1200), (1200, 1800), (1500, 2000), (2000, 3000), (2448, 3264), (3000, 4000))
"""Heights and widths from 0.2 to 12 megapixels."""
CLIENTS = 32
LOADS = (("", (400, 600)), ("model=drgn", (400, 600)), ("", (3000, 4000)))
CROWD = 50
ALONE = 30
ANOTHER = "127.0.0.2"
MEMORY_MIB = 6.0 * 1e9 / 2**20
"""All bounds of docs/operations.md together."""


async def burst(port: int, requests: Sequence[bytes], together: int = TOGETHER) -> list[Reply]:
    """So many requests at the same moment, of all kinds in turn."""
    client = Client(port)
    replies = await asyncio.gather(*(client.ask(requests[place % len(requests)]) for place in range(together)))
    client.close()
    return list(replies)


async def one_after_the_other(port: int, request: bytes, number: int, address: str = ANOTHER) -> list[float]:
    """Seconds of requests that a client sends alone."""
    client = Client(port, address)
    replies = [await client.ask(request) for _ in range(number)]
    client.close()
    assert all(reply.status == 200 for reply in replies), Counter(reply.status for reply in replies)
    return [reply.seconds for reply in replies]


async def beside_a_crowd(port: int, request: bytes, number: int, crowd: int = CROWD) -> tuple[list[float], float]:
    """(Seconds of one client's requests while another always has `crowd` waiting, requests a second of that one)."""
    stop = asyncio.Event()
    served: list[float] = []
    client = Client(port)

    async def one() -> None:
        while not stop.is_set():
            assert (await client.ask(request)).status == 200
            served.append(time.monotonic())

    tasks = [asyncio.create_task(one()) for _ in range(crowd)]
    while len(served) < crowd:  # noqa: ASYNC110 (until their speed is known)
        await asyncio.sleep(0.05)
    first, began = len(served), time.monotonic()
    seconds = await one_after_the_other(port, request, number)
    rate = (len(served) - first) / (time.monotonic() - began)
    stop.set()
    await asyncio.gather(*tasks)
    client.close()
    return seconds, rate


async def stop_while_full(server: Server, request: bytes, together: int = TOGETHER) -> tuple[list[Reply], int]:
    """(What became of requests that were taken before SIGTERM, exit code)."""
    client = Client(server.port)
    asking = [asyncio.create_task(client.ask(request)) for _ in range(together)]
    await asyncio.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    replies = await asyncio.gather(*asking)
    return list(replies), await asyncio.to_thread(server.process.wait, 120)


def peak_memory(pid: int, stop: threading.Event) -> float:
    """The most memory that a process has until `stop`, in MiB."""
    most = 0.0
    while not stop.wait(0.2):
        most = max(most, resident_mib(pid))
    return most


async def measure(server: Server, seconds: float) -> bool:
    """Run it; whether everything was met."""
    verdict, port = Verdict(), server.port
    verdict.head()
    requests = [photo_request("", size) for size in SIZES]
    stop = threading.Event()
    memory = asyncio.create_task(asyncio.to_thread(peak_memory, server.process.pid, stop))

    def all_served(what: str, replies: Sequence[Reply], more: str) -> None:
        statuses = Counter(reply.status for reply in replies)
        said = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
        verdict.line(what, f"{said}; {more}", "all 200", set(statuses) == {200})

    for turn in ("first", "second"):
        began = time.monotonic()
        replies = await burst(port, requests)
        all_served(f"{TOGETHER} at once, 0.2 to 12 MP, {turn} time", replies, f"{time.monotonic() - began:.1f} s")
    for query, size in LOADS:
        replies = await closed_loop(port, photo_request(query, size), CLIENTS, seconds)
        times = [reply.seconds for reply in replies]
        said = f"{len(replies) / seconds:.1f}/s, median {median(times):.1f} s, p99 {percentile(times, 0.99):.1f} s"
        all_served(f"{CLIENTS} clients, {size[1]}x{size[0]} {query}".strip(), replies, said)
    for query, size in (LOADS[0], LOADS[2]):
        request = photo_request(query, size)
        alone = percentile(await one_after_the_other(port, request, ALONE), 0.95)
        beside, rate = await beside_a_crowd(port, request, ALONE)
        service, late = 2 / rate, percentile(beside, 0.95)
        said = f"p95 {1000 * late:.0f} ms, alone {1000 * alone:.0f} ms, one service time {1000 * service:.0f} ms"
        bar = 2 * alone + service
        what = f"one client beside {CROWD} requests of another, {size[1]}x{size[0]}"
        verdict.line(what, said, f"{1000 * bar:.0f} ms", late <= bar)
    stop.set()
    most = await memory
    verdict.line("most memory", f"{most:.0f} MiB", f"{MEMORY_MIB:.0f} MiB", most <= MEMORY_MIB)
    began = time.monotonic()
    replies, code = await stop_while_full(server, photo_request("", SIZES[-1]))
    all_served(f"SIGTERM with {TOGETHER} photos of 12 MP taken", replies, f"{time.monotonic() - began:.1f} s")
    verdict.line("exit code", str(code), "0", code == 0)
    return not verdict.failed


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of each load by many clients")
    chosen = parser.parse_args()
    models = "nightlift,drgn"
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(SHIPPED, Path(folder), models=models, required_models=models, cpu_threads=0) as server,
    ):
        return 0 if run(measure(server, chosen.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
