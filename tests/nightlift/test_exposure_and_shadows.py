"""Exposure and shadows by every door: the same bytes, and in a video too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from service.rendering import RenderOptions, render_array
from service.repository import ModelTraits, SpatialScope
from tests.nightlift.commands import nightlift
from tests.nightlift.doors import DOORS, Door, Request
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, serving

PICTURE = dark_scene(size=(60, 80))
FILE = encoded(PICTURE)
WISHES: dict[str, float] = {"exposure": 0.7, "shadows": -0.4}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("wishes") / "models")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository, repository.parent, default_model="brighten") as running:
        yield running


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
    door: Door, server: Server, repository: Path, expected: np.ndarray
) -> None:
    answer = door(Request(server, repository, FILE, WISHES))
    np.testing.assert_array_equal(decoded(answer.data), expected)


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
