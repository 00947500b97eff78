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
SETTINGS = {"default_model": "brighten", "engine_isolation": "process", "device": "cpu", "codec_threads": 1}


class Proxy:
    """Forwards bytes to a port that is ready, the least recently used first; knows nothing of HTTP but `/readyz`."""

    def __init__(self, ports: list[int]) -> None:
        self.port = free_port()
        self._ready = list(ports)
        self._ports = ports

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self._probing = asyncio.create_task(self._probe())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._probing.cancel()
        self._server.close()

    async def _probe(self) -> None:
        while True:
            for port in self._ports:
                client = Client(port)
                ready = (await client.ask(get("/readyz"))).status == 200
                client.close()
                if ready and port not in self._ready:
                    self._ready.append(port)
                elif not ready and port in self._ready:
                    self._ready.remove(port)
            await asyncio.sleep(PROBE_SECONDS)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                port = self._ready.pop(0)
                self._ready.append(port)
                try:
                    upstream = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    self._ready.remove(port)
            await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))
        except IndexError:
            writer.close()  # nobody is ready


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
            self.replies.append(await self._client.ask(self._request))
            await asyncio.sleep(0.01)

    async def stop(self) -> Counter[int]:
        """Let them finish; how often each status came, 0 for failed connections."""
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
            traffic = Traffic(proxy.port)
            for turn in range(restarts):
                stack, server = services[turn % 2]
                code = await asyncio.to_thread(server.stop)
                if code:
                    verdict.line("exit code", str(code), "0", met=False)
                stack.close()
                services[turn % 2] = await asyncio.to_thread(start, turn % 2, True)
                await asyncio.sleep(3 * PROBE_SECONDS)
            counts = await traffic.stop()
    finally:
        for stack, _ in services:
            stack.close()
    total, failed = counts.total(), counts.total() - counts[200]
    verdict.line(f"{restarts} rolling restarts, failed requests", f"{failed} of {total:,}", "0", failed == 0)


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
