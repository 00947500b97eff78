"""Requests and surroundings that are meant to break something, one at a time."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from onnx import TensorProto, helper

from service.admission import Scope, add_key, revoke_key
from tests.pictures import dark_scene, encoded
from tests.reliability.load import resident_mib
from tests.repositories import make_repository
from tests.servers import Server, free_port, serving

PHOTO = encoded(dark_scene(size=(48, 64)))
LARGER = encoded(dark_scene(size=(300, 400)))
QUICK = 1.0
"""Seconds in which a refusal must come, beside other tests."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with one small model."""
    folder = tmp_path_factory.mktemp("requests")
    with serving(make_repository(folder / "models"), folder, default_model="brighten", log_format="json") as running:
        yield running
        assert "Traceback" not in running.log_text()


DEEP = 200_000
NESTED = {
    "lists": b"[" * DEEP,
    "closed lists": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP,
    "data": b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1],"data":' + b"[" * DEEP,
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize("path", ["/v2/models/brighten/infer", "/v2/repository/index"])
def test_json_that_is_nested_deep_is_refused(server: Server, path: str, body: bytes) -> None:
    started = time.monotonic()
    answer = httpx.post(server.url + path, content=body, timeout=30)
    assert answer.status_code == 400
    assert time.monotonic() - started < QUICK


def test_a_form_of_ten_thousand_fields_is_refused(server: Server) -> None:
    boundary = "b"
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
    body = "".join(field % number for number in range(10_000)) + f"--{boundary}--\r\n"
    started = time.monotonic()
    answer = httpx.post(
        f"{server.url}/enhance",
        content=body.encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=30,
    )
    assert answer.status_code == 400
    assert time.monotonic() - started < QUICK


@pytest.mark.parametrize("length", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_elements_that_lie_about_their_length_are_refused(server: Server, length: int) -> None:
    data = struct.pack("<I", length) + b"xy"
    described = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [described]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = httpx.post(f"{server.url}/v2/models/brighten/infer", content=head + data, headers=headers, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_log_has_one_line_a_request_whatever_it_is_called(server: Server) -> None:
    forged = '{"level": "critical", "message": "forged"}'
    for name in ("x\n" + forged, 'x", "level": "critical', "\x1b[2J", "\u2028" + forged):
        httpx.post(f"{server.url}/enhance", params={"model": name}, content=PHOTO)
    time.sleep(0.3)
    lines = [json.loads(line) for line in server.log_text().splitlines()]
    assert lines
    assert not [line for line in lines if line["level"] == "critical"]


def test_a_key_that_is_revoked_during_a_request_is_good_for_its_rest(tmp_path: Path) -> None:
    """What was taken is answered; the next request is refused a second later."""
    path = tmp_path / "keys.json"
    headers = {"Authorization": f"Bearer {add_key(path, 'phone', frozenset({Scope.ENHANCE}))}"}
    root = make_repository(tmp_path / "models", slow=2.4)
    statuses: list[int] = []
    with serving(root, tmp_path, default_model="brighten", keys_file=path) as server:

        def send() -> None:
            url = f"{server.url}/enhance"
            statuses.append(httpx.post(url, content=PHOTO, headers=headers, timeout=60).status_code)

        running = threading.Thread(target=send)
        running.start()
        time.sleep(0.2)
        revoke_key(path, "phone")
        time.sleep(1.1)
        send()
        running.join()
    assert sorted(statuses) == [200, 401]


def test_a_byte_a_second_with_a_good_key_ends_with_the_request_s_time(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "keys.json"
    key = add_key(path, "phone", frozenset({Scope.ENHANCE}))
    root = make_repository(tmp_path / "models")
    with (
        serving(root, tmp_path, default_model="brighten", keys_file=path, request_timeout=2) as server,
        socket.create_connection(("127.0.0.1", server.port)) as connection,
    ):
        head = f"POST /enhance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(0.2)
        started, answer = time.monotonic(), b""
        while not answer and time.monotonic() - started < 10:
            connection.sendall(b"\xff")
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 7


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../../../../etc/passwd", "../../other/1/model.onnx", "absent.bin"]
)
def test_weights_outside_of_a_model_s_folder_are_not_read(server_with_control: Server, location: str) -> None:
    folder = Path(server_with_control.log).parent / "models" / "outside" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    save_graph(folder / "model.onnx", tensor)
    answer = httpx.post(f"{server_with_control.url}/v2/repository/models/outside/load", timeout=60)
    assert answer.status_code == 422
    check_says_no_folder(answer.text, folder)
    assert "root:" not in answer.text


def test_operators_that_are_not_known_are_refused(server_with_control: Server) -> None:
    folder = Path(server_with_control.log).parent / "models" / "outside" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    save_graph(folder / "model.onnx", None, operator="Run", domain="com.evil")
    answer = httpx.post(f"{server_with_control.url}/v2/repository/models/outside/load", timeout=60)
    assert answer.status_code == 422
    check_says_no_folder(answer.text, folder)
    listed = httpx.get(f"{server_with_control.url}/models").text
    check_says_no_folder(listed, folder)


@pytest.fixture(scope="module")
def server_with_control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that loads what it is told to, with a model `outside` whose graph the tests write."""
    folder = tmp_path_factory.mktemp("control")
    root = make_repository(folder / "models", ("brighten", "outside"))
    with serving(root, folder, default_model="brighten", models="brighten", model_control=True) as running:
        yield running


def save_graph(path: Path, weights: TensorProto | None, operator: str = "Identity", domain: str = "") -> None:
    """A graph under the pixel contract, of one node; with weights it chooses the picture's pixels and not theirs."""
    pixels = ["N", "H", "W", 3]
    yes = helper.make_tensor("yes", TensorProto.BOOL, [1], [True])
    node = helper.make_node(operator, ["image"], ["enhanced"], domain=domain)
    graph = helper.make_graph(
        [helper.make_node("Where", ["yes", "image", "w"], ["enhanced"]) if weights else node],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, pixels)],
        [helper.make_tensor_value_info("enhanced", TensorProto.UINT8, pixels)],
        initializer=[yes, weights] if weights else [],
    )
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def check_says_no_folder(text: str, folder: Path) -> None:
    assert str(folder) not in text
    assert str(folder.parents[2]) not in text
    assert "/tmp/" not in text


