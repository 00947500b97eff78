"""What only REST has: the forms of bodies, statuses, headers, and errors as the protocol wants them."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from service.http import _oip, create_app
from service.protocol import InferenceResponse
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, wait_for
from tests.service.conftest import MAX_BODY_BYTES, MAX_JSON_BYTES, metric

INFER = "/v2/models/brighten/infer"


@pytest.fixture
def http(protocol_server: Server) -> Iterator[httpx.Client]:
    """An HTTP client of the common server."""
    with httpx.Client(base_url=protocol_server.url, timeout=30) as client:
        yield client


def json_request(shape: tuple[int, ...] = (1, 16, 16, 3), **more: Any) -> dict[str, Any]:
    """A request in JSON alone, all of its pixels 40."""
    data = np.full(shape, 40).tolist()
    return {"inputs": [{"name": "image", "shape": shape, "datatype": "UINT8", "data": data}], **more}


def image(shape: list[int], datatype: str = "UINT8", **more: Any) -> dict[str, Any]:
    """A request in JSON with this one input."""
    return {"inputs": [{"name": "image", "shape": shape, "datatype": datatype, **more}]}


def split(response: httpx.Response) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary tensors of an answer."""
    length = int(response.headers["inference-header-content-length"])
    return json.loads(response.content[:length]), response.content[length:]


def test_health_has_the_bodies_that_kserve_expects(http: httpx.Client) -> None:
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    assert http.get("/v2/models/brighten/ready").json() == {"name": "brighten", "ready": True}
    assert http.get("/v2/models/brighten/versions/2/ready").status_code == 200
    assert http.get("/v2/models/brighten/versions/3/ready").status_code == 404
    assert http.get("/v2/models/broken/ready").status_code == 503


def test_json_in_json_out(http: httpx.Client) -> None:
    answer = http.post(INFER, json=json_request(id="7", outputs=[{"name": "enhanced"}]))
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert (document["model_name"], document["model_version"], document["id"]) == ("brighten", "2", "7")
    (output,) = document["outputs"]
    assert output["shape"] == [1, 16, 16, 3]
    assert set(output["data"]) == {120}


def test_forms_may_be_mixed(http: httpx.Client) -> None:
    """A binary input, one output binary and one in JSON."""
    image = np.random.default_rng(0).integers(0, 256, (2, 20, 16, 3), np.uint8)
    tensor = {
        "name": "image",
        "shape": image.shape,
        "datatype": "UINT8",
        "parameters": {"binary_data_size": image.size},
    }
    outputs = [{"name": "affine"}, {"name": "enhanced", "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    answer = http.post(
        INFER, content=header + image.tobytes(), headers={"Inference-Header-Content-Length": str(len(header))}
    )
    document, binary = split(answer)
    affine, enhanced = document["outputs"]
    assert affine["data"][:6] == [3, 3, 3, 0, 0, 0]
    assert enhanced["parameters"] == {"binary_data_size": image.size}
    np.testing.assert_array_equal(np.frombuffer(binary, np.uint8).reshape(image.shape), brightened(image, 2))


def test_a_header_length_of_0_makes_the_body_a_picture(http: httpx.Client) -> None:
    dark = dark_scene(size=(40, 48))
    answer = http.post(INFER, content=encoded(dark), headers={"Inference-Header-Content-Length": "0"})
    document, binary = split(answer)
    assert document["outputs"][0]["datatype"] == "BYTES"
    assert document["parameters"]["detail"] == "whole"
    assert decoded(binary[4:]).shape == dark.shape


def test_pictures_in_json_are_base64(http: httpx.Client) -> None:
    dark = dark_scene(size=(40, 48))
    text = base64.b64encode(encoded(dark)).decode()
    tensor = {"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": [[text]]}
    answer = http.post(INFER, json={"inputs": [tensor], "parameters": {"strength": 0}}).json()
    np.testing.assert_array_equal(decoded(base64.b64decode(answer["outputs"][0]["data"][0])), dark)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"json": json_request((1, 16, 16, 3), inputs=[])}, 400, "the request's inputs are: none"),
        ({"json": {"inputs": [{"name": "image"}]}}, 400, "inputs.0.shape: Field required"),
        ({"content": b"\xff\xfe"}, 400, "the request is not JSON"),
        ({"content": b"[" * 100_000}, 400, "the request is not JSON"),
        ({"content": b"{}", "headers": {"Inference-Header-Content-Length": "3"}}, 400, "has only 2 bytes"),
        ({"content": b"{}", "headers": {"Inference-Header-Content-Length": "-1"}}, 400, "must be a number"),
        ({"content": b"{}", "headers": {"Content-Encoding": "gzip"}}, 415, "send the request uncompressed"),
        ({"content": b" " * (MAX_JSON_BYTES + 1)}, 413, "request binary tensors"),
        ({"content": b" " * (MAX_BODY_BYTES + 1)}, 413, f"more than the {MAX_BODY_BYTES} bytes"),
        ({"json": json_request((5, 16, 16, 3))}, 422, "at most 4 at once"),
        ({"json": json_request(), "headers": {"X-Request-Timeout": "soon"}}, 422, "positive number of seconds"),
        ({"json": json_request(parameters={"timeout": -1})}, 422, "whole number of microseconds"),
        ({"json": json_request(parameters={"timeout": 10**400})}, 422, "whole number of microseconds"),
        ({"json": json_request(parameters={"timeout": 1})}, 504, "time allowed"),
        ({"json": json_request(parameters={"timeout": [1]})}, 400, "parameters.timeout"),
        ({"json": image([10**3999] * 2, data=[1])}, 400, "elements allowed"),
        ({"json": image([1025], "BYTES", data=[""])}, 400, "at most 1024 are allowed"),
    ],
)
def test_errors_are_in_the_protocols_form(
    http: httpx.Client, request_: dict[str, Any], status: int, words: str
) -> None:
    answer = http.post(INFER, **request_)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


