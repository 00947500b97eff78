"""How large a body may be: camera raw larger than others, whatever way it comes, and nothing else by beginning so."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.http import _body_limit
from service.http._body_limit import HEAD, BodyLimit
from service.http._form import parse_form
from service.settings import Settings
from service.telemetry import Metrics
from tests.pictures import dark_scene, encoded
from tests.servers import Server
from tests.service.http.conftest import MAX_BODY_BYTES, MAX_RAW_BODY_BYTES
from tests.service.http.test_enhance import problem
from tests.service.pictures.files import tiff_file
from tests.service.pictures.raw_files import dng, light, mosaic

HALF = {"strength": "0.5"}


def raw_file(height: int, width: int) -> bytes:
    """A DNG with two bytes a pixel."""
    return dng(np.tile(mosaic(light()), (height // 96, width // 144)))


LARGE = raw_file(1152, 1440)
TOO_LARGE = raw_file(1632, 2016)


def test_the_files_are_as_large_as_the_tests_need() -> None:
    assert MAX_BODY_BYTES < len(LARGE) < MAX_RAW_BODY_BYTES < len(TOO_LARGE)


def in_pieces(file: bytes, size: int = 1000) -> Iterator[bytes]:
    """A body without a length, in small pieces."""
    return (file[start : start + size] for start in range(0, len(file), size))


def test_camera_raw_may_be_larger_than_other_files(client: httpx.Client) -> None:
    answers = [
        client.post("/enhance", params=HALF, content=LARGE),
        client.post("/enhance", params=HALF, content=in_pieces(LARGE)),
        client.post("/enhance", params=HALF, files={"image": LARGE}),
        client.post("/enhance", data=HALF, files={"image": ("DSC_1.dng", LARGE, "image/x-adobe-dng")}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers), answers[-1].text[:200]
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("way", ["declared", "in pieces", "form"])
def test_but_not_as_large_as_it_likes(client: httpx.Client, way: str) -> None:
    ways = {"declared": {"content": TOO_LARGE}, "in pieces": {"content": in_pieces(TOO_LARGE)}}
    response = client.post("/enhance", **ways.get(way, {"files": {"image": TOO_LARGE}}))
    told = problem(response, 413, "body-too-large")
    assert told["limit_bytes"] == MAX_BODY_BYTES
    assert f"more than the {MAX_BODY_BYTES} bytes allowed; camera raw may have {MAX_RAW_BODY_BYTES}" in told["detail"]


def test_a_tiff_that_is_no_camera_raw_has_the_limit_of_others(client: httpx.Client) -> None:
    file = tiff_file(np.zeros((1000, 1200, 3), np.uint8), photometric="rgb")
    assert MAX_BODY_BYTES < len(file) < MAX_RAW_BODY_BYTES
    problem(client.post("/enhance", content=file), 413, "body-too-large")
    problem(client.post("/enhance", files={"image": file}), 413, "body-too-large")


def test_other_files_are_refused_by_their_first_bytes(server: Server) -> None:
    photo = encoded(dark_scene(), "jpeg").ljust(20_000, b"\0")[:20_000]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(
            b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1) + photo
        )
        assert line.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_other_calls_have_one_limit(client: httpx.Client) -> None:
    assert client.post("/v2/models/brighten/infer", content=LARGE).status_code == 413


async def passed(length: bytes, *pieces: bytes) -> list[int]:
    """The statuses with which a body that comes in pieces is answered, if the application reads all of it."""
    coming, statuses = list(pieces), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "method": "POST", "path": "/enhance", "headers": [(b"content-length", length)]}
    await BodyLimit(app, Settings(), Metrics())(scope, receive, send)  # type: ignore[arg-type]
    return [status for status in statuses if status]


async def test_the_head_of_a_body_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    monkeypatch.setattr(_body_limit, "may_be_raw", lambda head: looked.append(head) or len(looked) == HEAD // 4 + 1)
    assert await passed(b"100000000", b"\r\n\r\n" * (HEAD // 4), *[b"x"] * 20) == [200]
    assert len(looked) == HEAD // 4 + 1


@pytest.mark.parametrize(("length", "status"), [(b"0" * 5000, 200), (b"0" * 30 + b"1", 200), (b"9" * 5000, 413)])
async def test_a_length_of_any_number_of_digits_is_read(length: bytes, status: int) -> None:
    assert await passed(length, b"x") == [status]


def test_a_form_is_held_once() -> None:
    size, piece = 20_000_000, 64 * 1024

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
        for _ in range(size // piece):
            yield b"\1" * piece
        yield b"\r\n--x--\r\n"

    async def parse() -> tuple[list[int], int]:
        tracemalloc.start()
        try:
            form = await parse_form("multipart/form-data; boundary=x", body(), "image")
            return list(map(len, form.files)), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    sizes, peak = asyncio.run(parse())
    assert sizes == [size // piece * piece]
    assert peak < 1.25 * size
