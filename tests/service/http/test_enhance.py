"""`POST /enhance` on a real server: what goes in, what comes out, and what is refused how."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import numpy as np
import pytest
from PIL import Image

from service.errors import MalformedRequest
from service.http._form import SLICE, parse_form
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened
from tests.servers import Server
from tests.service.pictures.files import photo_with_place, told_by

NEUTRAL = {"protect": 0, "gate": False}


def problem(response: httpx.Response, status: int, slug: str) -> dict:
    """The problem document of an answer, after checking its outside."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"/problems/{slug}"
    assert document["status"] == status
    assert document["detail"]
    return document


@pytest.mark.parametrize("size", [(64, 96), (101, 75)])
def test_raw_body_gives_the_network_s_picture(client: httpx.Client, size: tuple[int, int]) -> None:
    picture = dark_scene("coffee", size)
    response = client.post("/enhance", params={**NEUTRAL, "version": 1}, content=encoded(picture))
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decoded(response.content), brightened(picture, 1))


def test_form_field_gives_the_same_as_raw_body(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(64, 96)))
    raw = client.post("/enhance", content=file)
    form = client.post("/enhance", files={"image": ("photo.txt", file, "text/plain")})
    assert form.status_code == 200
    assert form.content == raw.content


@pytest.mark.parametrize("where", ["query", "form"])
def test_max_side_shrinks_what_was_enhanced_at_full_size(client: httpx.Client, where: str) -> None:
    picture = dark_scene("coffee", (200, 300))
    file = encoded(picture)
    full = client.post("/enhance", content=file)
    if where == "query":
        small = client.post("/enhance", params={"max_side": 150}, content=file)
    else:
        small = client.post("/enhance", data={"max_side": "150"}, files={"image": file})
    means = decoded(full.content).reshape(100, 2, 150, 2, 3).mean(axis=(1, 3))
    assert np.abs(decoded(small.content) - means).max() <= 1
    assert full.headers["nightlift-source-size"] == small.headers["nightlift-source-size"] == "300x200"
    for name in ("nightlift-gate", "nightlift-detail", "nightlift-luminance-before", "nightlift-luminance-after"):
        assert small.headers[name] == full.headers[name]
    assert client.post("/enhance", params={"max_side": 300}, content=file).content == full.content
    for wrong in (0, 15, 65_536, -1, "large"):
        document = problem(
            client.post("/enhance", params={"max_side": wrong}, content=file), 422, "invalid-parameter"
        )
        assert "max_side" in document["detail"]


@pytest.mark.parametrize(
    ("format", "media_type"), [("jpeg", "image/jpeg"), ("webp", "image/webp"), ("tiff", "image/tiff")]
)
def test_answer_has_the_format_of_the_question(client: httpx.Client, format: str, media_type: str) -> None:
    response = client.post("/enhance", content=encoded(dark_scene(size=(48, 64)), format))
    assert response.headers["content-type"] == media_type
    assert Image.open(io.BytesIO(response.content)).size == (64, 48)


def test_format_parameter_wins_over_accept(client: httpx.Client) -> None:
    response = client.post(
        "/enhance",
        params={"format": "webp"},
        headers={"Accept": "image/png"},
        content=encoded(dark_scene(size=(48, 64))),
    )
    assert response.headers["content-type"] == "image/webp"


def test_accept_decides_where_it_excludes_the_input_s_format(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(48, 64)))
    response = client.post("/enhance", headers={"Accept": "image/avif, image/jpeg;q=0.5"}, content=file)
    assert response.headers["content-type"] == "image/avif"
    problem(client.post("/enhance", headers={"Accept": "text/html"}, content=file), 406, "not-acceptable")


def test_answer_tells_what_was_done(client: httpx.Client) -> None:
    response = client.post("/enhance", headers={"X-Request-ID": "abc-1"}, content=encoded(dark_scene(size=(48, 64))))
    headers = response.headers
    assert headers["x-request-id"] == "abc-1"
    assert headers["nightlift-model"] == "brighten/2"
    assert headers["nightlift-detail"].startswith("whole")
    assert 0 <= float(headers["nightlift-gate"]) <= 1
    assert float(headers["nightlift-luminance-before"]) < float(headers["nightlift-luminance-after"])
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Accept"
    stages = [part.strip().split(";")[0] for part in headers["server-timing"].split(",")]
    assert stages == ["read", "decode", "queue", "infer", "render", "encode"]


