"""`denoise` by every door: the same bytes, and the same words about what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import tritonclient.http

from nightlift import Client
from tests.nightlift.commands import nightlift
from tests.nightlift.doors import DOORS, Door, Request, infer
from tests.pictures import decoded, encoded
from tests.repositories import brightened, make_repository
from tests.restorers import SIDE, blurred, make_restorer
from tests.servers import Server, serving

EDGE = SIDE // 2 + 1
PICTURE = np.clip(40 + np.random.default_rng(0).normal(0, 8, (60, 80, 3)), 0, 255).astype(np.uint8)
FILE = encoded(PICTURE)
WISHES: dict[str, Any] = {"denoise": 0.5, "protect": 0, "gate": False}
SILENT = {"command", "command_with_a_server"}
"""Doors that give the file alone."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_restorer(make_repository(tmp_path_factory.mktemp("denoise") / "models"))


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    required = "brighten,nightlift_restorer"
    with serving(repository, repository.parent, default_model="brighten", required_models=required) as running:
        yield running


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_takes_half_of_the_noise(door: Door, server: Server, repository: Path) -> None:
    bright = brightened(PICTURE)
    expected = (bright + 255 * blurred(bright)) / 2
    answer = door(Request(server, repository, FILE, WISHES))
    assert np.abs(decoded(answer.data) - expected).max() <= 1
    assert answer.told == (None if door.__name__ in SILENT else (0.5, 1, 1))


def test_the_time_it_takes_is_a_stage(server: Server) -> None:
    response = httpx.post(f"{server.url}/enhance", params=WISHES, content=FILE).raise_for_status()
    stages = [part.strip().split(";")[0] for part in response.headers["server-timing"].split(",")]
    assert stages == ["read", "decode", "queue", "infer", "restore", "render", "encode"]
    with Client(server.url) as opened:
        assert opened.enhance(FILE, **WISHES).timings["restore"] > 0


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
    with pytest.raises(tritonclient.utils.InferenceServerException, match=allowed):
        infer(tritonclient.http, server.url.removeprefix("http://"), FILE, {"denoise": 1.5})


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
