"""A lean client for load on the same machine: keep-alive connections, raw bytes, and a clock.

General clients take as much of two cores as the service that they measure; this one takes about a tenth of a
millisecond a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from tests.pictures import dark_scene, encoded

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """One answer: `status` is 0 where the connection failed, times are `time.monotonic()`."""

    status: int
    sent: float
    done: float
    body: bytes = b""

    @property
    def seconds(self) -> float:
        """From the first byte sent to the last one received."""
        return self.done - self.sent


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""
        self.is_open = False

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; the future gets its status and body, or a ConnectionError."""
        assert self._transport is not None
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Close it; nothing may be under way."""
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport, self.is_open = cast(asyncio.WriteTransport, transport), True

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received = self._received + data if self._received else data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        head = head.lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= size and self._answer is not None and not self._answer.done():
            self._received = b""
            if b"connection: close" in head:
                self.is_open = False
                self.close()
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the service closed the connection"))


class Client:
    """Keep-alive connections to one service; as many as there are requests under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for its answer."""
        sent = time.monotonic()
        connection = None
        while self._idle and (connection is None or not connection.is_open):
            connection = self._idle.pop()
        try:
            if connection is None or not connection.is_open:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
            status, body = await connection.ask(request)
        except OSError:
            return Reply(0, sent, time.monotonic())
        if connection.is_open:
            self._idle.append(connection)
        return Reply(status, sent, time.monotonic(), body)

    def close(self) -> None:
        """Close the connections that are not in use."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on the event loop that takes least of the machine."""
    return uvloop.run(work)


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def photo_request(query: str = "", size: tuple[int, int] = (400, 600)) -> bytes:
    """`POST /enhance` with a dark JPEG of this height and width."""
    body = encoded(dark_scene("coffee", size), "jpeg", quality=90)
    return f"POST /enhance?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def closed_loop(port: int, request: bytes, clients: int, seconds: float) -> list[Reply]:
    """So many clients, each of which sends when it has been answered."""
    replies: list[Reply] = []
    client = Client(port)
    end = time.monotonic() + seconds

    async def one() -> None:
        while time.monotonic() < end:
            replies.append(await client.ask(request))
            if replies[-1].status != 200:
                await asyncio.sleep(0.02)

    await asyncio.gather(*(one() for _ in range(clients)))
    client.close()
    return replies


async def open_loop(port: int, request: bytes, rate: float, seconds: float) -> list[Reply]:
    """`rate` requests a second, whatever becomes of them."""
    client = Client(port)
    tasks = []
    started = time.monotonic()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(client.ask(request)))
    replies = await asyncio.gather(*tasks)
    client.close()
    return list(replies)


async def probe(port: int, paths: Sequence[str], stop: asyncio.Event) -> dict[str, list[Reply]]:
    """Ask for these paths in turn, five times a second, until `stop`."""
    replies: dict[str, list[Reply]] = {path: [] for path in paths}
    client = Client(port)
    while not stop.is_set():
        for path in paths:
            replies[path].append(await client.ask(get(path)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)
    client.close()
    return replies


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def metric(exposition: bytes, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    samples = (sample for family in text_string_to_metric_families(exposition.decode()) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def resident_mib(pid: int) -> float:
    """Memory of a process, in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


class Verdict:
    """Lines of a table, each with what was wanted; `failed` if any was not met."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, what: str, measured: str, wanted: str = "", met: bool = True) -> None:
        """Print a line."""
        self.failed |= not met
        print(f"| {what} | {measured} | {wanted} | {'' if not wanted else 'yes' if met else 'NO'} |", flush=True)

    def head(self) -> None:
        """Print the head of the table."""
        print("| | measured | wanted | met |\n| --- | --- | --- | --- |")
