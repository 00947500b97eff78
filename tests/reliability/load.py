"""A lean client for load on the same machine: keep-alive connections, raw bytes, and a clock.

General clients take as much of two cores as the service that they measure; this one takes about a tenth of a
millisecond a request.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
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


Answered = Callable[[int, bytes], object]


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._answered: Answered | None = None
        self._received = b""
        self.is_open = False

    def ask(self, request: bytes, answered: Answered) -> None:
        """Send a request; `answered` is told of its answer, or of a status 0 if the connection fails."""
        assert self._transport is not None
        self._answered = answered
        self._transport.write(request)

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
        if len(body) >= size and self._answered is not None:
            self._received = b""
            if b"connection: close" in head:
                self.is_open = False
                self.close()
            self._end(int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_open = False
        self._end(0, b"")

    def _end(self, status: int, body: bytes) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(status, body)


class Client:
    """Keep-alive connections to one service, from one address; as many as there are requests under way."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._port = port
        self._address = address
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for its answer."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        await self.send(request, time.monotonic(), lambda given: None if reply.done() else reply.set_result(given))
        return await reply

    async def send(self, request: bytes, sent: float, answered: Callable[[Reply], object]) -> None:
        """Send a request, whose time counts from `sent`, and do not wait for its answer."""
        connection = None
        while self._idle and (connection is None or not connection.is_open):
            connection = self._idle.pop()
        if connection is None or not connection.is_open:
            try:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(
                    Connection, "127.0.0.1", self._port, local_addr=(self._address, 0)
                )
            except OSError:
                answered(Reply(0, sent, time.monotonic()))
                return
        used = connection

        def end(status: int, body: bytes) -> None:
            if used.is_open:
                self._idle.append(used)
            answered(Reply(status, sent, time.monotonic(), body))

        used.ask(request, end)

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
    """`rate` requests a second, whatever becomes of them; a time counts from when its request was due.

    No task is made for a request, and nothing is looked for to collect: pauses of this client are not the service's.
    """
    client = Client(port)
    replies: list[Reply] = []
    all_answered = asyncio.Event()
    number = round(rate * seconds)

    def answered(reply: Reply) -> None:
        replies.append(replace(reply, body=b""))
        if len(replies) == number:
            all_answered.set()

    gc.freeze()
    gc.disable()
    started = time.monotonic()
    for due in (started + place / rate for place in range(number)):
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        await client.send(request, due, answered)
    await all_answered.wait()
    gc.enable()
    gc.unfreeze()
    client.close()
    return replies


def probe(port: int, paths: Sequence[str], stop: threading.Event) -> dict[str, list[Reply]]:
    """Ask for one of these paths every tenth of a second, until `stop`: in a thread, which our load does not stop."""
    replies: dict[str, list[Reply]] = {path: [] for path in paths}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for path in itertools.cycle(paths):
        if stop.wait(0.1):
            break
        sent = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        replies[path].append(Reply(answer.status, sent, time.monotonic()))
    connection.close()
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
