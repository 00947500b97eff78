"""The load client, against a server that answers after a fixed time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks._load import LoadError, closed_loop, form, one_at_a_time, open_loop, requests_of, send_once

DELAY = 0.02
ANSWER = b"picture" * 100_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(DELAY)
        self.send_response(200 if self.path == "/enhance" else 422)
        answer = ANSWER if body != b"echo" else body + self.headers["Content-Type"].encode()
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_come_whole(port: int) -> None:
    assert send_once(requests_of([b"photo"], port, "/enhance")) == ANSWER
    assert send_once(requests_of([b"echo"], port, "/enhance")) == b"echoimage/jpeg"
    assert b'name="photo"' in form(port, "/enhance", b"photo", "photo")


def test_a_closed_loop_is_as_fast_as_its_concurrency(port: int) -> None:
    report = closed_loop(requests_of([b"a", b"b"], port, "/enhance"), 4, 0.6)
    assert 0.3 * 4 / DELAY < report.throughput <= 1.05 * 4 / DELAY
    assert {answer.picture for answer in report.answers} == {0, 1}
    assert min(report.latencies) >= DELAY
    with one_at_a_time(requests_of([b"a"], port, "/enhance")) as send:
        assert send() >= DELAY


def test_an_open_loop_counts_from_when_a_request_was_due(port: int) -> None:
    """One connection cannot keep up with twice its rate: what waits for it has waited."""
    report = open_loop(requests_of([b"a"], port, "/enhance"), 2 / DELAY, 0.6, connections=1)
    assert len(report.answers) > 30
    assert max(report.latencies) > 5 * DELAY


def test_an_answer_that_is_none_ends_the_load(port: int) -> None:
    with pytest.raises(LoadError, match="422"):
        closed_loop(requests_of([b"a"], port, "/wrong"), 2, 0.2)
