"""Clients that are slow, silent or many: each costs its own time and memory, and nobody else's."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.admission._capacity import ARRIVAL_SECONDS
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving
from tests.service.conftest import metric
from tests.service.http.test_enhance import problem

HEAD_SECONDS = 0.5
REQUEST_SECONDS = 4.0
BYTES_TOGETHER = 2_000_000
TIMEOUT = 20.0
PHOTO = encoded(dark_scene(size=(48, 64)))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with little patience."""
    folder = tmp_path_factory.mktemp("strict")
    root = make_repository(folder / "models")
    make_repository(root, ("slow",), slow=0.5)
    limits = {
        "header_timeout": HEAD_SECONDS,
        "request_timeout": REQUEST_SECONDS,
        "max_body_bytes_in_flight": BYTES_TOGETHER,
        "max_queue_seconds": 0.1,
    }
    with serving(root, folder, default_model="brighten", required_models="brighten,slow", **limits) as running:
        yield running


def connect(server: Server, sent: bytes = b"") -> socket.socket:
    """A connection on which these bytes were sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    connection.sendall(sent)
    return connection


def ends(connection: socket.socket) -> bool:
    """Whether the service closes the connection and sends no more."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def upload(size: int) -> bytes:
    """The head of an upload of this many bytes, and the first of them."""
    return f"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n\xff".encode("latin-1")


@pytest.mark.parametrize("sent", [b"", b"POST /enhance HTTP/1.1\r\nHost: x\r\nX-"], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_closed(strict: Server, sent: bytes) -> None:
    started = time.monotonic()
    with connect(strict, sent) as connection:
        assert ends(connection)
    assert time.monotonic() - started >= HEAD_SECONDS / 2


def test_so_is_one_that_stops_in_its_second_request(strict: Server) -> None:
    with connect(strict) as connection:
        for _ in range(2):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(4096)
            assert received.startswith(b"HTTP/1.1 200")
            time.sleep(2 * HEAD_SECONDS)  # idle between requests is no fault
        connection.sendall(b"GET /")
        assert ends(connection)


def test_a_head_without_end_is_refused(strict: Server) -> None:
    with connect(strict, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


def test_a_body_that_does_not_come_gets_408(strict: Server) -> None:
    started = time.monotonic()
    with connect(strict, upload(1000)) as connection, connection.makefile("rb") as received:
        answer = received.read()
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert b"/problems/body-too-slow" in answer
    assert b"connection: close" in answer.lower()
    assert time.monotonic() - started >= REQUEST_SECONDS - 0.5
    assert metric(strict, "nightlift_errors_total", type="body-too-slow") >= 1


def test_many_slow_uploads_do_not_hold_up_others(strict: Server) -> None:
    connections = [connect(strict, upload(100_000)) for _ in range(100)]
    time.sleep(2 * ARRIVAL_SECONDS)
    try:
        for _ in range(5):
            started = time.monotonic()
            assert httpx.post(f"{strict.url}/enhance", content=PHOTO, timeout=TIMEOUT).status_code == 200
            assert time.monotonic() - started < REQUEST_SECONDS
    finally:
        for connection in connections:
            connection.close()


def test_bodies_together_are_bounded(strict: Server) -> None:
    big = b"\xff" * (BYTES_TOGETHER - 1000)
    end, refused = time.monotonic() + TIMEOUT, False
    while not refused and time.monotonic() < end:  # on a busy machine its time may run out before it was read
        with connect(strict, upload(BYTES_TOGETHER + 1) + big):
            patient = time.monotonic() + REQUEST_SECONDS
            while not refused and time.monotonic() < patient:
                answer = httpx.post(f"{strict.url}/enhance", content=PHOTO + bytes(100_000), timeout=TIMEOUT)
                refused = answer.status_code == 503
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]
    end = time.monotonic() + TIMEOUT
    while httpx.post(f"{strict.url}/enhance", content=PHOTO, timeout=TIMEOUT).status_code != 200:
        assert time.monotonic() < end


def test_a_full_queue_refuses_before_the_body_is_sent(strict: Server) -> None:
    def enhance(_: int) -> httpx.Response:
        return httpx.post(f"{strict.url}/enhance", params={"model": "slow"}, content=PHOTO, timeout=TIMEOUT)

    head = b"POST /enhance?model=slow HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n"
    enhance(0)  # so that the queue knows how long a picture takes
    with ThreadPoolExecutor(24) as threads:
        answers = [threads.submit(enhance, number) for number in range(24)]
        early = b""
        while not early and not all(answer.done() for answer in answers):
            with connect(strict, head) as connection:
                reply = connection.recv(4096)
                early = reply if reply.startswith(b"HTTP/1.1 503") else b""
    assert early, "nobody was refused early"
    statuses = {answer.result().status_code for answer in answers}
    assert statuses <= {200, 503, 504}
    assert 200 in statuses
    assert metric(strict, "nightlift_rejected_total", reason="queue-full") >= 1
