"""Ten times as many photos as the service can enhance, for a minute: what becomes of those it takes, and of the rest.

    python -m tests.reliability.overload [--seconds 60] [--times 10] [--strict]

The load is an open loop of 600x400 JPEGs, detail=whole, with the default model; before and after it, eight clients in
a closed loop say what the service can do, since machines change their speed. The client is on the same cores, and its
open loop takes more of them than eight clients do: the bar on throughput is on what it leaves. With `--strict` the
service refuses what would wait for more than 0.25 s, as in a fleet whose balancer asks another replica; otherwise it
has its default settings. Prints a table, and ends with 1 if a line of it is not met. Needs a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from service.settings import Settings
from tests.reliability.load import (
    Client,
    Reply,
    Verdict,
    closed_loop,
    get,
    metric,
    open_loop,
    percentile,
    photo_request,
    probe,
    resident_mib,
    run,
)
from tests.reliability.refusals import cpu_seconds
from tests.servers import Server, serving

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
PROBES = ("/livez", "/readyz", "/metrics")
CLIENTS = 8
CLOSED_SECONDS = 15.0
WARM_SECONDS = 10.0
SHARE = 0.95
REFUSAL_SECONDS = 0.05
PROBE_SECONDS = 0.1
GROWTH_MIB = 16.0
FAILED = {"route": "/enhance", "code_class": "5xx"}


@dataclass(frozen=True)
class Turn:
    """What some seconds of load brought, and the cores that this client and other programs took meanwhile."""

    replies: list[Reply]
    cores: float
    others: float

    @property
    def served(self) -> list[Reply]:
        """The pictures that were enhanced."""
        return answered(self.replies, 200)

    @property
    def throughput(self) -> float:
        """Pictures a second, from the first one sent to the last one done."""
        return len(self.served) / (
            max(reply.done for reply in self.served) - min(reply.sent for reply in self.served)
        )

    @property
    def throughput_of_core(self) -> float:
        """Pictures a second for each core that this client left."""
        return self.throughput / (len(os.sched_getaffinity(0)) - self.cores)

    @property
    def p99(self) -> float:
        """Seconds in which 99 % of them were answered."""
        return percentile([reply.seconds for reply in self.served], 0.99)


async def turn(load: Awaitable[list[Reply]], pid: int) -> Turn:
    """Run a load on the service with this process id, and see what it took."""
    started, own, service, all_programs = time.monotonic(), time.process_time(), cpu_seconds(pid), busy_seconds()
    replies = await load
    seconds, own = time.monotonic() - started, time.process_time() - own
    others = busy_seconds() - all_programs - own - (cpu_seconds(pid) - service)
    return Turn(replies, own / seconds, others / seconds)


def busy_seconds() -> float:
    """CPU time that all programs have taken since the machine started."""
    user, nice, system, _, _, interrupts, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


async def measure(server: Server, seconds: float, times: float, strict: bool) -> bool:
    """Run it; whether everything was met."""
    request, pid = photo_request("detail=whole"), server.process.pid

    async def closed() -> Turn:
        return await turn(closed_loop(server.port, request, CLIENTS, CLOSED_SECONDS), pid)

    await closed_loop(server.port, request, CLIENTS, 3)
    first = await closed()
    memory_at_rest = resident_mib(pid)
    await open_loop(server.port, request, times * first.throughput, WARM_SECONDS)
    before, memory = await exposition(server), resident_mib(pid)
    stop = threading.Event()
    probing = asyncio.create_task(asyncio.to_thread(probe, server.port, PROBES, stop))
    full = await turn(open_loop(server.port, request, times * first.throughput, seconds), pid)
    stop.set()
    probes = await probing
    after, growth = await exposition(server), resident_mib(pid) - memory
    turns = (first, await closed())
    capacity, p99 = mean(one.throughput for one in turns), mean(one.p99 for one in turns)
    share = full.throughput_of_core / mean(one.throughput_of_core for one in turns)
    refused = answered(full.replies, 503)

    def grown(name: str, **labels: str) -> float:
        return metric(after, name, **labels) - metric(before, name, **labels)

    verdict = Verdict()
    verdict.head()
    both = " and ".join(f"{one.throughput:.1f}" for one in turns)
    verdict.line("capacity, 8 clients in a closed loop, before and after", f"{both}/s, p99 {p99:.2f} s")
    verdict.line("offered", f"{len(full.replies) / seconds:.0f}/s for {seconds:.0f} s")
    said = (
        f"{full.throughput:.1f}/s, {full.throughput / capacity:.1%}; for each core that the client left {share:.1%}"
    )
    verdict.line("accepted throughput", said, f"{SHARE:.0%}", share >= SHARE)
    verdict.line("client, of a core", f"{full.cores:.3f}, in the closed loop {mean(one.cores for one in turns):.3f}")
    beside = ", ".join(f"{one.others:.3f}" for one in (first, full, turns[1]))
    verdict.line("other programs, of a core, before, meanwhile, after", beside)
    bar = 2 * p99 if strict else Settings().max_queue_seconds
    verdict.line("p99 of the accepted", f"{full.p99:.2f} s", f"{bar:.2f} s", full.p99 <= bar)
    others = len(full.replies) - len(full.served) - len(refused)
    verdict.line("neither served nor refused with 503", str(others), "0", others == 0)
    quick = grown("nightlift_request_duration_seconds_bucket", le=str(REFUSAL_SECONDS), **FAILED) / len(refused)
    verdict.line("refused within 50 ms of their headers", f"{quick:.2%} of {len(refused):,}", "99 %", quick >= 0.99)
    there = percentile([reply.seconds for reply in refused], 0.99)
    verdict.line("p99 of refusals, at the client", f"{1000 * there:.0f} ms")
    for path, answers in probes.items():
        slowest = max(reply.seconds for reply in answers)
        sound = slowest <= PROBE_SECONDS and all(reply.status == 200 for reply in answers)
        said = f"{1000 * slowest:.0f} ms at most, of {len(answers)}"
        verdict.line(path, said, f"{1000 * PROBE_SECONDS:.0f} ms", sound)
    verdict.line(f"memory after {WARM_SECONDS:.0f} s of it", f"{memory - memory_at_rest:+.0f} MiB")
    verdict.line("memory from then on", f"{growth:+.0f} MiB", f"{GROWTH_MIB:.0f} MiB", growth <= GROWTH_MIB)
    return not verdict.failed


def answered(replies: list[Reply], status: int) -> list[Reply]:
    """Those with this status."""
    return [reply for reply in replies if reply.status == status]


async def exposition(server: Server) -> bytes:
    """What /metrics says."""
    client = Client(server.port)
    reply = await client.ask(get("/metrics"))
    client.close()
    return reply.body


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=10, help="offered load in multiples of capacity")
    parser.add_argument("--strict", action="store_true", help="refuse what would wait for more than 0.25 s")
    chosen = parser.parse_args()
    settings = {"max_queue_seconds": 0.25} if chosen.strict else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(SHIPPED, Path(folder), models="nightlift", cpu_threads=0, **settings) as server,
    ):
        return 0 if run(measure(server, chosen.seconds, chosen.times, chosen.strict)) else 1


if __name__ == "__main__":
    sys.exit(main())
