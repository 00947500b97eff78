"""Fuzzed requests: every accepted picture format mutated, forms, odd headers and parameters, and both protocols.

Everything is drawn from a `random.Random`: a seed makes the same request again, and Hypothesis can stand in for it
and shrink what fails.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

from tritonclient.grpc import service_pb2 as pb

from tests.mutations import mutated
from tests.service.pictures.seeds import SEEDS

FILES = tuple(SEEDS.values())
MODELS = ("brighten", "unbatched", "nowhere", "../brighten", "")
BOUNDARY = "8a3f"
PARAMETERS: dict[str, tuple[str, ...]] = {
    "model": ("brighten", "unbatched", "nowhere", "../brighten", "a" * 200, "\0", "%00"),
    "version": ("1", "2", "0", "-1", "1e3", "9" * 30, "one"),
    "detail": ("auto", "whole", "guided", "tiles", "fine", ""),
    "strength": ("0", "0.5", "1", "2", "-0", "nan", "inf", "1e-320", ""),
    "protect": ("0", "1", "nan", "-1"),
    "gate": ("true", "false", "1", "maybe"),
    "gamma": ("0.3", "3", "1", "0", "nan", "1e999"),
    "exposure": ("-2", "2", "0.5", "-2.1", "nan", "-1e999"),
    "denoise": ("auto", "0", "1", "0.5", "1.1", "nan", "none", ""),
    "shadows": ("-1", "1", "0.5", "1.1", "nan", "-0"),
    "format": ("jpeg", "png", "webp", "avif", "tiff", "bmp", "JPEG", ""),
    "quality": ("1", "100", "90", "0", "1.5", "high"),
    "metadata": ("keep", "without_location", "strip", "all"),
    "strenght": ("1",),
}
HEADERS: dict[str, tuple[str, ...]] = {
    "accept": (
        "image/webp",
        "text/html",
        "*/*;q=0",
        "image/*;q=x",
        "," * 500,
        "\xff",
        "image/avif;q=1e9",
        "a/b" * 2000,
        "text/plain;version=x",
        "application/openmetrics-text;version=1.x",
    ),
    "content-type": (
        "image/jpeg",
        "application/json",
        "multipart/form-data",
        f"multipart/form-data; boundary={BOUNDARY}",
        "multipart/form-data; boundary=" + "x" * 300,
        'multipart/form-data; boundary="; charset=\xff',
        "text/html; charset=utf-99",
        "\xe9",
    ),
    "content-length": ("0", "-1", "10", "99999999999", "ten", "1,2", "0" * 5000),
    "content-encoding": ("gzip", "identity", "br", "x" * 100),
    "transfer-encoding": ("chunked", "gzip, chunked"),
    "x-request-timeout": ("0.001", "1", "1e9", "-1", "nan", "inf", "soon", "0"),
    "x-request-id": ("id", "a" * 500, "\r\n", "\xff", ""),
    "inference-header-content-length": ("0", "1", "100", "-1", "9" * 40, "x", "\xb2"),
    "expect": ("100-continue", "200-ok"),
    "traceparent": ("00-" + "0" * 32 + "-" + "0" * 16 + "-01", "garbage"),
    "range": ("bytes=0-0",),
    "if-none-match": ("*",),
    "origin": ("http://elsewhere.example", "null"),
    "authorization": ("Bearer x", "Basic \xff"),
}
JUNK: tuple[Any, ...] = (None, True, -1, 0, 1.5, 2**70, 1e308, "", "x", "\ud800", [], [[]], {}, {"a": []}, [1] * 50)
ROUTES = (
    "/livez",
    "/readyz",
    "/metrics",
    "/models",
    "/",
    "/docs",
    "/openapi.json",
    "/static/x",
    "/problems/x",
    "/v2",
)


@dataclass
class FuzzedRequest:
    """One request; `path` of gRPC calls is the method's full name, and they have no headers.

    Attributes:
        kind: which generator made it.
        chunks: the body in the pieces in which it arrives.
        leaves: whether the client goes away before the body is complete.
    """

    kind: str
    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: tuple[bytes, ...] = (b"",)
    leaves: bool = False

    @property
    def body(self) -> bytes:
        """All of the body."""
        return b"".join(self.chunks)


def request(random: Random) -> FuzzedRequest:
    """One fuzzed request of any kind."""
    return random.choices(list(GENERATORS), list(GENERATORS.values()))[0](random)


def picture(random: Random) -> bytes:
    """A picture file, mostly damaged."""
    file = random.choice(FILES)
    return file if random.random() < 0.1 else mutated(random, file, FILES)


def raw_picture(random: Random) -> FuzzedRequest:
    """A mutated file as the body."""
    query = _query(random) if random.random() < 0.3 else ""
    return FuzzedRequest("picture", "POST", "/enhance", query, [], _pieces(random, picture(random)))


def form(random: Random) -> FuzzedRequest:
    """A multipart form, whole or mutated."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{random.choice(("image", "image", "photo", ""))}"'
        f"{random.choice(('; filename=a.jpg', '; filename*=x', '', '; filename=' + 'a' * 999))}\r\n\r\n".encode()
        + picture(random)
        + b"\r\n"
        for _ in range(random.choice((1, 1, 1, 0, 2, 30)))
    ]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    if random.random() < 0.6:
        body = mutated(random, body, FILES)
    headers = [("content-type", f"multipart/form-data; boundary={BOUNDARY}")]
    return FuzzedRequest("form", "POST", "/enhance", _query(random), headers, _pieces(random, body))