def test_a_request_id_that_could_do_harm_is_replaced(client: httpx.Client) -> None:
    response = client.post("/enhance", headers={"X-Request-ID": "a b<script>"}, content=b"")
    assert response.headers["x-request-id"] != "a b<script>"


def test_strength_0_gives_the_picture_back(client: httpx.Client) -> None:
    picture = dark_scene(size=(64, 96))
    response = client.post("/enhance", params={"strength": 0}, content=encoded(picture))
    np.testing.assert_array_equal(decoded(response.content), picture)


def test_strength_lies_between(client: httpx.Client) -> None:
    picture = dark_scene(size=(64, 96))
    params = {**NEUTRAL, "strength": 0.5, "version": 1}
    response = client.post("/enhance", params=params, content=encoded(picture))
    expected = (picture.astype(float) + brightened(picture, 1)) / 2
    assert np.abs(decoded(response.content) - expected).max() <= 1


def test_models_and_versions_can_be_chosen(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(48, 64)))
    response = client.post("/enhance", params={"model": "other", "version": 1}, content=file)
    assert response.headers["nightlift-model"] == "other/1"


def test_guided_and_tiles_can_be_chosen(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(300, 400)))
    for detail in ("guided", "tiles"):
        response = client.post("/enhance", params={"detail": detail}, content=file)
        assert response.headers["nightlift-detail"].startswith(detail)


def test_more_tiles_than_the_queue_holds_are_no_trouble(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(300, 400)))
    whole = client.post("/enhance", params={"model": "tiny", "detail": "whole"}, content=file)
    tiles = client.post("/enhance", params={"model": "tiny", "detail": "tiles"}, content=file)
    assert tiles.status_code == 200, tiles.text
    np.testing.assert_array_equal(decoded(tiles.content), decoded(whole.content))


def test_a_large_photo_is_rendered_through_a_proxy(client: httpx.Client) -> None:
    response = client.post("/enhance", content=encoded(dark_scene(size=(900, 1200)), "jpeg"))
    assert response.headers["nightlift-detail"].startswith("guided")
    assert Image.open(io.BytesIO(response.content)).size == (1200, 900)


def test_a_whole_pass_has_a_limit(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(1600, 2200)), "jpeg")
    answer = problem(client.post("/enhance", params={"detail": "whole"}, content=file), 422, "unsupported-shape")
    assert "guided" in answer["detail"]
    assert client.post("/enhance", params={"detail": "guided"}, content=file).status_code == 200


def test_orientation_is_applied_once(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    response = client.post("/enhance", content=encoded(dark_scene(size=(48, 64)), "jpeg", exif=exif))
    answer = Image.open(io.BytesIO(response.content))
    assert answer.size == (48, 64)
    assert answer.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, {"maker"}),
        ({"metadata": "without_location"}, {"maker"}),
        ({"metadata": "keep"}, {"maker", "place"}),
        ({"metadata": "strip"}, set()),
    ],
)
def test_where_a_photo_was_taken_is_told_only_where_that_is_asked_for(
    client: httpx.Client, asked: dict, told: set
) -> None:
    photo = photo_with_place()
    assert told_by(photo) == {"maker", "place"}
    response = client.post("/enhance", params=asked, content=photo)
    assert told_by(response.content) == told


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims this size."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data)) + b"\0" * 64


