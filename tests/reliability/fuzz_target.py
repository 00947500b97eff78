"""What fuzzed requests are sent to, and what no answer may be.

In process: the whole ASGI application, and a gRPC server on a socket, over one runtime with a small model. Over
sockets: a real `nightlift serve`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from starlette.types import Message

from service.http import create_app
from service.rpc import RpcServer
from service.runtime import Runtime
from service.settings import Settings
from tests.reliability.fuzz_inputs import FuzzedRequest
from tests.repositories import make_repository
from tests.servers import Server

REQUEST_TIMEOUT = 5.0
GRACE = 5.0
"""Seconds beyond the service's own limit after which a request counts as hung: a busy machine is no fault."""
LIMITS: dict[str, Any] = {
    "default_model": "brighten",
    "max_pixels": 10_000,
    "max_whole_pixels": 10_000,
    "max_body_bytes": 100_000,
    "max_json_bytes": 20_000,
    "request_timeout": REQUEST_TIMEOUT,
    "inference_timeout": 20,
    "model_control": True,
    "device": "cpu",
    "cpu_threads": 1,
    "codec_threads": 1,
}
BROKEN_RPC = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)


class FoundFault(AssertionError):
    """An answer that must not be."""


@dataclass
class Answer:
    """What came back: `status` 0 is none at all, which only those get who left."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0


def judge(request: FuzzedRequest, answer: Answer) -> None:
    """Check one HTTP answer.

    Raises:
        FoundFault: for 500 and 502, for an error that is no problem document, for a 503 without Retry-After, for a
            200 that is no picture, and for an answer that came too late or not at all.
    """

    def fault(what: str) -> FoundFault:
        return FoundFault(f"{what}: {request.kind} {request.method} {request.path} -> {answer.status}")

    if answer.seconds > REQUEST_TIMEOUT + GRACE:
        raise fault(f"took {answer.seconds:.1f} s")
    if answer.status == 0:
        if not request.leaves:
            raise fault("no answer")
        return
    if answer.status in (500, 502):
        raise fault("broken")
    if request.method == "HEAD":
        return
    if answer.status == 503 and request.path.startswith(("/readyz", "/livez", "/v2/health", "/v2/models")):
        return  # a probe's no
    if answer.status >= 400:
        document = json.loads(answer.body)
        if request.path == "/v2" or request.path.startswith("/v2/"):
            sound = isinstance(document.get("error"), str)
        else:
            is_problem = answer.headers.get("content-type") == "application/problem+json"
            sound = is_problem and document.get("status") == answer.status and document.get("title")
        if not sound:
            raise fault(f"no problem document: {answer.body[:200]!r}")
        if answer.status == 503 and "retry-after" not in answer.headers:
            raise fault("no Retry-After")
        return
    is_picture = answer.headers.get("content-type", "").startswith("image/") and answer.body
    if request.path == "/enhance" and request.method == "POST" and not is_picture:
        raise fault("no picture")


class InProcess:
    """The application and the gRPC server of one runtime; an asynchronous context manager."""

    def __init__(self, folder: Path) -> None:
        root = make_repository(folder / "models", affine=True)
        make_repository(root, ("unbatched",), max_batch_size=0)
        self.runtime = Runtime(Settings(model_repository=root, port=0, grpc_port=0, **LIMITS))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> InProcess:
        await self._stack.enter_async_context(self.runtime)
        await self.runtime.loaded()
        self.app = create_app(self.runtime)
        rpc = RpcServer(self.runtime)
        port = await rpc.start()
        self._stack.push_async_callback(rpc.stop, 0)
        self._channel = await self._stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def check(self, request: FuzzedRequest) -> str:
        """Send one request, judge its answer, and say what it was.

        Raises:
            FoundFault: see `judge`; also for whatever the application itself raises.
        """
        async with asyncio.timeout(REQUEST_TIMEOUT + 2 * GRACE):
            if request.method == "gRPC":
                return await self._call(request)
            answer = await self._request(request)
        judge(request, answer)
        return str(answer.status)

    async def _call(self, request: FuzzedRequest) -> str:
        call = self._channel.unary_unary(request.path)
        try:
            await call(request.body, timeout=REQUEST_TIMEOUT + GRACE)
        except grpc.aio.AioRpcError as error:
            if error.code() in BROKEN_RPC:
                raise FoundFault(f"broken: {request.path} -> {error.code()}: {error.details()}") from None
            return error.code().name
        return grpc.StatusCode.OK.name

    async def _request(self, request: FuzzedRequest) -> Answer:
        chunks = list(request.chunks)
        if request.leaves:
            chunks.pop()
        answer = Answer()
        never = asyncio.Event()

        async def receive() -> Message:
            if chunks:
                body = chunks.pop(0)
                return {"type": "http.request", "body": body, "more_body": bool(chunks) or request.leaves}
            if not request.leaves:
                await never.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "query_string": request.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in request.headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        started = time.monotonic()
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            raise FoundFault(f"raised: {request.kind} {request.path}: {error!r}") from error
        answer.seconds = time.monotonic() - started
        return answer


def check_over_socket(server: Server, request: FuzzedRequest) -> str:
    """Send one HTTP request as bytes to a real server, and judge what comes back.

    What the bytes do not make a request is refused with a 400 whose path may not be known, or by hanging up.
    """
    extra = [
        (name, value) for name, value in request.headers if not {"\r", "\n"} & set(value) and name != "content-length"
    ]
    path = request.path.encode("utf-8", "surrogatepass").decode("latin-1")
    target = path + ("?" + request.query if request.query else "")
    lines = [f"{request.method} {target} HTTP/1.1", "host: x", "connection: close"]
    lines += [f"{name}: {value}" for name, value in extra]
    if not any(name == "transfer-encoding" for name, _ in extra):
        lines.append(f"content-length: {len(request.body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    started = time.monotonic()
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=REQUEST_TIMEOUT + 2 * GRACE) as connection:
        try:
            connection.sendall(head + (request.body[: len(request.body) // 2] if request.leaves else request.body))
            if request.leaves:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65_536):
                received += data
        except ConnectionError:
            pass
        except TimeoutError:
            raise FoundFault(f"hung: {request.kind} {request.method} {request.path}") from None
    if b"these bytes are not an HTTP/1.1 request" in received or not (received or request.leaves):
        return "refused by the parser"
    answer = parse(received)
    answer.seconds = time.monotonic() - started
    judge(request, answer)
    return str(answer.status)


def parse(received: bytes) -> Answer:
    """The last answer in what a connection gave, none if nothing did; chunked bodies are joined."""
    if not received:
        return Answer()
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status == 100:
        return parse(body)
    headers = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    if headers.get("transfer-encoding") == "chunked":
        joined = b""
        while body and (size := int(body.partition(b"\r\n")[0], 16)):
            _, _, body = body.partition(b"\r\n")
            joined, body = joined + body[:size], body[size + 2 :]
        body = joined
    return Answer(status, headers, body)


def table(counts: Counter[str]) -> str:
    """Answers and how often each came, the most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
