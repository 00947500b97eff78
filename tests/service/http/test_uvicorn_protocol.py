"""What one connection may bring beside bodies, read by read; and what it is told where it cannot be understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.http._uvicorn_protocol import HEAD_BYTES, MAX_PIPELINED, TRAILER_BYTES, URL_BYTES, BoundedProtocol

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
READ = 1000


class Wire(asyncio.Transport):
    """The service's end of a connection, without a network: a test decides what comes in one read."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    @property
    def answers(self) -> list[bytes]:
        """The answers, each from behind its `HTTP/1.1 `."""
        return self.sent.split(b"HTTP/1.1 ")[1:]


class App:
    """Answers every request with the length of its body, `seconds` later, and keeps the fields of its head."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.heads: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.heads.append(dict(scope["headers"]))
        await asyncio.sleep(self.seconds)
        answer = str(len(body)).encode()
        length = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": answer})


def told(*reads: bytes, seconds: float = 0) -> tuple[Wire, App]:
    """The connection and the application after these reads."""
    wire, app = Wire(), App(seconds)

    async def connection() -> None:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, proxy_headers=False)
        protocol = BoundedProtocol(config, ServerState(), {})
        protocol.connection_made(wire)
        for read in reads:
            if not wire.closed:
                protocol.data_received(read)
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(seconds / 25)
        protocol.connection_lost(ConnectionResetError())  # after which it closes nothing itself

    asyncio.run(connection())
    return wire, app


def pieces(data: bytes) -> Iterable[bytes]:
    """Data as many reads."""
    return [data[start : start + READ] for start in range(0, len(data), READ)]


def refusal(wire: Wire, status: bytes = b"400 Bad Request") -> dict[str, Any]:
    """The document of the one answer, after checking its outside."""
    assert wire.closed
    (answer,) = wire.answers
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == status.lower()
    assert {b"connection: close", b"cache-control: no-store", b"x-content-type-options: nosniff"} <= set(lines)
    assert f"content-length: {len(body)}".encode() in lines
    return json.loads(body)


MANY = b"".join(b"x-%d: y\r\n" % number for number in range(TRAILER_BYTES // 8))
LONG = b"x: " + b"y" * TRAILER_BYTES


@pytest.mark.parametrize(
    "reads",
    [
        [CHUNKED + b"0\r\n" + MANY],
        [CHUNKED + b"0\r\n", *pieces(MANY)],
        [CHUNKED + b"0\r\n", *pieces(LONG)],
        [CHUNKED, *pieces(b"3;" + LONG[3:])],
        [CHUNKED + b"0\r\n" + LONG + b"\r\n\r\n"],
    ],
    ids=["many", "many in many reads", "one without end", "an extension of a chunk", "a long one"],
)
def test_what_comes_beside_a_body_is_bounded(reads: list[bytes]) -> None:
    wire, app = told(*reads)
    document = refusal(wire)
    assert document["type"] == "/problems/malformed-request"
    assert f"{TRAILER_BYTES} bytes" in document["detail"]
    assert document["instance"] == "/a"
    assert not app.heads


@pytest.mark.parametrize(("digits", "is_taken"), [(b"0" * 5000, False), (b"0" * 19 + b"1", False), (b"0" * 19, True)])
def test_no_length_has_more_digits_than_a_number_needs(digits: bytes, is_taken: bool) -> None:
    wire, app = told(b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: " + digits + b"\r\n\r\n")
    if not is_taken:
        assert "19 digits" in refusal(wire)["detail"]
    assert bool(app.heads) is is_taken


def test_a_few_trailers_are_no_fields_of_the_head() -> None:
    wire, app = told(CHUNKED + b"0\r\nAuthorization: Bearer x\r\nX-A: b\r\n", b"\r\n")
    assert wire.answers == [b"200 OK\r\ncontent-length: 1\r\n\r\n3"]
    assert app.heads == [{b"host": b"x", b"transfer-encoding": b"chunked"}]


def test_a_body_of_tiny_chunks_is_taken() -> None:
    count = TRAILER_BYTES // 4
    wire, _ = told(CHUNKED, *[b"1\r\n", b"x\r\n"] * count, b"0\r\n\r\n")
    assert wire.answers[0].endswith(str(count + 3).encode())
    assert not wire.closed


def test_a_head_behind_a_large_body_is_counted_by_itself() -> None:
    size = 3 * HEAD_BYTES
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    wire, _ = told(head + b"x" * size + GET[:20], GET[20:])
    assert [answer.partition(b"\r\n\r\n")[2] for answer in wire.answers] == [str(size).encode(), b"0"]
    assert not wire.closed


@pytest.mark.parametrize("size", [READ, HEAD_BYTES - 200])
def test_a_head_may_have_its_bytes_however_they_come(size: int) -> None:
    head = b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: " + b"b" * size + b"\r\n\r\n"
    for reads in ([head], pieces(head)):
        wire, _ = told(*reads)
        assert wire.sent.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "fields",
    [b"X-A: b\r\n" * (HEAD_BYTES // 8), b"X-A: " + b"b" * HEAD_BYTES + b"\r\n"],
    ids=["many fields", "a long one"],
)
def test_a_longer_one_is_refused_however_it_comes(fields: bytes) -> None:
    head = b"GET /a HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    for reads in ([head], pieces(head)):
        wire, app = told(*reads)
        assert f"{HEAD_BYTES} bytes" in refusal(wire)["detail"]
        assert not app.heads


def test_a_long_url_is_refused() -> None:
    wire, _ = told(b"GET /a?" + b"b" * URL_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert f"{URL_BYTES} bytes" in refusal(wire)["detail"]


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02", b"GET /a HTTP/1.1\r\nno field\r\n\r\n", b"\r\n" * HEAD_BYTES])
def test_what_is_no_http_gets_a_problem_document_too(sent: bytes) -> None:
    wire, _ = told(sent)
    document = refusal(wire)
    assert list(document) == ["type", "title", "status", "detail", "instance"]


def test_below_v2_that_is_in_the_protocols_form() -> None:
    wire, _ = told(b"GET /v2/models HTTP/1.1\r\nno field\r\n\r\n")
    assert list(refusal(wire)) == ["error"]


@pytest.mark.parametrize("garbage", [b"\0\0", b"GET /b HTTP/1.1\r\nno field\r\n\r\n"])
def test_what_came_before_is_answered_first(garbage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "header_timeout", 0.01)
    wire, app = told(GET + GET + garbage, garbage, seconds=0.05)
    assert [answer[:3] for answer in wire.answers] == [b"200", b"200"]
    assert len(app.heads) == 2
    assert wire.closed


def test_a_wish_for_another_protocol_is_left_out_and_the_request_served() -> None:
    """Its body is not lost, and is not taken for a request, however it comes: see RFC 9110, 7.8."""
    body = b"GET /b HTTP/1.1\r\nHost: evil\r\n\r\n"
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    sized, chunked = b"Content-Length: %d\r\n\r\n" % len(body), b"Transfer-Encoding: chunked\r\n\r\n"
    in_chunks = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    for reads in (
        [head + sized, body],
        [head + sized + body],
        [head[:50], head[50:] + sized + body[:5], body[5:]],
        [head + chunked, in_chunks],
        [head + chunked + in_chunks],
    ):
        wire, app = told(*reads, GET)
        assert [answer.partition(b"\r\n\r\n")[2] for answer in wire.answers] == [b"%d" % len(body), b"0"]
        assert b"upgrade" not in app.heads[0]
        assert not wire.closed


@pytest.mark.parametrize("token", [b"websocket", b"h2c", b"TLS/1.0"])
def test_without_a_body_it_is_served_too(token: bytes) -> None:
    wire, app = told(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: " + token + b"\r\n\r\n" + GET)
    assert len(app.heads) == len(wire.answers) == 2


def test_a_proxys_method_is_refused() -> None:
    wire, app = told(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
    refusal(wire)
    assert not app.heads


def test_a_few_requests_may_be_sent_ahead_of_their_answers() -> None:
    wire, _ = told(GET * MAX_PIPELINED)
    assert len(wire.answers) == MAX_PIPELINED
    assert not wire.closed


def test_thousands_may_not() -> None:
    """What was parsed by then is answered, then the connection is closed; nothing else is kept of them."""
    wire, app = told(GET * 5000)
    assert MAX_PIPELINED <= len(wire.answers) <= MAX_PIPELINED + 1
    assert len(app.heads) == len(wire.answers)
    assert wire.closed


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", "exactly once"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "exactly once"),
        (b"GET /a HTTP/1.1\r\nHost: x, y\r\n\r\n", "name or an address"),
        (b"GET /a HTTP/1.1\r\nHost: x/y\r\n\r\n", "name or an address"),
        (b"GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n", "another host"),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunked"),
        (b"POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked"),
        (b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1"),
        (b"GET /a HTTP/0.9\r\nHost: x\r\n\r\n", "HTTP/1.1"),
    ],
)
def test_what_a_proxy_could_understand_differently_is_refused(head: bytes, words: str) -> None:
    wire, app = told(head + GET)
    assert words in refusal(wire)["detail"]
    assert not app.heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET /a HTTP/1.0\r\n\r\n",
        b"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x:8000/a HTTP/1.1\r\nHost: x:8000\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_other_forms_of_heads_are_served(head: bytes) -> None:
    wire, _ = told(head)
    assert wire.sent.startswith(b"HTTP/1.1 200")


def test_all_requests_of_a_connection_hear_that_their_client_has_left(caplog: pytest.LogCaptureFixture) -> None:
    """Also the one that is being answered while others wait behind it."""
    left: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        left.append((await receive())["type"] == "http.disconnect")

    async def connection() -> None:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, proxy_headers=False)
        protocol = BoundedProtocol(config, ServerState(), {})
        protocol.connection_made(Wire())
        protocol.data_received(GET * 3)
        await asyncio.sleep(0.01)
        protocol.connection_lost(ConnectionResetError())
        await asyncio.sleep(0.01)

    asyncio.run(connection())
    assert left == [True]
    assert not caplog.records
