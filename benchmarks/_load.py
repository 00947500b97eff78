"""A minimal HTTP load generator: blocking keep-alive sockets in threads; answers are read and discarded.

Closed loop: each connection sends its next request when it has its answer. Open loop: requests have arrival times,
and latencies count from them, even if no connection was free to send the request (no coordinated omission).
"""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

BUFFER = 1 << 18
TIMEOUT = 120.0  # seconds to wait for an answer
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class LoadError(RuntimeError):
    """The server did not answer with a picture; the message quotes the beginning of the answer."""


@dataclass(frozen=True)
class Target:
    """A port of 127.0.0.1, and complete HTTP requests, one for each picture, that are sent in turn."""

    port: int
    requests: tuple[bytes, ...]


@dataclass(frozen=True)
class Answered:
    """One answer. Times are those of `time.perf_counter()`; `arrived` is when the request was due."""

    picture: int
    arrived: float
    done: float

    @property
    def latency(self) -> float:
        """Seconds from when the request was due to the complete answer."""
        return self.done - self.arrived


@dataclass(frozen=True)
class LoadReport:
    """The result of a load test.

    Attributes:
        answers: in the order in which they were complete.
        late: those of a closed loop that were complete after its end, which do not count in the throughput.
        seconds: duration of the measurement.
        concurrency: most requests in flight at once.
        client_share: CPU time of this client divided by elapsed time.
    """

    answers: tuple[Answered, ...]
    late: tuple[Answered, ...]
    seconds: float
    concurrency: int
    client_share: float

    @property
    def throughput(self) -> float:
        """Answers per second, see `steady_rate`."""
        return steady_rate([answer.done for answer in self.answers], self.concurrency, self.seconds)

    @property
    def latencies(self) -> list[float]:
        """Latency of each answer in seconds, with the late ones: without them, the slowest would be missing."""
        return [answer.latency for answer in (*self.answers, *self.late)]


def steady_rate(done: Sequence[float], concurrency: int, seconds: float) -> float:
    """Events per second of a closed loop in its steady state.

    Workers that start together may also finish together, so that events come in bursts. By counting from the
    `concurrency`th event on, as many bursts are counted as pauses between them.

    Args:
        done: times of the events in seconds, in order, of any clock.
        concurrency: number of workers.
        seconds: duration of the loop; used if there are too few events to leave out the first.
    """
    counted = len(done) - concurrency
    return counted / (done[-1] - done[concurrency - 1]) if counted > 0 else len(done) / seconds