def test_bad_pictures_get_their_problem(client: httpx.Client) -> None:
    jpeg = encoded(dark_scene(size=(200, 300)), "jpeg")
    problem(client.post("/enhance", content=b""), 400, "unreadable-picture")
    problem(client.post("/enhance", content=b"good evening, this is no photo"), 400, "unreadable-picture")
    problem(client.post("/enhance", content=jpeg[: len(jpeg) // 2]), 400, "unreadable-picture")
    giant = problem(client.post("/enhance", content=png_header(20000, 20000)), 422, "unsupported-shape")
    assert "20000" in giant["detail"]
    problem(client.post("/enhance", content=encoded(dark_scene(size=(8, 64)))), 422, "unsupported-shape")
    problem(client.post("/enhance", content=b"%PDF-1.7\n" + b"0" * 100), 415, "unsupported-format")


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"strength": 1.5}, "strength"),
        ({"gamma": 0}, "gamma"),
        ({"exposure": -3}, "exposure"),
        ({"shadows": "nan"}, "shadows"),
        ({"denoise": "nan"}, "denoise"),
        ({"quality": "high"}, "quality"),
        ({"format": "bmp"}, "format"),
        ({"detail": "fine"}, "detail"),
        ({"strenght": 1}, "strenght"),
    ],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, params: dict, named: str) -> None:
    response = client.post("/enhance", params=params, content=encoded(dark_scene(size=(48, 64))))
    assert named in problem(response, 422, "invalid-parameter")["detail"]


def test_what_is_wrong_is_told_in_a_few_words(client: httpx.Client) -> None:
    many = client.post("/enhance", params={f"option{number}": 1 for number in range(500)})
    detail = problem(many, 422, "invalid-parameter")["detail"]
    assert detail.endswith("; and 492 more")
    assert len(detail) < 1000
    for params in ({"strength": "9" * 5000}, {"version": "9" * 5000}):
        long = client.post("/enhance", params=params)
        assert len(problem(long, 422, "invalid-parameter")["detail"]) < 300


def test_unknown_model_and_version_are_not_found(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(48, 64)))
    answer = problem(client.post("/enhance", params={"model": "zero"}, content=file), 404, "model-not-found")
    assert answer["available"] == ["brighten", "other", "tiny", "world"]
    problem(client.post("/enhance", params={"model": "../brighten"}, content=file), 404, "model-not-found")
    problem(client.post("/enhance", params={"version": 9}, content=file), 404, "model-not-found")


def test_tiles_are_refused_for_networks_that_see_the_whole_picture(client: httpx.Client) -> None:
    params = {"model": "world", "detail": "tiles"}
    problem(
        client.post("/enhance", params=params, content=encoded(dark_scene(size=(48, 64)))), 422, "invalid-parameter"
    )


def test_broken_forms_are_refused(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(48, 64)))
    problem(client.post("/enhance", files={"photo": file}), 400, "malformed-request")
    problem(client.post("/enhance", files=[("image", file), ("image", file)]), 400, "malformed-request")
    headers = {"Content-Type": "multipart/form-data"}
    problem(client.post("/enhance", headers=headers, content=b"--x\r\n"), 400, "malformed-request")


async def at_once(body: bytes) -> AsyncIterator[bytes]:
    """A body that comes in one piece."""
    yield body


@pytest.mark.parametrize("cruel", [b"\r\n--x-" * 30_000, b"\r\n--x" + b" " * 200_000])
def test_others_have_their_turns_while_a_form_is_parsed(cruel: bytes) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + cruel
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def parse() -> None:
        waiting = asyncio.create_task(others())
        with suppress(MalformedRequest):
            await parse_form("multipart/form-data; boundary=x", at_once(body), "image")
        waiting.cancel()

    asyncio.run(parse())
    assert turns >= len(body) // SLICE


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    file = gzip.compress(encoded(dark_scene(size=(48, 64))))
    response = client.post("/enhance", headers={"Content-Encoding": "gzip"}, content=file)
    assert "send the request uncompressed" in problem(response, 415, "unsupported-format")["detail"]


def test_a_body_over_the_limit_is_refused_and_the_answer_arrives(client: httpx.Client) -> None:
    problem(client.post("/enhance", content=b"\0" * 5_000_000), 413, "body-too-large")


def test_a_body_over_the_limit_without_a_length_is_refused(client: httpx.Client) -> None:
    chunks = (b"\0" * 100_000 for _ in range(60))
    problem(client.post("/enhance", content=chunks), 413, "body-too-large")


def test_who_waits_for_100_continue_is_refused_before_sending(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            b"POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_time_runs_out(client: httpx.Client) -> None:
    file = encoded(dark_scene(size=(400, 600)))
    problem(client.post("/enhance", headers={"X-Request-Timeout": "0.0001"}, content=file), 504, "deadline-exceeded")
    problem(client.post("/enhance", headers={"X-Request-Timeout": "soon"}, content=file), 422, "invalid-parameter")
