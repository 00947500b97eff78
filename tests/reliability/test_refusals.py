"""What a full service says on every path that takes pictures, and that clients in the middle of sending read it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.http._body_limit import DISCARD_SECONDS
from tests.pictures import dark_scene, encoded
from tests.reliability.refusals import MAX_QUEUE_SIZE, SETTINGS
from tests.reliability.restarts import worker
from tests.repositories import make_repository
from tests.servers import Server, serving
from tests.service.conftest import metric

PHOTO = encoded(dark_scene(size=(48, 64)))
LARGE = bytes(5_000_000)
PATHS = {
    "/enhance": "/enhance",
    "/enhance?model=brighten&version=1&strength=none": "/enhance",
    "/v2/models/brighten/infer": "/v2/models/{model}/infer",
    "/v2/models/brighten/versions/1/infer": "/v2/models/{model}/versions/{version}/infer",
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose network is stopped, and whose queue is full; a second model is idle."""
    folder = tmp_path_factory.mktemp("full")
    root = make_repository(folder / "models", ("brighten", "idle"), max_queue_size=MAX_QUEUE_SIZE)
    with serving(root, folder, required_models="brighten,idle", **SETTINGS) as server:
        pid = worker(server.process.pid)
        os.kill(pid, signal.SIGSTOP)

        def hold() -> None:
            while (
                httpx.post(f"{server.url}/enhance", content=PHOTO, timeout=60).status_code == 503
                and not ready.is_set()
            ):
                ready.wait(0.05)

        ready = threading.Event()
        holders = [threading.Thread(target=hold) for _ in range(2 * MAX_QUEUE_SIZE)]
        for holder in holders:
            holder.start()
        while metric(server, "nightlift_queue_depth", model="brighten") < MAX_QUEUE_SIZE:
            ready.wait(0.05)
        ready.set()
        try:
            yield server
        finally:
            os.kill(pid, signal.SIGCONT)
            for holder in holders:
                holder.join()


@pytest.mark.parametrize("path", PATHS)
def test_a_refusal_is_complete(full: Server, path: str) -> None:
    labels = {"route": PATHS[path], "method": "POST", "code": "503"}
    before = metric(full, "nightlift_requests_total", **labels)
    answer = httpx.post(f"{full.url}{path}", content=PHOTO, headers={"X-Request-ID": "mine"})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path.startswith("/v2"):
        assert "are waiting" in answer.json()["error"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/queue-full"
    assert metric(full, "nightlift_requests_total", **labels) >= before + 1


@pytest.mark.parametrize("path", PATHS)
def test_refusals_by_a_head_alone_are_those_of_the_application(full: Server, path: str) -> None:
    url, own_page = f"{full.url}{path}", {"Origin": full.url}  # whose answers take more than is known by the head
    with httpx.Client() as client:
        by_application = client.post(url, content=PHOTO, headers=own_page)
        by_head = [client.post(url, content=PHOTO) for _ in range(3)]  # on one connection, and right after a refusal
    for answer in by_head:
        assert answer.status_code == by_application.status_code == 503
        assert answer.headers.keys() == by_application.headers.keys() - {"vary", "access-control-allow-origin"}
        assert answer.json().keys() == by_application.json().keys()
    assert len({answer.headers["x-request-id"] for answer in by_head}) == 3


def test_a_slow_body_of_a_refused_photo_is_cut_off_as_well(full: Server) -> None:
    assert httpx.post(f"{full.url}/enhance", content=PHOTO).status_code == 503  # from now on by the head
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", full.port), timeout=20) as slow:
        slow.sendall(b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + bytes(1000))
        said = b"".join(iter(lambda: slow.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in said
    assert DISCARD_SECONDS <= time.monotonic() - started < DISCARD_SECONDS + 5


def test_requests_sent_ahead_are_refused_one_by_one(full: Server) -> None:
    request = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nphoto"
    with socket.create_connection(("127.0.0.1", full.port), timeout=20) as ahead:
        ahead.sendall(3 * request + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: ahead.recv(65536), b""))
    assert said.count(b"HTTP/1.1 503 ") == 3
    assert said.count(b"HTTP/1.1 200 ") == 1


def test_large_uploads_read_their_refusal(full: Server, tmp_path: Path) -> None:
    answer = httpx.post(f"{full.url}/enhance", content=LARGE)
    assert answer.json()["type"] == "/problems/queue-full"
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    for more in ([], ["-H", "Expect:"]):  # waits for 100 Continue, and does not
        command = ["curl", "-sS", "--data-binary", f"@{file}", *more, f"{full.url}/enhance"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert json.loads(said)["status"] == 503


def test_requests_reads_its_refusal(full: Server) -> None:
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        for _ in range(3):  # on one connection
            answer = session.post(f"{full.url}/enhance", data=LARGE, timeout=20)
            assert answer.json()["type"] == "/problems/queue-full"


def test_who_does_not_end_a_refused_body_is_told_and_cut_off(full: Server) -> None:
    head = b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", full.port), timeout=20) as slow:
        slow.sendall(head + bytes(1000))
        said = b"".join(iter(lambda: slow.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in said
    assert DISCARD_SECONDS <= time.monotonic() - started < DISCARD_SECONDS + 5


def test_what_needs_no_room_goes_on(full: Server) -> None:
    assert httpx.get(f"{full.url}/livez").status_code == 200
    assert httpx.get(f"{full.url}/enhance").status_code == 405
    assert httpx.post(f"{full.url}/enhance?model=nobody", content=PHOTO).status_code == 404
    assert httpx.post(f"{full.url}/enhance?version=x", content=PHOTO).status_code == 422
    assert httpx.post(f"{full.url}/enhance?model=idle", content=b"no picture").status_code == 400