def test_too_much_json_to_answer_with_is_refused_before_it_is_made(http: httpx.Client) -> None:
    image = np.zeros((1, 200, 300, 3), np.uint8)
    tensor = {"name": "image", "shape": image.shape, "datatype": "UINT8"}
    tensor["parameters"] = {"binary_data_size": image.size}
    for binary, status in ((False, 413), (True, 200)):
        header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": binary}}).encode()
        answer = http.post(
            INFER, content=header + image.tobytes(), headers={"Inference-Header-Content-Length": str(len(header))}
        )
        assert answer.status_code == status


@pytest.mark.parametrize("model", ["brighten", "absent"])
def test_a_version_beyond_all_numbers_is_refused_as_any_other(http: httpx.Client, model: str) -> None:
    answer = http.post(f"/v2/models/{model}/versions/{'9' * 5000}/infer", json=json_request())
    assert answer.status_code == 400
    assert "must be a positive whole number" in answer.json()["error"]
    assert http.get("/v2").status_code == 200


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/models/absent", "/v2/models/brighten/versions/9/config"])
def test_what_is_not_there_is_in_the_protocols_form_too(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def test_what_may_be_repeated_says_when(http: httpx.Client) -> None:
    http.post("/v2/repository/models/changing/unload").raise_for_status()
    answer = http.post("/v2/models/changing/infer", json=json_request())
    http.post("/v2/repository/models/changing/load").raise_for_status()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


def test_a_client_that_hangs_up_takes_its_queued_work_along(http: httpx.Client, protocol_server: Server) -> None:
    def executions() -> int:
        return http.get("/v2/models/slow/stats").json()["model_stats"][0]["execution_count"]

    def run() -> None:
        httpx.post(f"{protocol_server.url}/v2/models/slow/infer", json=json_request(), timeout=30).raise_for_status()

    def number(name: str, **labels: str) -> float:
        return metric(protocol_server, f"nightlift_{name}", **labels)

    run()  # what others began here is over
    ran, dropped = executions(), number("cancelled_total", at="queue")
    begun = number("batches_total", model="slow")
    body = json.dumps(json_request()).encode()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        wait_for(lambda: number("batches_total", model="slow") > begun)
        with socket.create_connection(("127.0.0.1", protocol_server.port)) as waiting:
            waiting.sendall(head.encode() + body)
            wait_for(lambda: number("queue_depth", model="slow") == 1)
        wait_for(lambda: number("cancelled_total", at="queue") == dropped + 1)
        running.result()
    assert executions() == ran + 1


def test_the_index_may_be_of_ready_models_alone(http: httpx.Client) -> None:
    names = {line["name"] for line in http.post("/v2/repository/index", content=b'{"ready": true}').json()}
    assert names == {"brighten", "unbatched", "slow", "changing"}
    assert http.post("/v2/repository/index", content=b'{"ready": 7}').status_code == 400


def test_models_are_not_controlled_unless_that_is_allowed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")

    async def calls() -> list[httpx.Response]:
        async with Runtime(Settings(model_repository=repository, default_model="brighten")) as runtime:
            await runtime.loaded()
            transport = httpx.ASGITransport(create_app(runtime))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                change = "/v2/repository/models/brighten/"
                return [
                    await client.post(change + "load"),
                    await client.post(change + "unload"),
                    await client.get("/v2"),
                    await client.post("/v2/repository/index"),
                    await client.get("/v2/health/ready"),
                ]

    load, unload, server, index, ready = asyncio.run(calls())
    for refused in (load, unload):
        assert refused.status_code == 403
        assert "NIGHTLIFT_MODEL_CONTROL" in refused.json()["error"]
    assert "model_repository" not in server.json()["extensions"]
    assert index.json() == [{"name": "brighten", "version": "1", "state": "READY", "reason": ""}]
    assert ready.status_code == 200


async def test_a_body_is_not_held_beside_the_pictures_that_were_read_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = struct.pack("<I", 100) + bytes(100)
    described = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    body, held = head + content, []

    async def read_body(request: Any) -> bytes:
        return body

    async def infer(request: Any, ticket: Any) -> InferenceResponse:
        held.append(sys.getrefcount(body))
        return InferenceResponse("brighten", 1, "", ())

    monkeypatch.setattr(_oip, "read_body", read_body)
    runtime = SimpleNamespace(settings=Settings())
    request = SimpleNamespace(
        app=SimpleNamespace(state=SimpleNamespace(runtime=runtime, protocol=SimpleNamespace(infer=infer))),
        state=SimpleNamespace(ticket=SimpleNamespace(reserve=lambda model, version: None)),
        path_params={},
        receive=asyncio.Event().wait,
    )
    alone = sys.getrefcount(body)
    assert (await _oip.infer(request, "brighten", str(len(head)))).status_code == 200  # type: ignore[arg-type]
    assert held == [alone]
