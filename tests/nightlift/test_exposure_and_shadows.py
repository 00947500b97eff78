"""Exposure and shadows by every door: the same bytes, and in a video too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from nightlift import AsyncClient, Client
from service.rendering import RenderOptions, render_array
from service.repository import ModelTraits, SpatialScope
from tests.docs.documents import ROOT
from tests.nightlift.commands import environment, nightlift
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, serving

PICTURE = dark_scene(size=(60, 80))
FILE = encoded(PICTURE)
WISHES: dict[str, float] = {"exposure": 0.7, "shadows": -0.4}
FLAGS = ("--exposure", "0.7", "--shadows", "-0.4")
IN_PROCESS = (
    "import sys; from nightlift import enhance; "
    "sys.stdout.buffer.write(enhance(sys.stdin.buffer.read(), exposure=0.7, shadows=-0.4).data)"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("wishes") / "models")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, repository.parent, default_model="brighten") as running:
        yield running


def query(server: Server, _: Path) -> bytes:
    return httpx.post(f"{server.url}/enhance", params=WISHES, content=FILE).raise_for_status().content


def form(server: Server, _: Path) -> bytes:
    fields = {name: str(value) for name, value in WISHES.items()}
    return httpx.post(f"{server.url}/enhance", data=fields, files={"image": FILE}).raise_for_status().content


def client(server: Server, _: Path) -> bytes:
    with Client(server.url) as opened:
        return opened.enhance(FILE, exposure=0.7, shadows=-0.4).data


def asynchronous_client(server: Server, _: Path) -> bytes:
    async def ask() -> bytes:
        async with AsyncClient(server.url) as opened:
            return (await opened.enhance(FILE, exposure=0.7, shadows=-0.4)).data

    return asyncio.run(ask())


def protocol(module: Any, address: str) -> bytes:
    tensor = module.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([FILE], object))
    opened = module.InferenceServerClient(address)
    try:
        return opened.infer("brighten", [tensor], parameters=WISHES).as_numpy("enhanced")[0]
    finally:
        opened.close()


def protocol_over_rest(server: Server, _: Path) -> bytes:
    return protocol(tritonclient.http, server.url.removeprefix("http://"))


def protocol_over_grpc(server: Server, _: Path) -> bytes:
    return protocol(tritonclient.grpc, server.grpc)


def in_process(_: Server, repository: Path) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", IN_PROCESS],
        input=FILE,
        env=environment(repository, PYTHONPATH=str(ROOT)),
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout


def command(_: Server, repository: Path) -> bytes:
    return nightlift("enhance", "-", *FLAGS, repository=repository, stdin=FILE).stdout


def command_with_a_server(server: Server, repository: Path) -> bytes:
    return nightlift("enhance", "-", *FLAGS, "--server", server.url, repository=repository, stdin=FILE).stdout


DOORS: tuple[Callable[[Server, Path], bytes], ...] = (
    *(query, form, client, asynchronous_client, protocol_over_rest, protocol_over_grpc),
    *(in_process, command, command_with_a_server),
)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """What the renderer makes of it, and makes of it by these wishes alone."""
    traits = ModelTraits("brighten", SpatialScope.LOCAL)
    plain, wished = (render_array(PICTURE, brightened, traits, RenderOptions(**options)) for options in ({}, WISHES))
    one, other = (
        render_array(PICTURE, brightened, traits, RenderOptions(**{name: value})) for name, value in WISHES.items()
    )
    assert min(np.abs(wished.astype(int) - each).mean() for each in (plain, one, other)) > 1
    return wished


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_gives_the_renderers_picture(
    door: Callable[[Server, Path], bytes], server: Server, repository: Path, expected: np.ndarray
) -> None:
    np.testing.assert_array_equal(decoded(door(server, repository)), expected)


def test_every_door_names_the_range(server: Server, repository: Path) -> None:
    for name, allowed in (("exposure", "2"), ("shadows", "1")):
        answer = httpx.post(f"{server.url}/enhance", params={name: 2.5}, content=FILE)
        assert answer.status_code == 422
        assert name in answer.json()["detail"]
        assert allowed in answer.json()["detail"]
        outcome = nightlift("enhance", "-", f"--{name}", "2.5", repository=repository, stdin=FILE)
        assert outcome.returncode == 2
        assert name in outcome.stderr.decode()


def test_a_video_gets_them_too(repository: Path, tmp_path: Path) -> None:
    source = tmp_path / "dark.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"mp4v"), 8, (160, 120))
    for _ in range(4):
        writer.write(dark_scene(size=(120, 160))[..., ::-1] // 3)
    writer.release()
    means = {}
    for name, flags in (("plain", ()), ("darker", ("--exposure", "-1")), ("lifted", ("--shadows", "1"))):
        target = tmp_path / f"{name}.mp4"
        outcome = nightlift("video", source, target, *flags, repository=repository)
        assert outcome.returncode == 0, outcome.stderr.decode()
        read, frame = cv2.VideoCapture(str(target)).read()
        assert read
        means[name] = frame.mean()
    assert means["darker"] < 0.85 * means["plain"]
    assert means["lifted"] > 1.1 * means["plain"]
