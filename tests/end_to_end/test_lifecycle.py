"""How the service stops: it says so first, serves on, finishes, and ends with 0."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import serving

PICTURE = dark_scene(size=(64, 96))
NEUTRAL = {"protect": 0, "gate": False}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick model and one that takes its time."""
    root = make_repository(tmp_path_factory.mktemp("lifecycle") / "models")
    return make_repository(root, ("slow",), slow=1.0)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_service_ends_with_0(repository: Path, tmp_path: Path, kind: signal.Signals) -> None:
    with serving(repository, tmp_path, default_model="brighten") as server:
        server.process.send_signal(kind)
        assert server.process.wait(30) == 0, server.log_text()


def test_while_it_drains_it_is_not_ready_but_serves(repository: Path, tmp_path: Path) -> None:
    with serving(repository, tmp_path, default_model="brighten", drain_delay=3) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_until_not_ready(server.url)
        response = httpx.post(f"{server.url}/enhance", params=NEUTRAL, content=encoded(PICTURE))
        np.testing.assert_array_equal(decoded(response.content), brightened(PICTURE))
        assert response.headers["connection"] == "close"
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert server.process.wait(30) == 0, server.log_text()


def test_a_second_signal_ends_the_delay(repository: Path, tmp_path: Path) -> None:
    with serving(repository, tmp_path, default_model="brighten", drain_delay=120) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_until_not_ready(server.url)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0, server.log_text()


def test_it_stops_while_a_pass_hangs(tmp_path: Path) -> None:
    make_repository(tmp_path / "models", ("slow",), slow=60.0)
    with serving(
        make_repository(tmp_path / "models"), tmp_path, default_model="brighten", models="brighten,slow"
    ) as server:
        time.sleep(1)  # until its first pass is being timed
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0, server.log_text()


def test_what_runs_is_finished(repository: Path, tmp_path: Path) -> None:
    with (
        serving(repository, tmp_path, default_model="slow", models="slow") as server,
        ThreadPoolExecutor(3) as threads,
    ):

        def enhance() -> httpx.Response:
            return httpx.post(f"{server.url}/enhance", params=NEUTRAL, content=encoded(PICTURE), timeout=60)

        answers = [threads.submit(enhance) for _ in range(3)]
        wait_until_busy(server.url, 3)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200, 200, 200]
        assert server.process.wait(60) == 0, server.log_text()


@pytest.mark.parametrize("used", [False, True], ids=["new", "kept alive"])
def test_who_was_connected_in_time_is_answered(repository: Path, tmp_path: Path, used: bool) -> None:
    body = encoded(PICTURE)
    request = (
        f"POST /enhance?protect=0&gate=false HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    with (
        serving(repository, tmp_path, default_model="brighten") as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection,
    ):
        if used:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            early = b""
            while not early.endswith(b"}"):  # its head and its body may come apart
                early += connection.recv(1 << 16)
            assert early.startswith(b"HTTP/1.1 200")
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server.port)
        connection.sendall(request + body)
        answer = read_to_end(connection)
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), (head, server.log_text())
        assert b"connection: close" in head.lower()
        np.testing.assert_array_equal(decoded(content), brightened(PICTURE))
        assert server.process.wait(30) == 0, server.log_text()


def wait_until_refused(port: int) -> None:
    """Wait until no new connection is taken."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError("connections are still taken")


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def wait_until_not_ready(url: str) -> None:
    end = time.monotonic() + 20
    while httpx.get(f"{url}/readyz").status_code == 200:
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_busy(url: str, requests: int) -> None:
    """Wait until so many pictures were taken into the model's queue."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        metrics = httpx.get(f"{url}/metrics").text
        depth = sum(
            float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("nightlift_queue_depth{")
        )
        if depth >= requests - 1:
            return
        time.sleep(0.02)
    raise AssertionError("the requests did not reach the queue")
