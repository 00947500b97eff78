"""Ten times as many photos as the service can enhance, for a minute: what becomes of those it takes, and of the rest.

    python -m tests.reliability.overload [--seconds 60] [--times 10]

The load is an open loop of 600x400 JPEGs, detail=whole, with the default model; before it, eight clients in a closed
loop say what the service can do. Prints a table, and ends with 1 if a line of it is not met. Needs a quiet machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

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
from tests.servers import Server, serving

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
PROBES = ("/livez", "/readyz", "/metrics")
CLIENTS = 8
CLOSED_SECONDS = 20.0
REFUSAL_SECONDS = 0.05
PROBE_SECONDS = 0.1
GROWTH_MIB = 32.0
FAILED = {"route": "/enhance", "code_class": "5xx"}


async def measure(server: Server, seconds: float, times: float) -> bool:
    """Run it; whether everything was met."""
    request = photo_request("detail=whole")
    await closed_loop(server.port, request, CLIENTS, 3)
    closed = await closed_loop(server.port, request, CLIENTS, CLOSED_SECONDS)
    capacity = throughput(closed)
    before, memory = await exposition(server), resident_mib(server.process.pid)
    stop = asyncio.Event()
    probing = asyncio.create_task(probe(server.port, PROBES, stop))
    replies = await open_loop(server.port, request, times * capacity, seconds)
    stop.set()
    probes = await probing
    after = await exposition(server)

    def grown(name: str, **labels: str) -> float:
        return metric(after, name, **labels) - metric(before, name, **labels)

    served, refused = answered(replies, 200), answered(replies, 503)
    quick = grown("nightlift_request_duration_seconds_bucket", le=str(REFUSAL_SECONDS), **FAILED)
    p99, p99_closed = (percentile([reply.seconds for reply in one], 0.99) for one in (served, answered(closed, 200)))
    share = throughput(served) / capacity
    growth = resident_mib(server.process.pid) - memory
    verdict = Verdict()
    verdict.head()
    verdict.line("capacity, 8 clients in a closed loop", f"{capacity:.2f}/s, p99 {p99_closed:.2f} s")
    verdict.line("offered", f"{len(replies) / seconds:.1f}/s for {seconds:.0f} s")
    verdict.line("accepted throughput", f"{throughput(served):.2f}/s, {share:.1%}", "95 %", share >= 0.95)
    verdict.line("p99 of the accepted", f"{p99:.2f} s", f"{2 * p99_closed:.2f} s", p99 <= 2 * p99_closed)
    others = len(replies) - len(served) - len(refused)
    verdict.line("neither served nor refused with 503", str(others), "0", others == 0)
    share = quick / len(refused) if refused else 0.0
    verdict.line("refused within 50 ms of their headers", f"{share:.1%} of {len(refused):,}", "99 %", share >= 0.99)
    for path, answers in probes.items():
        slowest = max(answers, key=lambda reply: reply.seconds)
        sound = slowest.seconds <= PROBE_SECONDS and all(reply.status == 200 for reply in answers)
        when = slowest.sent - answers[0].sent
        said = f"{1000 * slowest.seconds:.0f} ms at most, of {len(answers)}; {when:.0f} s after the first"
        verdict.line(path, said, f"{1000 * PROBE_SECONDS:.0f} ms", sound)
    verdict.line("memory", f"{growth:+.0f} MiB", f"{GROWTH_MIB:.0f} MiB", growth <= GROWTH_MIB)
    return not verdict.failed


def answered(replies: list[Reply], status: int) -> list[Reply]:
    """Those with this status."""
    return [reply for reply in replies if reply.status == status]


def throughput(replies: list[Reply]) -> float:
    """Pictures a second, from the first one sent to the last one done."""
    served = answered(replies, 200)
    return len(served) / (max(reply.done for reply in served) - min(reply.sent for reply in served))


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
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(SHIPPED, Path(folder), models="zero_dce_improved", cpu_threads=0) as server,
    ):
        return 0 if run(measure(server, chosen.seconds, chosen.times)) else 1


if __name__ == "__main__":
    sys.exit(main())