def odd_request(random: Random) -> FuzzedRequest:
    """A sound picture with strange parameters and headers."""
    body = random.choice(FILES)
    headers = [(name, random.choice(HEADERS[name])) for name in random.choices(list(HEADERS), k=random.randrange(5))]
    leaves = random.random() < 0.1
    return FuzzedRequest("odd", "POST", "/enhance", _query(random), headers, _pieces(random, body), leaves)


def stray(random: Random) -> FuzzedRequest:
    """Any method on any path."""
    path = random.choice(
        (*ROUTES, "/" + "x" * 3000, "/v2/models/%2e%2e/infer", "//", "/v2/repository/index", "/\udcff")
    )
    method = random.choice(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "BREW"))
    headers = [(name, random.choice(HEADERS[name])) for name in random.choices(list(HEADERS), k=random.randrange(3))]
    return FuzzedRequest("stray", method, path, random.choice(("", "a=b&a=c", "%ff=%00", "&" * 100)), headers)


def protocol(random: Random) -> FuzzedRequest:
    """A call of /v2, in JSON or with binary tensors, often contradictory."""
    document, binary = _document(random)
    text = json.dumps(document).encode()
    if random.random() < 0.3:
        text = mutated(random, text, FILES)
    headers = []
    if binary or random.random() < 0.2:
        headers.append(("inference-header-content-length", str(len(text) + random.choice((0, 0, 0, 1, -1, -5)))))
    model = random.choice(MODELS)
    path = random.choice(
        (f"/v2/models/{model}/infer",) * 6
        + (f"/v2/models/{model}/versions/{random.choice(('1', '9', 'x'))}/infer",)
        + ("/v2/repository/index", f"/v2/repository/models/{model}/load")
    )
    if random.random() < 0.05:
        return FuzzedRequest(
            "protocol", "POST", path, "", [("inference-header-content-length", "0")], (picture(random),)
        )
    return FuzzedRequest("protocol", "POST", path, "", headers, _pieces(random, text + binary))


