"""A service with keys, over both transports: who is let in, who is refused how, and before what."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.admission import Scope, add_key, revoke_key
from service.rpc._interceptor import scope_needed
from tests.service.admission.conftest import PICTURE, ServiceWithKeys, bearer, call

TRANSPORTS = ("http", "grpc")
MISSING = {"http": 401, "grpc": "UNAUTHENTICATED"}
FORBIDDEN = {"http": 403, "grpc": "PERMISSION_DENIED"}
FINE = {"http": 200, "grpc": "OK"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_good_key_is_let_in_however_the_scheme_is_written(guarded: ServiceWithKeys, transport: str) -> None:
    key = guarded.keys["enhance"]
    for value in (f"Bearer {key}", f"bearer  {key}"):
        assert call(transport, guarded.server, {"authorization": value}).code == FINE[transport]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_without_a_good_key_nobody_is(guarded: ServiceWithKeys, transport: str) -> None:
    key = guarded.keys["enhance"]
    for value in (None, "", "Bearer", f"Basic {key}", key, f"Bearer {key[:-1]}", f"Bearer {key} {key}"):
        outcome = call(transport, guarded.server, {} if value is None else {"authorization": value})
        assert outcome.code == MISSING[transport], value
        assert "key" in outcome.detail
        assert key not in outcome.detail


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_scope_counts(guarded: ServiceWithKeys, transport: str) -> None:
    outcome = call(transport, guarded.server, bearer(guarded.keys["admin"]))
    assert outcome.code == FORBIDDEN[transport]
    assert outcome.detail == "this needs a key with the scope 'enhance'; the key's scopes are: admin"


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("enhance", 403), ("metrics", 403), ("admin", 200)])
def test_models_are_changed_by_administrators_alone(guarded: ServiceWithKeys, name: str | None, status: int) -> None:
    headers = bearer(guarded.keys[name]) if name else {}
    for change in ("load", "unload"):
        response = httpx.post(f"{guarded.server.url}/v2/repository/models/changing/{change}", headers=headers)
        assert response.status_code == status, response.text
    with grpc.insecure_channel(guarded.server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = pb.RepositoryModelLoadRequest(model_name="changing")
        try:
            stub.RepositoryModelLoad(request, metadata=tuple(headers.items()))
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
    assert code == {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 200: "OK"}[status]


def test_probes_page_and_documentation_stay_open(guarded: ServiceWithKeys) -> None:
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/", "/docs", "/openapi.json"):
        assert httpx.get(guarded.server.url + path).status_code == 200, path
    for path in ("/static/style.css", "/static/scripts/app.js", "/problems/unauthenticated"):
        assert httpx.get(guarded.server.url + path).status_code == 200, path
    for path in ("/models", "/v2", "/v2/models/brighten", "/nothing", "/static/../models", "//livez", "/v2/health"):
        assert httpx.get(guarded.server.url + path).status_code == 401, path


def test_the_description_says_what_needs_a_key(guarded: ServiceWithKeys) -> None:
    description = httpx.get(f"{guarded.server.url}/openapi.json").json()
    scheme = description["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            refused = httpx.request(method, guarded.server.url + path).status_code == 401
            assert operation.get("security") == ([{"key": []}] if refused else None), (method, path)


def test_of_grpc_health_liveness_and_reflection_stay_open(guarded: ServiceWithKeys) -> None:
    with grpc.insecure_channel(guarded.server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(pb.ServerLiveRequest()).live
        assert stub.ServerReady(pb.ServerReadyRequest()).ready
        listed = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        assert len(next(listed).list_services_response.service) == 3


def test_every_method_of_the_service_needs_what_it_should() -> None:
    methods = [method.name for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
    needs = {name: scope_needed(f"/inference.GRPCInferenceService/{name}") for name in methods}
    assert {name for name, need in needs.items() if need is None} == {"ServerLive", "ServerReady"}
    admin = {"RepositoryModelLoad", "RepositoryModelUnload"}
    assert {name for name, need in needs.items() if need is Scope.ADMIN} == admin
    assert scope_needed("/another.Service/Method") is Scope.ENHANCE


def test_metrics_need_their_own_scope_and_tell_keys_by_name(guarded: ServiceWithKeys) -> None:
    url = f"{guarded.server.url}/metrics"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer(guarded.keys["enhance"])).status_code == 403
    call("http", guarded.server, bearer(guarded.keys["admin"]))
    text = httpx.get(url, headers=bearer(guarded.keys["metrics"])).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counted = {
        (sample.labels["key"], sample.labels["outcome"]): sample.value
        for sample in samples
        if sample.name == "nightlift_key_requests_total"
    }
    assert counted["admin", "forbidden"] >= 1
    assert counted["metrics", "admitted"] >= 1
    assert {key for key, _ in counted} <= {*guarded.keys, "passing"}
    refused = [
        sample.value
        for sample in samples
        if sample.name == "nightlift_requests_total"
        and sample.labels == {"route": "/enhance", "method": "POST", "code": "403"}
    ]
    assert refused[0] >= 1


def test_refusals_say_what_to_do(guarded: ServiceWithKeys) -> None:
    response = httpx.post(f"{guarded.server.url}/enhance", content=PICTURE)
    assert response.headers["www-authenticate"] == 'Bearer realm="nightlift"'
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "/problems/unauthenticated"
    assert httpx.get(f"{guarded.server.url}/v2/models/brighten").json().keys() == {"error"}


def test_http_refuses_before_the_body_is_there(guarded: ServiceWithKeys) -> None:
    with socket.create_connection(("127.0.0.1", guarded.server.port), timeout=10) as client:
        head = "POST /enhance HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")
    started = time.monotonic()
    with httpx.Client() as client:  # one that sends at once reads its answer, too
        response = client.post(f"{guarded.server.url}/enhance", content=b"0" * 900_000)
    assert response.status_code == 401
    assert time.monotonic() - started < 2


def test_grpc_refuses_before_the_message_is_there(guarded: ServiceWithKeys) -> None:
    """The client never sends its message: a server that waited for it would not answer."""
    with grpc.insecure_channel(guarded.server.grpc) as channel:
        infer = channel.stream_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )

        def never() -> Any:
            time.sleep(3)
            yield pb.ModelInferRequest()

        started = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            infer(never(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - started < 2.5


def test_grpc_calls_without_a_message_or_with_too_long_a_one_are_refused(guarded: ServiceWithKeys) -> None:
    metadata = tuple(bearer(guarded.keys["enhance"]).items())
    with grpc.insecure_channel(guarded.server.grpc) as channel:
        infer = channel.stream_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        for requests, code in (
            ([], "INVALID_ARGUMENT"),
            ([pb.ModelInferRequest(raw_input_contents=[bytes(1_100_000)])], "RESOURCE_EXHAUSTED"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                infer(iter(requests), metadata=metadata, timeout=20)
            assert caught.value.code().name == code, caught.value
    assert "Traceback" not in guarded.server.log_text()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_running_service_learns_of_new_keys_and_forgets_revoked_ones(
    guarded: ServiceWithKeys, transport: str
) -> None:
    headers = bearer(add_key(guarded.file, "passing", frozenset({Scope.ENHANCE})))
    wait_for(FINE[transport], transport, guarded, headers)
    revoke_key(guarded.file, "passing")
    wait_for(MISSING[transport], transport, guarded, headers)


def test_nothing_of_a_key_is_logged(guarded: ServiceWithKeys) -> None:
    call("http", guarded.server, bearer(guarded.keys["enhance"]))
    load = f"{guarded.server.url}/v2/repository/models/changing/load"
    assert httpx.post(load, headers=bearer(guarded.keys["admin"])).status_code == 200
    log = guarded.server.log_text()
    assert not [name for name, key in guarded.keys.items() if key.split("_", 2)[2] in log]
    assert "the key 'admin' is used to change models" in log
    assert guarded.keys["enhance"] not in json.dumps(httpx.get(f"{guarded.server.url}/openapi.json").json())


def wait_for(code: int | str, transport: str, guarded: ServiceWithKeys, headers: dict[str, str]) -> None:
    end = time.monotonic() + 5
    while call(transport, guarded.server, headers).code != code:
        assert time.monotonic() < end
        time.sleep(0.1)
