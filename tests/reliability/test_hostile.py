"""Attacks on a real service, in a short form: its memory, and what others notice of them.

The long form, all of them at random: `python -m tests.reliability.hostile`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.reliability import attacks
from tests.reliability.attacks import Observed, observed
from tests.repositories import make_repository
from tests.servers import Server, serving
from tests.service.conftest import metric

LIVEZ_SECONDS = 0.5
"""On a machine that runs other tests meanwhile; the command has 0.1."""

ANSWER_TIMEOUT = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose limits are reached quickly."""
    folder = tmp_path_factory.mktemp("hostile")
    root = make_repository(folder / "models", max_pixels=4_000_000)
    with serving(
        root,
        folder,
        default_model="brighten",
        answer_timeout=ANSWER_TIMEOUT,
        header_timeout=2,
        request_timeout=10,
        max_answer_bytes_in_flight=64 << 20,
    ) as running:
        ready = [attacks.ask(running.port, attacks.PROBE) for _ in range(3)]
        assert ready == [200] * 3
        yield running
        assert "Traceback" not in running.log_text()


def check(seen: Observed, grown: float) -> None:
    """Others were served, and the process has grown by so many MiB at most."""
    assert seen.livez
    assert sorted(seen.livez)[-1] < LIVEZ_SECONDS, sorted(seen.livez)[-3:]
    assert set(seen.statuses) <= {200, 503}, seen.statuses
    assert 200 in seen.statuses
    assert seen.grown < grown, seen


def test_long_messages_of_open_calls_are_few_at_a_time(server: Server) -> None:
    """Two of gRPC's longest at one time, of unary calls and of streams each; all of 24 were held before."""
    with observed(server) as seen:
        attacks.long_messages(server, clients=24, seconds=3)
    check(seen, 600)


def test_probes_are_answered_while_others_stall(server: Server) -> None:
    with observed(server), grpc.insecure_channel(server.grpc) as channel:
        attack = attacks.threading.Thread(
            target=attacks.long_messages, args=(server, 8, 4, "/grpc.health.v1.Health/Check")
        )
        attack.start()
        time.sleep(0.5)
        for _ in range(3):
            stub = health_pb2_grpc.HealthStub(channel)
            assert stub.Check(health_pb2.HealthCheckRequest(), timeout=2).status == 1
        attack.join()


def test_a_long_message_of_an_open_call_is_refused(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        for size, code in ((3000, grpc.StatusCode.NOT_FOUND), (5000, grpc.StatusCode.RESOURCE_EXHAUSTED)):
            with pytest.raises(grpc.RpcError) as caught:
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="x" * size))
            assert caught.value.code() == code


def test_answers_that_nobody_reads_are_dropped(server: Server) -> None:
    """Each has 12 MB: 64 MiB of them may wait, and none of them for longer than allowed."""
    before = metric(server, "nightlift_unread_answers_total")
    with observed(server) as seen:
        dropped = attacks.unread_answers(server, clients=12, seconds=15)
    assert dropped >= 4  # the others got 503 while these stalled
    assert metric(server, "nightlift_unread_answers_total") == before + dropped
    assert metric(server, "nightlift_unread_answer_bytes") == 0
    check(seen, 400)


def test_answers_over_grpc_end_with_their_connection(tmp_path: Path) -> None:
    """A caller may have half of 20 MB in answers of 3 MB: three of eight; the others are refused at once."""
    settings = {"grpc_connection_age": 2, "request_timeout": 4, "answer_timeout": 2, "default_model": "brighten"}
    root = make_repository(tmp_path / "models", max_pixels=4_000_000)
    with serving(root, tmp_path, max_answer_bytes_in_flight=20_000_000, **settings) as server:
        with observed(server) as seen:
            started = time.monotonic()
            ended = attacks.unread_rpc_answers(server, clients=8, seconds=30, model="brighten", side=1000)
            took = time.monotonic() - started
        assert ended == 8
        assert 5 < took < 20
        assert metric(server, "nightlift_errors_total", type="unavailable") == 5
        assert metric(server, "nightlift_unread_answer_bytes") == 0
        assert "Traceback" not in server.log_text()
    check(seen, 200)


def test_requests_far_ahead_of_their_answers_are_not_read(server: Server) -> None:
    with observed(server) as seen:
        attacks.pipelining(server, clients=20, seconds=3)
    check(seen, 100)


@pytest.mark.parametrize("head", ["POST /nothing HTTP/1.1", "POST /enhance HTTP/1.1", "GET /livez HTTP/1.1"])
def test_what_comes_behind_a_refusal_is_not_kept(server: Server, head: str) -> None:
    with observed(server) as seen:
        attacks.endless_body(server, 4, head)
    check(seen, 100)


def test_bodies_behind_an_unanswered_request_stay_with_their_sender(server: Server) -> None:
    with observed(server) as seen:
        attacks.endless_requests(server, 4)
    check(seen, 100)


def test_silence_slowness_and_sudden_ends_cost_nothing(server: Server) -> None:
    with observed(server) as seen:
        attacks.silence(server, clients=200, seconds=3)
        attacks.slow_bodies(server, clients=30, seconds=2)
        attacks.hang_ups(server, clients=60, seconds=8)
    check(seen, 100)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_log_that_nobody_reads_holds_up_nothing(tmp_path: Path, number: int) -> None:
    """The log goes into a pipe that is full; the service answers, counts the lines that are lost, and stops."""
    with serving(make_repository(tmp_path / "models"), tmp_path, default_model="brighten", log_pipe=True) as server:
        statuses = {attacks.ask(server.port, BAD_REQUEST, 5) for _ in range(1500)}
        assert statuses == {400}
        assert attacks.ask(server.port, attacks.PROBE, 2) == 200
        server.process.send_signal(number)
        assert server.process.wait(30) == 0


BAD_REQUEST = (
    b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\nX-Request-ID: "
    + b"i" * 120
    + b"\r\n\r\nabc"
)
