"""What clients are told, over both transports: no path of this machine, no trace, no library's version or banner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.repositories import make_repository
from tests.servers import Server, serving

NAMES = ("..", "../../etc", "/etc/passwd", "brighten/../odd", "brighten\0", "", "config.pbtxt", "a" * 300)
LIBRARIES = ("fastapi", "starlette", "uvicorn", "grpcio", "onnxruntime", "numpy", "pydantic", "pillow")
SECRETS = re.compile(
    r"Traceback|\.py\b|site-packages|/(tmp|root|home|work|usr|opt)/|"
    + "|".join(rf"\b{re.escape(metadata.version(name))}\b" for name in LIBRARIES),
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that lets clients load models, of which `odd`, `walking` and `text` cannot be loaded."""
    folder = tmp_path_factory.mktemp("leaks")
    repository = make_repository(folder / "models", ("brighten", "odd", "walking", "text"))
    (repository / "odd/1/model.onnx").write_bytes(b"no model")
    for name, more in (("walking", 'default_model_filename: "../../brighten/1/model.onnx"'), ("text", "{ nonsense")):
        config = repository / name / "config.pbtxt"
        config.write_text(config.read_text() + more)
    with serving(repository, folder, default_model="brighten", model_control=True) as running:
        yield running


def is_discreet(text: str, root: Path) -> bool:
    return SECRETS.search(text) is None and str(root) not in text


def test_http_tells_nothing(server: Server) -> None:
    tries: list[tuple[str, str, Any]] = [
        ("GET", "/models", None),
        ("POST", "/v2/repository/index", None),
        *[("POST", f"/v2/repository/models/{name}/load", None) for name in ("odd", "walking", "text")],
        ("POST", "/v2/repository/models/brighten/load", b'{"parameters": {"file:../../../etc/x": "eA=="}}'),
        ("POST", "/v2/repository/models/brighten/load", b'{"parameters": {"config": "{}"}}'),
        ("POST", "/v2/repository/models/brighten/load", b"{"),
        ("POST", "/v2/models/brighten/infer", b"[" * 5000),
        ("POST", "/v2/models/brighten/infer", b'{"inputs": [{"name": 1}]}'),
        ("POST", "/enhance", b"\xff\xd8\xff\xe0" + bytes(60)),
        ("POST", "/enhance?version=x&nonsense=1", b"x"),
        ("DELETE", "/enhance", None),
        ("GET", "/static/%2e%2e/%2e%2e/settings.py", None),
        ("GET", "/docs-assets/..%2f..%2f__init__.py", None),
        ("GET", "/metrics", None),
    ]
    for method, path, content in tries:
        response = httpx.request(method, server.url + path, content=content, timeout=30)
        assert response.status_code < 500, (path, response.text)
        own = response.text.replace(unquote(path), "")  # the client's path comes back as the problem's `instance`
        assert is_discreet(own, server.log.parent), (path, response.text)
        assert is_discreet(str(response.headers), server.log.parent)
        assert not {"server", "x-powered-by"} & set(response.headers), path


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_the_repository(server: Server, name: str) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in name.encode())
    for path in (
        f"repository/models/{escaped}/load",
        f"repository/models/{escaped}/unload",
        f"models/{escaped}/infer",
    ):
        response = httpx.post(f"{server.url}/v2/{path}")
        assert response.status_code in (400, 404), (path, response.text)
        assert is_discreet(response.text, server.log.parent)
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for call, request in (
            (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name=name)),
            (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest(model_name=name)),
            (stub.ModelMetadata, pb.ModelMetadataRequest(name=name)),
            (stub.ModelConfig, pb.ModelConfigRequest(name="brighten", version=f"1/{name}")),
        ):
            error = refused(call, request)
            assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
            assert is_discreet(str(error.details()), server.log.parent)


def test_grpc_tells_nothing(server: Server) -> None:
    override = pb.RepositoryModelLoadRequest(model_name="brighten")
    override.parameters["file:../../../etc/x"].bytes_param = b"x"
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        raw = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        unknown = channel.unary_unary("/absent.Service/Method")
        for call, request in (
            (stub.RepositoryModelLoad, override),
            *(
                (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name=n))
                for n in ("odd", "walking", "text")
            ),
            (stub.ModelInfer, pb.ModelInferRequest(model_name="brighten", raw_input_contents=[b"1"])),
            (raw, b"\xff\xff\xff"),
            (unknown, b""),
        ):
            error = refused(call, request)
            told = f"{error.details()} {error.initial_metadata()} {error.trailing_metadata()}"
            assert is_discreet(told, server.log.parent), told
        index = stub.RepositoryIndex(pb.RepositoryIndexRequest())
        assert {model.name for model in index.models if model.reason} == {"odd", "walking", "text"}
        assert is_discreet(str(index), server.log.parent), index


def refused(call: Any, request: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value
