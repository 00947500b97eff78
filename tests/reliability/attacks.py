"""What hostile clients do to one service on this machine: each attack by itself, for tests and for the soak.

Every attack takes the ports of a service, does its worst for about so many seconds, and leaves. What it says is what
it saw of being stopped.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from tests.pictures import constant, dark_scene, encoded
from tests.reliability.http2 import Connection
from tests.reliability.load import resident_mib
from tests.servers import Server

PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OPEN_METHODS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
MESSAGE_BYTES = 63 << 20


@dataclass
class Observed:
    """What others saw of a service meanwhile.

    Attributes:
        livez: seconds of each `/livez`, on a new connection.
        statuses: of photos that a well-behaved client sent; 0 where the connection failed.
        photo_seconds: of those that were answered with 200.
        memory: MiB of the process: before, at most, and at the end.
    """

    livez: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    photo_seconds: list[float] = field(default_factory=list)
    before: float = 0.0
    peak: float = 0.0
    after: float = 0.0

    @property
    def grown(self) -> float:
        """MiB by which the process grew at most."""
        return self.peak - self.before


@contextmanager
def observed(server: Server, pause: float = 0.1) -> Iterator[Observed]:
    """Probe, send photos and look at the memory, in threads, until the block ends."""
    seen, stop = Observed(before=resident_mib(server.process.pid)), threading.Event()
    body = encoded(dark_scene(size=(48, 64)))
    photo = b"POST /enhance HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def repeat(look: Callable[[], object], seconds: float) -> None:
        while not stop.wait(seconds):
            look()

    def look_at_memory() -> None:
        seen.peak = max(seen.peak, resident_mib(server.process.pid))

    def probe() -> None:
        started = time.monotonic()
        if ask(server.port, PROBE) == 200:
            seen.livez.append(time.monotonic() - started)
        else:
            seen.livez.append(60.0)

    def send_photo() -> None:
        started = time.monotonic()
        status = ask(server.port, photo)
        seen.statuses.append(status)
        if status == 200:
            seen.photo_seconds.append(time.monotonic() - started)

    threads = [
        threading.Thread(target=repeat, args=one)
        for one in ((look_at_memory, 0.02), (probe, pause), (send_photo, 2 * pause))
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        seen.after = resident_mib(server.process.pid)


def ask(port: int, request: bytes, seconds: float = 30.0) -> int:
    """The status of an answer, which closes its connection; 0 where there is none."""
    with suppress(OSError, ValueError), closing(socket.create_connection(("127.0.0.1", port), seconds)) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(1 << 20):
            answer = answer or data
        return int(answer[9:12])
    return 0


def long_messages(server: Server, clients: int, seconds: float, method: str | None = None) -> list[int]:
    """Calls that need no key, each with a message as long as gRPC takes, which stalls before its end.

    Gives the bytes that each client got rid of.
    """
    sent: list[int] = []

    def one(number: int) -> None:
        with closing(Connection(server.grpc_port)) as connection:
            stream = connection.call(method or OPEN_METHODS[number % len(OPEN_METHODS)])
            connection.begin_message(stream, MESSAGE_BYTES)
            end = time.monotonic() + seconds
            sent.append(connection.send(stream, bytes(MESSAGE_BYTES - 1), seconds))
            while time.monotonic() < end and not connection.is_closed and stream not in connection.ended:
                connection.read(0.1)

    run_on_cores(one, clients)
    return sent


def unread_answers(server: Server, clients: int, seconds: float, side: int = 2000) -> int:
    """Clients that ask for large answers over HTTP and read nothing. Gives how many were hung up on."""
    body = encoded(dark_scene(size=(side, side)), "jpeg", quality=60)
    head = "POST /enhance?format=tiff HTTP/1.1\r\nHost: x\r\nContent-Length: "
    request = f"{head}{len(body)}\r\n\r\n".encode() + body
    waiting = []
    for _ in range(clients):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", server.port))
        connection.settimeout(seconds)
        with suppress(OSError):
            connection.sendall(request)
        waiting.append(connection)
    end = time.monotonic() + seconds
    gone: set[socket.socket] = set()
    while time.monotonic() < end and len(gone) < clients:
        time.sleep(0.2)
        gone |= {connection for connection in waiting if is_reset(connection)}
    for connection in waiting:
        connection.close()
    return len(gone)


def is_reset(connection: socket.socket) -> bool:
    """Whether the other end has hung up, without reading what came before."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or _state(connection) not in (1, 8)


