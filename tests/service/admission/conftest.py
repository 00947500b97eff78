"""Services with keys, for calls over both transports, and how to make such calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.admission import Scope, add_key
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

PICTURE = encoded(dark_scene(size=(100, 100)))
HALF_A_PICTURE = 0.005
"""Megapixels."""
ORIGIN = "https://app.example"


@dataclass
class ServiceWithKeys:
    """A service with keys, and the keys by name."""

    server: Server
    file: Path
    keys: dict[str, str]


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One quick model, `brighten`, and `changing`, to be loaded and unloaded."""
    return make_repository(tmp_path_factory.mktemp("access") / "models", ("brighten", "changing"))


@pytest.fixture(scope="package")
def guarded(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceWithKeys]:
    """A service with a key of every scope, `slow` that may call three times and then every 1000 s, and `small`
    and `raw` that may send half a `PICTURE` a minute."""
    folder = tmp_path_factory.mktemp("guarded")
    file = folder / "keys.json"
    keys = {scope.value: add_key(file, scope.value, frozenset({scope})) for scope in Scope}
    keys["slow"] = add_key(file, "slow", frozenset({Scope.ENHANCE}), requests_per_second=0.001, burst=3)
    for name in ("small", "raw"):
        keys[name] = add_key(file, name, frozenset({Scope.ENHANCE}), megapixels_per_minute=HALF_A_PICTURE)
    with serving(
        repository,
        folder,
        default_model="brighten",
        keys_file=file,
        metrics_open=False,
        model_control=True,
        cors_origins=ORIGIN,
        max_body_bytes=1_000_000,
    ) as server:
        yield ServiceWithKeys(server, file, keys)


@dataclass
class Outcome:
    """What became of a call: the status of HTTP or the name of gRPC's, the message, and how long to wait."""

    code: int | str
    detail: str = ""
    retry_after: int | None = None


def bearer(key: str | None) -> dict[str, str]:
    """The header that brings a key along."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


def over_http(url: str, headers: dict[str, str], *, verify: object = True) -> Outcome:
    """Enhance a picture by POST /enhance."""
    response = httpx.post(f"{url}/enhance", content=PICTURE, headers=headers, verify=verify)  # type: ignore[arg-type]
    detail = "" if response.is_success else response.json()["detail"]
    retry = response.headers.get("retry-after")
    return Outcome(response.status_code, detail, None if retry is None else int(retry))


def over_grpc(channel: grpc.Channel, headers: dict[str, str]) -> Outcome:
    """Enhance a picture by ModelInfer."""
    request = pb.ModelInferRequest(model_name="brighten")
    request.inputs.add(name="image", datatype="BYTES", shape=[1]).contents.bytes_contents.append(PICTURE)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    try:
        stub.ModelInfer(request, metadata=tuple(headers.items()))
    except grpc.RpcError as error:
        retry = dict(error.trailing_metadata()).get("retry-after")
        return Outcome(error.code().name, error.details(), None if retry is None else int(retry))
    return Outcome("OK")


def call(transport: str, server: Server, headers: dict[str, str]) -> Outcome:
    """Enhance a picture over `http` or `grpc`, unencrypted."""
    if transport == "http":
        return over_http(server.url, headers)
    with grpc.insecure_channel(server.grpc) as channel:
        return over_grpc(channel, headers)
