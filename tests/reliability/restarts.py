"""Rolling restarts and a killed engine under constant traffic.

    python -m tests.reliability.restarts [--restarts 10] [--kills 3]

Two services stand behind a plain TCP proxy, which asks `/readyz` and sends new connections to who is ready. They are
stopped by SIGTERM and started again in turn, while clients send photos without a pause: not one may fail. Then the
worker process of one service's engine is killed by `kill -9` under load: at most its batch may fail, every request
with a problem document, and the service must be ready again within five seconds. Ends with 1 if anything is not met.
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
from contextlib import ExitStack
from pathlib import Path

from tests.reliability.load import Client, Reply, Verdict, get, percentile, photo_request
from tests.repositories import make_repository
from tests.servers import Server, free_port, serving

CLIENTS = 4
PROBE_SECONDS = 0.2
DRAIN_DELAY = 1.0
"""Seconds that a service serves on after SIGTERM: five times the proxy's interval."""
READY_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
"""A request that has no answer after so long has failed."""
SETTINGS = {"default_model": "brighten", "engine_isolation": "process", "device": "cpu", "codec_threads": 1}


class Proxy:
    """Forwards bytes to a port that is ready, the least recently used first; knows nothing of HTTP but `/readyz`."""

    def __init__(self, ports: list[int]) -> None:
        self.port = free_port()
        self._ports = ports
        self._ready = list(ports)
        self._forwards: dict[asyncio.Task | None, asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self._probes = [asyncio.create_task(self._probe(port)) for port in self._ports]
        return self

    async def __aexit__(self, *error: object) -> None:
        for probe in self._probes:
            probe.cancel()
        self._server.close()
        for writer in self._forwards.values():
            writer.close()
        await asyncio.gather(*filter(None, self._forwards))  # one that is cancelled leaves a traceback

    async def _probe(self, port: int) -> None:
        while True:
            client = Client(port)
            ready = (await client.ask(get("/readyz"))).status == 200
            client.close()
            if ready and port not in self._ready:
                self._ready.append(port)
            elif not ready:
                self._leave(port)
            await asyncio.sleep(PROBE_SECONDS)

    def _leave(self, port: int) -> None:
        with contextlib.suppress(ValueError):  # others may have seen it too
            self._ready.remove(port)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._forwards[task] = writer
        try:
            while True:
                port = self._ready.pop(0)
                self._ready.append(port)
                try:
                    upstream = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    self._leave(port)
            await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))
        except IndexError:
            writer.close()  # nobody is ready
        finally:
            del self._forwards[task]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


class Traffic:
    """Clients that send one photo after the other, on connections that they keep."""

    def __init__(self, port: int) -> None:
        self.replies: list[Reply] = []
        self._client = Client(port)
        self._request = photo_request("", (96, 128))
        self._running = True
        self._tasks = [asyncio.create_task(self._send()) for _ in range(CLIENTS)]

    async def _send(self) -> None:
        while self._running:
            sent = time.monotonic()
            try:
                self.replies.append(await asyncio.wait_for(self._client.ask(self._request), PATIENCE_SECONDS))
            except TimeoutError:
                self.replies.append(Reply(0, sent, time.monotonic()))
            await asyncio.sleep(0.01)

    async def stop(self) -> Counter[int]:
        """Let them finish; how often each status came, 0 for failed connections and no answer."""
        self._running = False
        await asyncio.gather(*self._tasks)
        self._client.close()
        return Counter(reply.status for reply in self.replies)


async def rolling(verdict: Verdict, root: Path, folder: Path, restarts: int) -> None:
    """Stop and start two services in turn behind the proxy."""
    ports = [(free_port(), free_port()) for _ in range(2)]

    def start(number: int, wait: bool) -> tuple[ExitStack, Server]:
        stack = ExitStack()
        http, rpc = ports[number]
        options = {**SETTINGS, "drain_delay": DRAIN_DELAY, "port": http, "grpc_port": rpc}
        return stack, stack.enter_context(serving(root, folder, wait=wait, **options))

    services = [await asyncio.to_thread(start, number, True) for number in range(2)]
    try:
        async with Proxy([port for port, _ in ports]) as proxy:
            traffic, stops, starts = Traffic(proxy.port), [], []
            for turn in range(restarts):
                stack, server = services[turn % 2]
                begun = time.monotonic()
                code = await asyncio.to_thread(server.stop)
                stops.append(time.monotonic() - begun)
                if code:
                    verdict.line("exit code", str(code), "0", met=False)
                stack.close()
                begun = time.monotonic()
                services[turn % 2] = await asyncio.to_thread(start, turn % 2, True)
                starts.append(time.monotonic() - begun)
                await asyncio.sleep(3 * PROBE_SECONDS)
            counts = await traffic.stop()
    finally:
        for stack, _ in services:
            stack.close()
    total, failed = counts.total(), counts.total() - counts[200]
    verdict.line(f"{restarts} rolling restarts, failed requests", f"{failed} of {total:,}", "0", failed == 0)
    for what, seconds in (("each stopped", stops), ("and was started", starts)):
        verdict.line(f"{what} after", f"{percentile(seconds, 0.5):.1f} s, {max(seconds):.1f} s at most")


async def killed(verdict: Verdict, root: Path, folder: Path, kills: int) -> None:
    """Kill the worker process of one service under load, again and again."""
    with serving(root, folder, **SETTINGS) as server:
        returns, failures = [], []
        for _ in range(kills):
            traffic = Traffic(server.port)
            await asyncio.sleep(1)
            pid = worker(server.process.pid)
            started = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            await readiness(server.port, False, started + 1)
            await readiness(server.port, True, started + 60)
            returns.append(time.monotonic() - started)
            await asyncio.sleep(0.5)
            await traffic.stop()
            failed = [reply for reply in traffic.replies if reply.status != 200]
            clear = all(
                reply.status == 503 and json.loads(reply.body)["type"].startswith("/problems/") for reply in failed
            )
            failures.append(len(failed) if clear else -1)
        slowest = max(returns)
        verdict.line("kill -9 of the worker: requests that failed", str(failures), "0 or 1", max(failures) <= 1)
        verdict.line("all of them with a problem document", "", "all", min(failures) >= 0)
        said = f"{percentile(returns, 0.5):.1f} s, {slowest:.1f} s at most"
        verdict.line("ready again after", said, f"{READY_SECONDS:.0f} s", slowest <= READY_SECONDS)


async def readiness(port: int, wanted: bool, until: float) -> None:
    """Wait until the service is ready, or is not, or the time is over."""
    client = Client(port)
    while time.monotonic() < until:
        if ((await client.ask(get("/readyz"))).status == 200) is wanted:
            break
        await asyncio.sleep(0.01)
    client.close()


def worker(parent: int) -> int:
    """The process id of the engine's worker of a service, which is its child that multiprocessing has spawned."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):  # of the thread that has started them
        for child in children.read_text().split():
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise LookupError("the service has no worker process")


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--kills", type=int, default=3)
    chosen = parser.parse_args()
    verdict = Verdict()
    verdict.head()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = make_repository(folder / "models", slow=0.02)
        asyncio.run(rolling(verdict, root, folder, chosen.restarts))
        asyncio.run(killed(verdict, root, folder, chosen.kills))
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