def _state(connection: socket.socket) -> int:
    """The state of its TCP, as Linux numbers them: 1 is established, 8 that the other end has nothing more to say."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def unread_rpc_answers(server: Server, clients: int, seconds: float, model: str, side: int = 1400) -> int:
    """As `unread_answers` over gRPC, whose clients leave their windows shut. Gives how many calls were ended."""
    pixels = np.zeros((1, side, side, 3), np.uint8)
    message = pb.ModelInferRequest(model_name=model, raw_input_contents=[pixels.tobytes()])
    message.inputs.add(name="image", datatype="UINT8", shape=pixels.shape)
    data = message.SerializeToString()
    ended: list[bool] = []

    def one(number: int) -> None:
        with closing(Connection(server.grpc_port, window=1000)) as connection:
            stream = connection.call("/inference.GRPCInferenceService/ModelInfer")
            connection.begin_message(stream, len(data))
            connection.send(stream, data, seconds, end=True)
            end = time.monotonic() + seconds
            while time.monotonic() < end and not connection.is_closed and stream not in connection.ended:
                connection.read(0.1)
            ended.append(connection.is_closed or stream in connection.ended)

    run_on_cores(one, clients)
    return sum(ended)


def pipelining(server: Server, clients: int, seconds: float) -> None:
    """Thousands of requests at once on each connection, and no answer is read."""
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000

    def one(number: int) -> None:
        with closing(socket.socket()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", server.port))
            connection.settimeout(1)
            with suppress(OSError):
                connection.sendall(request)
            time.sleep(seconds)

    run_on_cores(one, clients)


def endless_body(server: Server, seconds: float, head: str = "POST /nothing HTTP/1.1") -> int:
    """One connection that sends on after its refusal, as quickly as it can. Gives the bytes that it got rid of."""
    return _pour(server, f"{head}\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n".encode(), bytes(1 << 18), seconds)


def endless_requests(server: Server, seconds: float) -> int:
    """One connection that sends requests with bodies behind one that takes its time, and reads nothing."""
    one = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    return _pour(server, one, one, seconds)


def _pour(server: Server, first: bytes, again: bytes, seconds: float) -> int:
    """Send `first`, and `again` and again behind it, without reading; on a new connection where that is reset."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
            connection.settimeout(0.5)
            with suppress(ConnectionError):
                data = first
                while time.monotonic() < end:
                    try:
                        count = connection.send(data)
                    except TimeoutError:
                        continue
                    sent += count
                    data = data[count:] or again
        time.sleep(0.02)
    return sent


def silence(server: Server, clients: int, seconds: float) -> None:
    """Connections to both ports that say nothing, or half a head."""
    opened = []
    for number in range(clients):
        port = server.port if number % 2 else server.grpc_port
        connection = socket.create_connection(("127.0.0.1", port))
        if number % 3 == 0:
            connection.sendall(b"GET / HTTP/1.1\r\nHost")
        opened.append(connection)
    time.sleep(seconds)
    for connection in opened:
        connection.close()


def slow_bodies(server: Server, clients: int, seconds: float) -> None:
    """Bodies of a byte every tenth of a second."""
    head = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"

    def one(number: int) -> None:
        with closing(socket.create_connection(("127.0.0.1", server.port))) as connection, suppress(OSError):
            connection.sendall(head)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                connection.sendall(b"\xff")
                time.sleep(0.1)

    run_on_cores(one, clients)


def hang_ups(server: Server, clients: int, seconds: float) -> None:
    """Clients that reset their connection in the middle of a request, or of the answer: pages, files and photos."""
    body = encoded(constant(30, (400, 600)))
    requests = (
        b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /enhance?format=tiff HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
    )
    random, end = Random(0), time.monotonic() + seconds
    for number in range(clients):
        if time.monotonic() > end:
            break
        request = requests[number % len(requests)]
        with closing(socket.socket()) as connection, suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close by a reset
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(request[: random.randrange(1, len(request) + 1)] if number % 3 == 0 else request)
            connection.settimeout(0.2)
            connection.recv(1000)


def run_on_cores(work: Callable[[int], None], count: int) -> None:
    """Run it in so many threads."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