def post(port: int, path: str, body: bytes, content_type: str = "image/jpeg") -> bytes:
    """A complete HTTP request with the body as it is."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
        f"Accept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form(port: int, path: str, body: bytes, name: str) -> bytes:
    """A complete HTTP request with the picture as the file `name` of a multipart form."""
    edge = "nightlift-benchmark-7d1f"
    part = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\n'
    content = f"{part}Content-Type: image/jpeg\r\n\r\n".encode() + body + f"\r\n--{edge}--\r\n".encode()
    return post(port, path, content, f"multipart/form-data; boundary={edge}")


def send_once(target: Target, picture: int = 0) -> bytes:
    """Send one request; returns the body of the answer.

    Raises:
        LoadError: if the answer is not 200.
    """
    with _Connection(target.port) as connection:
        return connection.ask(target.requests[picture], keep=True)


@contextmanager
def one_at_a_time(target: Target) -> Iterator[Callable[[], float]]:
    """A function that sends the first picture on a keep-alive connection, and returns its latency in seconds."""
    with _Connection(target.port) as connection:

        def send() -> float:
            started = time.perf_counter()
            connection.ask(target.requests[0])
            return time.perf_counter() - started

        send()
        yield send


def closed_loop(target: Target, concurrency: int, seconds: float, time_limit: float = TIMEOUT) -> LoadReport:
    """Keep `concurrency` requests in flight for `seconds`; later answers count in latencies, not in the throughput.

    Their answers are awaited for at most `time_limit` seconds, so that the server is idle when the next loop begins.

    Raises:
        LoadError: if an answer is not 200.
    """
    end = time.perf_counter() + seconds
    pictures = _endless(len(target.requests))

    def due() -> Iterator[tuple[int, float]]:
        for picture in pictures:
            now = time.perf_counter()
            if now >= end:
                return
            yield picture, now

    return _load(target, due(), concurrency, seconds, end, time_limit)


def open_loop(target: Target, rate: float, seconds: float, connections: int = 64, seed: int = 0) -> LoadReport:
    """Poisson arrivals at `rate` per second for `seconds`; all their answers are awaited.

    Raises:
        LoadError: if an answer is not 200.
    """
    gaps = np.random.default_rng(seed).exponential(1 / rate, max(1, int(rate * seconds * 2)))
    arrivals = np.cumsum(gaps)
    begin = time.perf_counter() + 0.1
    times = (begin + arrivals[arrivals < seconds]).tolist()
    return _load(
        target, zip(_endless(len(target.requests)), times, strict=False), connections, seconds, None, TIMEOUT
    )


def _endless(count: int) -> Iterator[int]:
    return itertools.cycle(range(count))


def _load(
    target: Target,
    due: Iterator[tuple[int, float]],
    connections: int,
    seconds: float,
    end: float | None,
    time_limit: float,
) -> LoadReport:
    shared = _Shared(due)
    began, used = time.perf_counter(), time.process_time()
    workers = [threading.Thread(target=shared.work, args=(target, end, time_limit)) for _ in range(connections)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lasted = time.perf_counter() - began
    if shared.errors:
        raise shared.errors[0]
    answers = sorted(shared.answers, key=lambda one: one.done)
    in_time = len(answers) if end is None else sum(one.done <= end for one in answers)
    share = (time.process_time() - used) / lasted
    return LoadReport(tuple(answers[:in_time]), tuple(answers[in_time:]), seconds, connections, share)


@dataclass
class _Shared:
    due: Iterator[tuple[int, float]]
    answers: list[Answered] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, target: Target, end: float | None, time_limit: float) -> None:
        try:
            with _Connection(target.port, None if end is None else end + time_limit) as connection:
                while not self.errors and (order := self.take()) is not None:
                    picture, arrival = order
                    if (early := arrival - time.perf_counter()) > 0:
                        time.sleep(early)
                    connection.ask(target.requests[picture])
                    self.answers.append(Answered(picture, arrival, time.perf_counter()))
        except TimeoutError as error:
            if end is None:  # in a closed loop, requests without an answer do not count at all
                self.errors.append(error)
        except Exception as error:
            self.errors.append(error)

    def take(self) -> tuple[int, float] | None:
        with self.lock:
            return next(self.due, None)


class _Connection:
    """A keep-alive connection that is opened again if the server closes it.

    `ask` raises TimeoutError if an answer takes longer than `TIMEOUT`, or is not complete by `end`.
    """

    def __init__(self, port: int, end: float | None = None) -> None:
        self._address = ("127.0.0.1", port)
        self._end = end
        self._memory = bytearray(BUFFER)
        self._view = memoryview(self._memory)
        self._socket: socket.socket | None = None

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ask(self, request: bytes, keep: bool = False) -> bytes:
        """Send a request and read the answer; returns the body if `keep`, otherwise b""."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        return self._answer(self._socket, keep)

    def _answer(self, source: socket.socket, keep: bool) -> bytes:
        filled, head_end = 0, -1
        while head_end < 0:
            filled += self._receive(source, filled)
            head_end = self._memory.find(b"\r\n\r\n", 0, filled)
        head = bytes(self._memory[:head_end])
        status, length = STATUS.match(head), LENGTH.search(head)
        if status is None or length is None:
            raise LoadError(f"an answer without status or length: {head[:300]!r}")
        good = status[1] == b"200"
        body = bytes(self._memory[head_end + 4 : filled])
        kept = [body]
        missing = int(length[1]) - len(body)
        while missing > 0:
            count = self._receive(source, 0)
            missing -= count
            if keep or not good:
                kept.append(bytes(self._memory[:count]))
        if not good:
            raise LoadError(f"{head[:200]!r} {b''.join(kept)[:300]!r}")
        if b"connection: close" in head.lower():
            self._close()
        return b"".join(kept) if keep else b""

    def _receive(self, source: socket.socket, filled: int) -> int:
        if self._end is not None:
            source.settimeout(min(TIMEOUT, max(0.01, self._end - time.perf_counter())))
        count = source.recv_into(self._view[filled:])
        if not count:
            raise LoadError("the server closed the connection in the middle of an answer")
        return count

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def requests_of(bodies: Sequence[bytes], port: int, path: str) -> Target:
    """A target that takes each picture as the body of a request."""
    return Target(port, tuple(post(port, path, body) for body in bodies))
