"""A model whose maps another one makes, over HTTP: one model to callers, two to the operator."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
import tritonclient.http as triton_http

from tests.map_models import PAIR, lively_network
from tests.pictures import dark_scene, decoded, encoded, scene
from tests.servers import Server, serving, wait_for
from training import networks
from training.networks.nightlift import evidence

PICTURES, MAPS = PAIR
PLAIN = {"protect": 0, "gate": False}


@pytest.fixture(scope="module")
def server(map_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service whose default model is the pair, and which clients may load and unload."""
    with serving(
        map_models / "models",
        tmp_path_factory.mktemp("map_models"),
        default_model=PICTURES,
        required_models=PICTURES,
        models=f"{PICTURES},{MAPS}",
        model_control=True,
    ) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def enhanced(http: httpx.Client, picture: np.ndarray, **parameters: object) -> np.ndarray:
    response = http.post("/enhance", params={**PLAIN, **parameters}, content=encoded(picture))
    assert response.status_code == 200, response.text
    return decoded(response.content)


def by_the_network(picture: np.ndarray, exposure: float) -> np.ndarray:
    """What the network makes of a picture whose proxy has its aspect ratio, in code values."""
    image = torch.tensor(picture).permute(2, 0, 1)[None] / 255
    size = networks.proxy_size(*picture.shape[:2], 256)
    network = lively_network()
    with torch.inference_mode():
        coefficients, _ = network.affine(
            networks.shrink(image, *size), evidence(image, *size), None, torch.tensor([[exposure]])
        )
        return 255 * network.render(coefficients, image)[0].permute(1, 2, 0).clamp(0, 1).numpy()


@pytest.mark.parametrize("exposure", [-2.0, 0.0, 1.5])
def test_the_wanted_exposure_goes_through_the_network(http: httpx.Client, exposure: float) -> None:
    picture = dark_scene("coffee", (400, 600))
    answer = enhanced(http, picture, exposure=exposure)
    assert (np.abs(answer - by_the_network(picture, exposure)) > 1).mean() < 0.001


def test_more_exposure_is_brighter_and_white_stays(http: httpx.Client) -> None:
    picture = dark_scene("astronaut", (400, 600))
    means = [enhanced(http, picture, exposure=stops).mean() for stops in (-2, -1, 0, 1, 2)]
    assert means == sorted(means)
    assert means[4] > 1.2 * means[0]


def test_automatic_detail_is_guided_at_every_size(http: httpx.Client) -> None:
    for size in ((16, 16), (40, 64), (400, 600)):
        response = http.post("/enhance", content=encoded(dark_scene("coffee", size)))
        assert response.headers["Nightlift-Detail"] == "guided"
        assert response.headers["Nightlift-Model"] == f"{PICTURES}/1"


def test_whole_agrees_with_guided(http: httpx.Client) -> None:
    picture = dark_scene("coffee", (300, 450))
    whole, guided = (enhanced(http, picture, detail=detail).astype(int) for detail in ("whole", "guided"))
    assert (np.abs(whole - guided) > 1).mean() < 0.001
    assert np.abs(whole - picture).mean() > 3


def test_a_photo_that_the_gate_leaves_alone_is_exposed_by_the_curve(http: httpx.Client) -> None:
    bright = np.clip(scene("coffee", (200, 300)).astype(int) + 90, 0, 255).astype(np.uint8)
    response = http.post("/enhance", params={"exposure": 0}, content=encoded(bright))
    assert float(response.headers["Nightlift-Gate"]) == 0
    np.testing.assert_array_equal(decoded(response.content), bright)
    darker = decoded(http.post("/enhance", params={"exposure": -1}, content=encoded(bright)).content)
    assert darker.mean() < bright.mean() - 10


