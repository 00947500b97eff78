"""`denoise` by every door: the same bytes, and the same words about what was done."""

from __future__ import annotations

import asyncio
import json
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

from nightlift import AsyncClient, Client, Enhanced
from tests.docs.documents import ROOT
from tests.nightlift.commands import environment, nightlift
from tests.pictures import decoded, encoded
from tests.repositories import brightened, make_repository
from tests.restorers import SIDE, blurred, make_restorer
from tests.servers import Server, serving

EDGE = SIDE // 2 + 1
PICTURE = np.clip(40 + np.random.default_rng(0).normal(0, 8, (60, 80, 3)), 0, 255).astype(np.uint8)
FILE = encoded(PICTURE)
WISHES: dict[str, Any] = {"denoise": 0.5, "protect": 0, "gate": False}
FLAGS = ("--denoise", "0.5", "--protect", "0", "--no-gate")
IN_PROCESS = (
    "import sys; from nightlift import enhance; "
    "answer = enhance(sys.stdin.buffer.read(), denoise=0.5, protect=0, gate=False); "
    "assert (answer.denoise, answer.denoise_scale, answer.restored) == (0.5, 1, 1); "
    "sys.stdout.buffer.write(answer.data)"
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_restorer(make_repository(tmp_path_factory.mktemp("denoise") / "models"))


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    required = "brighten,nightlift_restorer"
    with serving(repository, repository.parent, default_model="brighten", required_models=required) as running:
        yield running


def query(server: Server, _: Path) -> bytes:
    response = httpx.post(f"{server.url}/enhance", params=WISHES, content=FILE).raise_for_status()
    assert response.headers["nightlift-denoise"] == "0.5; scale=1"
    assert response.headers["nightlift-restored"] == "1.000"
    stages = [part.strip().split(";")[0] for part in response.headers["server-timing"].split(",")]
    assert stages == ["read", "decode", "queue", "infer", "restore", "render", "encode"]
    return response.content


def form(server: Server, _: Path) -> bytes:
    fields = {name: str(value) for name, value in WISHES.items()}
    return httpx.post(f"{server.url}/enhance", data=fields, files={"image": FILE}).raise_for_status().content


def checked(answer: Enhanced) -> bytes:
    assert (answer.denoise, answer.denoise_scale, answer.restored) == (0.5, 1, 1)
    assert answer.timings["restore"] > 0
    return answer.data


def client(server: Server, _: Path) -> bytes:
    with Client(server.url) as opened:
        return checked(opened.enhance(FILE, denoise=0.5, protect=0, gate=False))


def asynchronous_client(server: Server, _: Path) -> bytes:
    async def ask() -> bytes:
        async with AsyncClient(server.url) as opened:
            return checked(await opened.enhance(FILE, denoise=0.5, protect=0, gate=False))

    return asyncio.run(ask())


def protocol(module: Any, address: str) -> bytes:
    tensor = module.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([FILE], object))
    opened = module.InferenceServerClient(address)
    try:
        result = opened.infer("brighten", [tensor], parameters={**WISHES, "denoise": 0.5})
        report = result.get_response()
        if module is tritonclient.http:
            told = {name: report["parameters"][name] for name in ("denoise", "denoise_scale", "restored")}
        else:
            told = {
                "denoise": report.parameters["denoise"].string_param,
                "denoise_scale": report.parameters["denoise_scale"].double_param,
                "restored": report.parameters["restored"].double_param,
            }
        assert told == {"denoise": "0.5", "denoise_scale": 1, "restored": 1}
        return result.as_numpy("enhanced")[0]
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


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_takes_half_of_the_noise(
    door: Callable[[Server, Path], bytes], server: Server, repository: Path
) -> None:
    answer = brightened(PICTURE)
    expected = (answer + 255 * blurred(answer)) / 2
    assert np.abs(decoded(door(server, repository)) - expected).max() <= 1


def test_auto_is_the_default(server: Server) -> None:
    params = {"protect": 0, "gate": False}
    plain, auto = (
        httpx.post(f"{server.url}/enhance", params={**params, **more}, content=FILE).raise_for_status()
        for more in ({}, {"denoise": "auto"})
    )
    assert plain.content == auto.content
    assert plain.headers["nightlift-denoise"] == "auto; scale=1"
    none = httpx.post(f"{server.url}/enhance", params={**params, "denoise": 0}, content=FILE)
    assert none.headers["nightlift-denoise"] == "0; scale=0"
    assert none.headers["nightlift-restored"] == "0.000"
    np.testing.assert_array_equal(decoded(none.content), brightened(PICTURE))


def test_every_door_says_what_is_allowed(server: Server, repository: Path) -> None:
    allowed = "auto, or a number from 0 to 1"
    for wrong in ("1.5", "-0.1", "nan", "much", ""):
        answer = httpx.post(f"{server.url}/enhance", params={"denoise": wrong}, content=FILE)
        assert answer.status_code == 422, wrong
        detail = answer.json()["detail"]
        assert detail.count("denoise") == 1
        assert allowed in detail
    outcome = nightlift("enhance", "-", "--denoise", "1.5", repository=repository, stdin=FILE)
    assert outcome.returncode == 2
    assert "auto nor a number from 0 to 1" in " ".join(outcome.stderr.decode().split())
    tensor = tritonclient.http.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([FILE], object))
    opened = tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"))
    with pytest.raises(tritonclient.utils.InferenceServerException, match=allowed):
        opened.infer("brighten", [tensor], parameters={"denoise": 1.5})
    opened.close()


def test_the_api_describes_it(server: Server) -> None:
    schema = httpx.get(f"{server.url}/openapi.json").json()
    (parameter,) = [one for one in schema["paths"]["/enhance"]["post"]["parameters"] if one["name"] == "denoise"]
    described = json.dumps(parameter)
    assert '"const": "auto"' in described
    assert '"maximum": 1' in described


def test_a_video_is_restored_when_it_is_asked_for(repository: Path, tmp_path: Path) -> None:
    source = tmp_path / "dark.mkv"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"FFV1"), 8, (160, 120))
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(0, 10, (120, 160, 1))
        writer.write(np.repeat(np.clip(30 + noise, 0, 255).astype(np.uint8), 3, axis=2))
    writer.release()
    grain = {}
    for name, flags in (("plain", ()), ("all", ("--denoise", "1")), ("auto", ("--denoise", "auto"))):
        target = tmp_path / f"{name}.mkv"
        outcome = nightlift("video", source, target, "--crf", "4", *flags, repository=repository)
        assert outcome.returncode == 0, outcome.stderr.decode()
        read, frame = cv2.VideoCapture(str(target)).read()
        assert read
        grain[name] = frame[8:-8, 8:-8].std()
    assert grain["all"] < 0.5 * grain["plain"]
    assert grain["auto"] < 0.5 * grain["plain"]