def rpc(random: Random) -> FuzzedRequest:
    """A gRPC message, sound or mutated."""
    message = pb.ModelInferRequest(model_name=random.choice(MODELS), model_version=random.choice(("", "1", "0", "x")))
    for _ in range(random.choice((1, 1, 1, 0, 2))):
        shape = _shape(random)
        given = message.inputs.add(
            name=random.choice(("image", "image", "other")), datatype=_datatype(random), shape=shape
        )
        match random.choice(("raw", "raw", "picture", "typed")):
            case "raw":
                message.raw_input_contents.append(bytes(_size(random, shape)))
            case "picture":
                given.datatype, given.shape[:] = "BYTES", [1]
                content = picture(random)
                message.raw_input_contents.append(len(content).to_bytes(4, "little") + content)
            case "typed":
                given.contents.uint_contents.extend([7] * min(500, _size(random, shape)))
    if random.random() < 0.3:
        message.parameters[random.choice(("strength", "timeout", "gamma", "x"))].double_param = random.choice(
            (0.5, 1e308, float("nan"), -1.0)
        )
    if random.random() < 0.2:
        message.outputs.add(name=random.choice(("enhanced", "nothing")))
    content = message.SerializeToString()
    if random.random() < 0.3:
        content = mutated(random, content, FILES)
    method = random.choice(
        ("ModelInfer",) * 6 + ("ModelReady", "ModelMetadata", "RepositoryIndex", "ModelStreamInfer")
    )
    return FuzzedRequest("grpc", "gRPC", f"/inference.GRPCInferenceService/{method}", "", [], (content,))


GENERATORS: dict[Callable[[Random], FuzzedRequest], int] = {
    raw_picture: 38,
    form: 14,
    odd_request: 10,
    stray: 5,
    protocol: 20,
    rpc: 13,
}
"""Generator -> its share in percent."""


def _query(random: Random) -> str:
    names = random.choices(list(PARAMETERS), k=random.choice((0, 1, 2, 3, 6)))
    return urlencode([(name, random.choice(PARAMETERS[name])) for name in names])


def _pieces(random: Random, body: bytes) -> tuple[bytes, ...]:
    """The body in one to three pieces, one of which may be empty."""
    cuts = sorted(random.randrange(len(body) + 1) for _ in range(random.choice((0, 0, 1, 2))))
    return tuple(body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True))


def _document(random: Random) -> tuple[Any, bytes]:
    inputs: list[Any] = []
    binary = b""
    for _ in range(random.choice((1, 1, 1, 0, 2))):
        shape = _shape(random)
        given: dict[str, Any] = {
            "name": random.choice(("image", "image", "image", "other")),
            "shape": shape,
            "datatype": _datatype(random),
        }
        match random.choice(("binary", "numbers", "picture", "junk")):
            case "binary":
                content = bytes(_size(random, shape))
                given["parameters"] = {"binary_data_size": len(content) + random.choice((0, 0, 0, 1, -1))}
                binary += content
            case "numbers":
                given["data"] = [random.choice((7, 255))] * min(2000, _size(random, shape))
            case "picture":
                given |= {"datatype": "BYTES", "shape": [1], "data": [base64.b64encode(picture(random)).decode()]}
            case "junk":
                given[random.choice(("data", "shape", "datatype", "parameters", "name"))] = random.choice(JUNK)
        inputs.append(given)
    document: dict[str, Any] = {"inputs": inputs}
    if random.random() < 0.3:
        document[random.choice(("id", "parameters", "outputs", "inputs", "extra"))] = random.choice(JUNK)
    if random.random() < 0.3:
        document["parameters"] = {
            random.choice(("binary_data_output", "strength", "timeout", "gamma", "priority")): random.choice(JUNK)
        }
    return (random.choice(JUNK) if random.random() < 0.03 else document), binary


def _shape(random: Random) -> list[int]:
    sound = [1, random.choice((16, 18, 24)), random.choice((16, 24, 32)), 3]
    return random.choice((sound, sound, sound, sound[1:], [9, *sound[1:]], [1, 10**6, 10**6, 3], [0, 1], [], [-1, 3]))


def _size(random: Random, shape: list[int]) -> int:
    """The bytes that a UINT8 tensor of this shape has, or a few more or less; never many."""
    size = 1
    for side in shape:
        size *= side
    return max(0, min(size, 5000) + random.choice((0, 0, 0, 0, 1, -1)))


def _datatype(random: Random) -> str:
    return random.choice(("UINT8",) * 6 + ("BYTES", "FP32", "FP16", "BOOL", "UINT64", "COMPLEX", ""))