def test_requests_at_once_get_their_own_answers(http: httpx.Client) -> None:
    picture = dark_scene("coffee", (300, 450))
    wishes = [-1.0, 0.0, 1.0] * 3
    with ThreadPoolExecutor(len(wishes)) as pool:
        answers = list(pool.map(lambda stops: enhanced(http, picture, exposure=stops), wishes))
    for index in range(3):
        for again in (index + 3, index + 6):
            assert np.abs(answers[index].astype(int) - answers[again]).max() <= 1
    assert answers[0].mean() < answers[1].mean() < answers[2].mean()


def test_both_are_listed_and_one_takes_pictures(http: httpx.Client) -> None:
    entries = {entry["name"]: entry for entry in http.get("/models").json()["models"]}
    assert (entries[PICTURES]["takes_pictures"], entries[MAPS]["takes_pictures"]) == (True, False)
    metadata = http.get(f"/v2/models/{MAPS}").json()
    assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]] == [
        ("proxy", "FP32", [-1, -1, -1, 3]),
        ("evidence", "FP32", [-1, -1, -1, 3]),
        ("exposure", "FP32", [-1, 1]),
    ]
    assert [tensor["name"] for tensor in metadata["outputs"]] == ["affine", "brightness"]
    refused = http.post("/enhance", params={"model": MAPS}, content=encoded(dark_scene("coffee", (64, 96))))
    assert refused.status_code == 422
    assert "takes no pictures" in refused.json()["detail"]


def test_any_client_may_call_the_map_model(server: Server) -> None:
    shown = np.random.default_rng(0).random((2, 32, 48, 3), np.float32)
    arrays = {"proxy": shown, "evidence": 0.1 * shown, "exposure": np.float32([[0], [1]])}
    with triton_http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        inputs = []
        for name, array in arrays.items():
            inputs.append(triton_http.InferInput(name, list(array.shape), "FP32"))
            inputs[-1].set_data_from_numpy(array)
        answer = client.infer(MAPS, inputs)
    assert answer.as_numpy("affine").shape == (2, 32, 48, 16)
    assert answer.as_numpy("brightness").shape == (2, 1)


def test_without_its_map_model_a_model_is_not_ready_and_says_why(http: httpx.Client) -> None:
    picture = encoded(dark_scene("coffee", (64, 96)))
    assert http.post(f"/v2/repository/models/{MAPS}/unload").status_code == 200
    try:
        response = http.post("/enhance", content=picture)
        assert response.status_code == 503
        problem = response.json()
        assert problem["type"].endswith("/problems/model-not-ready")
        assert f"'{MAPS}', which makes its colour maps, is unavailable" in problem["detail"]
        assert int(response.headers["Retry-After"]) >= 1
        assert http.get("/readyz").status_code == 503
        assert http.get(f"/v2/models/{PICTURES}/ready").status_code != 200
        entries = {entry["name"]: entry["ready"] for entry in http.get("/models").json()["models"]}
        assert entries == {**entries, PICTURES: False, MAPS: False}
    finally:
        assert http.post(f"/v2/repository/models/{MAPS}/load").status_code == 200
    wait_for(lambda: http.get("/readyz").status_code == 200)
    assert http.post("/enhance", content=picture).status_code == 200


def test_loading_the_model_again_brings_its_map_model(http: httpx.Client) -> None:
    for name in (MAPS, PICTURES):
        assert http.post(f"/v2/repository/models/{name}/unload").status_code == 200
    assert http.post(f"/v2/repository/models/{PICTURES}/load").status_code == 200
    assert http.get(f"/v2/models/{MAPS}/ready").status_code == 200
    assert http.post("/enhance", content=encoded(dark_scene("coffee", (64, 96)))).status_code == 200


def test_a_reload_of_the_map_model_loses_no_request(http: httpx.Client) -> None:
    picture = encoded(dark_scene("coffee", (64, 96)))
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(http.post, "/enhance", content=picture) for _ in range(80)]
        for _ in range(3):
            assert http.post(f"/v2/repository/models/{MAPS}/load").status_code == 200
        statuses = [answer.result().status_code for answer in answers]
    assert statuses == [200] * len(statuses)
