"""The standard health service and reflection, by their own clients; and what happens when the service stops."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.protocol import DataPlane
from service.rpc import _health
from service.runtime import Runtime
from service.settings import Settings
from tests.repositories import brightened, make_repository
from tests.servers import Server, free_port, serving

Status = health_pb2.HealthCheckResponse


@pytest.fixture
def channel(protocol_server: Server) -> Iterator[grpc.Channel]:
    """A channel to the common server."""
    with grpc.insecure_channel(protocol_server.grpc) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("", Status.SERVING),
        ("inference.GRPCInferenceService", Status.SERVING),
        ("brighten", Status.SERVING),
        ("broken", Status.NOT_SERVING),
    ],
)
def test_health_is_that_of_the_service_and_of_models(channel: grpc.Channel, name: str, status: int) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    assert answer.status == status


def test_health_of_what_is_not_there(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="absent"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="absent"))
    assert next(watch).status == Status.SERVICE_UNKNOWN
    watch.cancel()


def test_watching_sees_a_model_go_and_come_back(channel: grpc.Channel) -> None:
    inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="changing"), timeout=20)
    assert next(watch).status == Status.SERVING
    inference.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="changing"))
    assert next(watch).status == Status.NOT_SERVING
    inference.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="changing"))
    assert next(watch).status == Status.SERVING
    watch.cancel()


def test_who_watches_is_counted_and_costs_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_repository(tmp_path / "models")
    monkeypatch.setattr(_health, "WATCHERS", 1)
    monkeypatch.setattr(_health, "WATCH_SECONDS", 0.01)

    async def watch() -> None:
        plane = DataPlane(Runtime(Settings(model_repository=root, default_model="brighten")))
        root.rename(tmp_path / "elsewhere")
        server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(_health.HealthServicer(plane, ()), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="brighten")
            for _ in range(2):
                first = stub.Watch(request)
                assert (await first.read()).status == Status.NOT_SERVING
                second = stub.Watch(request)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await second.read()
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "use Check" in caught.value.details()
                assert (await stub.Check(request)).status == Status.NOT_SERVING
                first.cancel()
                await asyncio.sleep(0.1)  # until the server has heard of it
        await server.stop(0)

    asyncio.run(watch())


def test_reflection_describes_every_service(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    names = {"inference.GRPCInferenceService", "grpc.health.v1.Health"}
    assert names <= set(database.get_services())
    described = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
    assert "ModelInfer" in described.methods_by_name


def test_a_service_that_stops_says_so_serves_on_and_finishes(tmp_path: Path) -> None:
    """At the signal health turns, calls are still taken during the delay, and what runs at the end is finished."""
    repository = make_repository(tmp_path / "models", ("slow",), slow=0.2)
    image = np.full((1, 24, 32, 3), 40, np.uint8)
    request = pb.ModelInferRequest(model_name="slow", raw_input_contents=[image.tobytes()])
    request.inputs.add(name="image", datatype="UINT8", shape=image.shape)
    answers: list[Any] = []
    with (
        serving(repository, tmp_path, default_model="slow", drain_delay=0.7) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == Status.SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(watch).status == Status.NOT_SERVING
        assert not inference.ServerReady(pb.ServerReadyRequest()).ready
        calls = [threading.Thread(target=lambda: answers.append(inference.ModelInfer(request))) for _ in range(3)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        assert list(watch) == []
        server.process.wait(20)
    assert [answer.raw_output_contents[0] for answer in answers] == [brightened(image).tobytes()] * 3


def test_a_taken_port_is_refused_in_words(tmp_path: Path, protocol_server: Server) -> None:
    repository = make_repository(tmp_path / "models")
    ports = {"port": free_port(), "grpc_port": protocol_server.grpc_port}
    with serving(repository, tmp_path, wait=False, default_model="brighten", **ports) as server:
        assert server.process.wait(30) != 0
        assert f"gRPC cannot listen on {protocol_server.grpc}: is the port taken?" in server.log_text()
