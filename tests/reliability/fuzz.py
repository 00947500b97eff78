"""Send many fuzzed requests to the service, and stop at the first answer that must not be.

    python -m tests.reliability.fuzz                                 100,000 requests, 5,000 of them over sockets
    python -m tests.reliability.fuzz --requests 10000 --sockets 0    fewer
    python -m tests.reliability.fuzz --first 73412 --requests 1      one again, by its number

Every request is made from its number alone. The end of the run checks that the memory of both processes has come to
rest: after a first fifth, which warms caches, it may not grow by more than `GROWTH_MIB`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

from tests.reliability.fuzz_inputs import request
from tests.reliability.fuzz_target import (
    LIMITS,
    FoundFault,
    InProcess,
    check_over_socket,
    table,
)
from tests.reliability.load import resident_mib
from tests.repositories import make_repository
from tests.servers import Server, serving

GROWTH_MIB = 24.0
LOOKS = 20
"""How often memory is looked at."""


class Memory:
    """Looks at a process's memory as numbers pass by."""

    def __init__(self, pid: int, total: int) -> None:
        self._pid = pid
        self._step = max(1, total // LOOKS)
        self._seen = 0
        self.mib: list[float] = []

    def passed(self) -> None:
        """One more request is done."""
        self._seen += 1
        if self._seen % self._step == 0:
            gc.collect()
            self.mib.append(resident_mib(self._pid))

    def check(self) -> str:
        """What memory did, in words.

        Raises:
            FoundFault: if it has not come to rest.
        """
        if len(self.mib) < LOOKS:
            return "memory: too few requests to tell"
        settled, last = max(self.mib[LOOKS // 5 : LOOKS // 2]), min(self.mib[-3:])
        said = f"memory: {self.mib[0]:.0f} MiB, {settled:.0f} at rest, {last:.0f} at the end"
        if last > settled + GROWTH_MIB:
            raise FoundFault(said)
        return said


async def in_process(numbers: range, folder: Path) -> str:
    """Send the requests of these numbers to the application in this process; what came of it."""
    counts: Counter[str] = Counter()
    memory = Memory(os.getpid(), len(numbers))
    async with InProcess(folder) as target:
        for number in numbers:
            one = request(Random(number))
            try:
                counts[f"{one.kind} {await target.check(one)}"] += 1
            except Exception as error:
                raise FoundFault(f"request {number}: {error}") from error
            memory.passed()
    return f"{table(counts)}\n{memory.check()}"


def over_sockets(numbers: Iterable[int], total: int, server: Server) -> str:
    """Send the HTTP requests among these numbers to a real server, until `total` are sent; what came of it."""
    counts: Counter[str] = Counter()
    memory = Memory(server.process.pid, total)
    for number in numbers:
        one = request(Random(number))
        if one.method == "gRPC":
            continue
        try:
            counts[check_over_socket(server, one)] += 1
        except Exception as error:
            raise FoundFault(f"request {number} over a socket: {error}") from error
        memory.passed()
        if counts.total() == total:
            break
    if server.process.poll() is not None or "Traceback" in server.log_text():
        raise FoundFault(f"the server's log:\n{server.log_text()[-5000:]}")
    return f"{table(counts)}\n{memory.check()}"


def timed(name: str, total: int, work: Callable[[], str]) -> None:
    """Do it, and print what came of it."""
    wall, cpu = time.monotonic(), time.process_time()
    said = work()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"{name}: {total:,} requests, {wall:.0f} s ({cpu:.0f} s of this process)\n{said}", flush=True)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="in all")
    parser.add_argument("--sockets", type=int, default=5_000, help="how many of them go over sockets")
    parser.add_argument("--first", type=int, default=0, help="number of the first request")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    inside = chosen.requests - chosen.sockets
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            if inside:
                numbers = range(chosen.first, chosen.first + inside)
                timed("in process", inside, lambda: asyncio.run(in_process(numbers, folder / "inside")))
            root = make_repository(folder / "outside")
            server: AbstractContextManager = serving(root, folder, **LIMITS) if chosen.sockets else nullcontext()
            with server as running:
                if chosen.sockets:
                    later = iter(range(chosen.first + inside, sys.maxsize))
                    timed("over sockets", chosen.sockets, lambda: over_sockets(later, chosen.sockets, running))
        except FoundFault as fault:
            print(f"FAULT: {fault}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
