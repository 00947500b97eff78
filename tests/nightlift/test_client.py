"""The Python client against a real server, and against answers that the server gives only under load."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from nightlift.client import AsyncClient, Client, ServiceError
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, free_port, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("client")
    with serving(make_repository(folder / "models"), folder, default_model="brighten") as running:
        yield running


def test_bytes_and_paths_give_the_same_picture(server: Server, tmp_path: Path) -> None:
    picture = dark_scene(size=(64, 96))
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(picture))
    with Client(server.url) as client:
        answer = client.enhance(path.read_bytes(), protect=0.0, gate=False)
        assert client.enhance(path, protect=0.0, gate=False).data == answer.data
    np.testing.assert_array_equal(decoded(answer.data), brightened(picture))
    assert (answer.model, answer.version, answer.media_type) == ("brighten", 1, "image/png")
    assert answer.luminance_after > answer.luminance_before
    assert set(answer.timings) == {"read", "decode", "queue", "infer", "render", "encode"}


def test_what_became_of_the_file_is_told(server: Server) -> None:
    frames = [Image.new("RGB", (96, 64), (level, level, level)) for level in (30, 60)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    with Client(server.url) as client:
        answer = client.enhance(file.getvalue(), max_side=48)
        assert (answer.source_size, answer.dropped) == ((96, 64), ("frames",))
        assert client.enhance(encoded(dark_scene(size=(64, 96)))).dropped == ()


def test_asynchronous_client_answers_many_at_once(server: Server, tmp_path: Path) -> None:
    pictures = [dark_scene(size=(64, 96), seed=seed) for seed in range(6)]
    paths = [tmp_path / f"{index}.png" for index in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(encoded(picture))

    async def all_at_once() -> list[bytes]:
        async with AsyncClient(server.url) as client:
            assert await client.ready()
            answers = await asyncio.gather(*(client.enhance(path, protect=0.0, gate=False) for path in paths))
        return [answer.data for answer in answers]

    for picture, data in zip(pictures, asyncio.run(all_at_once()), strict=True):
        np.testing.assert_array_equal(decoded(data), brightened(picture))


def test_refusals_raise_with_the_problem(server: Server) -> None:
    with Client(server.url) as client, pytest.raises(ServiceError, match="text, not a picture") as caught:
        client.enhance(b"this is not a picture")
    assert caught.value.status == 400
    assert caught.value.slug == "unreadable-picture"


def test_models_and_readiness(server: Server) -> None:
    with Client(server.url) as client:
        assert client.ready()
        assert client.models()["default"] == "brighten"
    with Client(f"http://127.0.0.1:{free_port()}") as nobody:
        assert not nobody.ready()


def busy(times: int, answers: list[int]) -> httpx.MockTransport:
    """A server that is full for the first `times` requests; a real one cannot be made to be, on cue."""

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        answers.append(len(request.content))
        if len(answers) <= times:
            return httpx.Response(503, headers={"Retry-After": "0"}, json={"type": "/problems/queue-full"})
        return httpx.Response(200, json={"default": "x", "models": []})

    return httpx.MockTransport(handle)


def test_a_full_queue_is_tried_again_until_it_is_not() -> None:
    seen: list[int] = []
    with Client("http://x", transport=busy(3, seen), retries=3) as client:
        assert client.models()["default"] == "x"
    assert len(seen) == 4


def test_a_queue_that_stays_full_raises() -> None:
    seen: list[int] = []
    with Client("http://x", transport=busy(9, seen), retries=2) as client, pytest.raises(ServiceError) as caught:
        client.models()
    assert caught.value.slug == "queue-full"
    assert len(seen) == 3


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_connection_that_cannot_be_opened_is_tried_again(error: type[httpx.TransportError]) -> None:
    tried: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        tried.append(request)
        if len(tried) % 2:
            raise error("")
        return httpx.Response(200, json={"default": "x"})

    async def ask() -> None:
        async with AsyncClient("http://x", transport=httpx.MockTransport(handle), retries=1) as client:
            assert await client.models() == {"default": "x"}

    with Client("http://x", transport=httpx.MockTransport(handle), retries=1) as client:
        assert client.models() == {"default": "x"}
    asyncio.run(ask())
    assert len(tried) == 4


def test_a_service_that_cannot_be_reached_is_tried_again_and_then_raises() -> None:
    started = time.monotonic()
    with Client(f"http://127.0.0.1:{free_port()}", retries=1) as client, pytest.raises(httpx.ConnectError):
        client.models()
    assert time.monotonic() - started >= 0.25