def test_a_repository_that_cannot_be_written_is_served(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "models")
    for path in (*root.rglob("*"), root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(str(path) for path in root.rglob("*"))
    try:
        with serving(root, tmp_path, default_model="brighten") as server:
            assert httpx.post(f"{server.url}/enhance", content=PHOTO).status_code == 200
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
    assert sorted(str(path) for path in root.rglob("*")) == before


IN_A_NAMESPACE = """
mount -t tmpfs -o size=64k tmpfs /dev/shm
mount -t tmpfs -o size=64k tmpfs {tmp}
head -c 1000000 /dev/zero >{tmp}/full 2>/dev/null; head -c 1000000 /dev/zero >/dev/shm/full 2>/dev/null
TMPDIR={tmp} exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("isolation", ["none", "process"])
def test_full_tmp_and_shared_memory_cost_no_request_and_no_hang(tmp_path: Path, isolation: str) -> None:
    """Batches for a child process go through memory that has no name, and so needs no room there."""
    root = make_repository(tmp_path / "models")
    (tmp_path / "tmp").mkdir()
    port = free_port()
    settings = {
        "model_repository": root,
        "default_model": "brighten",
        "port": port,
        "grpc_port": free_port(),
        "engine_isolation": isolation,
        "device": "cpu",
    }
    script = IN_A_NAMESPACE.format(tmp=tmp_path / "tmp")
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", "nightlift.cli", "serve"]
    environment = os.environ | {f"NIGHTLIFT_{name.upper()}": str(value) for name, value in settings.items()}
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, text=True)
    server = Server(process, port, 0, log)
    try:
        server.wait_live()
        end = time.monotonic() + 20
        while httpx.get(f"{server.url}/readyz").status_code != 200 and time.monotonic() < end:
            time.sleep(0.1)
        answer = httpx.post(f"{server.url}/enhance", content=LARGER, timeout=30)
        assert answer.status_code == 200, log.read_text()
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert resident_mib(process.pid) < 1000
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
