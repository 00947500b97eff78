"""Five hundred uploads that never end, and what others notice of them.

    python -m tests.reliability.slow_clients [--uploads 500]

Each slow client sends the head of an upload and then a byte every second. Others send photos before and meanwhile, on
one connection and on new ones. Ends with 1 if their median more than doubles or any of them fails.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.load import Client, Reply, Verdict, percentile, photo_request, resident_mib
from tests.repositories import make_repository
from tests.servers import serving

PHOTOS = 60
HEAD = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n\xff\xd8\xff"


async def photos(port: int) -> list[Reply]:
    """Photos one after the other, every other one on a new connection."""
    replies = []
    client = Client(port)
    request = photo_request("", (96, 128))
    for number in range(PHOTOS):
        if number % 2:
            client.close()
        replies.append(await client.ask(request))
    client.close()
    return replies


async def slow(port: int, stop: asyncio.Event) -> bool:
    """One slow client; whether it could connect."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(HEAD)
    while not stop.is_set():
        await asyncio.sleep(1)
        writer.write(b"\0")
    writer.close()
    return True


async def measure(port: int, pid: int, uploads: int, verdict: Verdict) -> None:
    """Photos before, and among the slow uploads."""
    await photos(port)
    before, memory = await photos(port), resident_mib(pid)
    stop = asyncio.Event()
    clients = [asyncio.create_task(slow(port, stop)) for _ in range(uploads)]
    await asyncio.sleep(3)
    started = time.monotonic()
    during = await photos(port)
    took = time.monotonic() - started
    grown = resident_mib(pid) - memory
    stop.set()
    connected = sum(await asyncio.gather(*clients))
    verdict.line(
        "slow uploads open at once", f"{connected} of {uploads}, for {took + 3:.1f} s", "all", connected == uploads
    )
    medians = [1000 * percentile([reply.seconds for reply in replies], 0.5) for replies in (before, during)]
    worst = [1000 * max(reply.seconds for reply in replies) for replies in (before, during)]
    verdict.line(
        "median of others, before and meanwhile",
        f"{medians[0]:.1f} ms, {medians[1]:.1f} ms",
        "at most doubled",
        medians[1] <= 2 * medians[0],
    )
    verdict.line("slowest of others, before and meanwhile", f"{worst[0]:.1f} ms, {worst[1]:.1f} ms")
    failed = sum(reply.status != 200 for reply in during)
    verdict.line("others that failed", f"{failed} of {len(during)}", "0", failed == 0)
    verdict.line("memory", f"{grown:+.0f} MiB")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=500)
    chosen = parser.parse_args()
    verdict = Verdict()
    verdict.head()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(make_repository(folder / "models"), folder, default_model="brighten") as server:
            asyncio.run(measure(server.port, server.process.pid, chosen.uploads, verdict))
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
