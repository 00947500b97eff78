"""The nine doors by which a photo and its options come in: HTTP, gRPC, the clients, in process, the command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc
import tritonclient.http

from nightlift import AsyncClient, Client, Enhanced
from tests.docs.documents import ROOT
from tests.nightlift.commands import environment, nightlift
from tests.servers import Server

MODEL = "brighten"
"""The default model of the server and the repository (`tests.repositories.make_repository`)."""

IN_PROCESS = """
import json, sys
from nightlift import enhance
answer = enhance(sys.stdin.buffer.read(), **json.loads(sys.argv[1]))
told = {name: getattr(answer, name) for name in ("denoise", "denoise_scale", "restored")}
sys.stdout.buffer.write(json.dumps(told).encode() + b"\\n" + answer.data)
"""


@dataclass(frozen=True)
class Request:
    """A photo to enhance.

    Attributes:
        server: a service over `repository`.
        repository: model repository for those doors that need no service.
        file: the encoded photo.
        options: value by name, as the Python client takes them.
    """

    server: Server
    repository: Path
    file: bytes
    options: Mapping[str, Any]

    @property
    def flags(self) -> list[str]:
        """The options on the command line."""
        words = []
        for name, value in self.options.items():
            words += [f"--no-{name}"] if value is False else [f"--{name}", str(value)]
        return words


@dataclass(frozen=True)
class Answer:
    """What a door gives back.

    Attributes:
        data: the encoded result.
        told: `denoise`, `denoise_scale` and `restored`; None where the door gives the file alone.
    """

    data: bytes
    told: tuple[float | str | None, float | None, float | None] | None = None


Door = Callable[[Request], Answer]


def _of_response(response: httpx.Response) -> Answer:
    headers = response.raise_for_status().headers
    denoise, _, scale = headers.get("nightlift-denoise", "").partition("; scale=")
    if not scale:
        return Answer(response.content, (None, None, None))
    wanted = denoise if denoise == "auto" else float(denoise)
    return Answer(response.content, (wanted, float(scale), float(headers["nightlift-restored"])))


def _of_client(answer: Enhanced) -> Answer:
    return Answer(answer.data, (answer.denoise, answer.denoise_scale, answer.restored))


def query(request: Request) -> Answer:
    return _of_response(
        httpx.post(f"{request.server.url}/enhance", params=dict(request.options), content=request.file)
    )


def form(request: Request) -> Answer:
    fields = {name: str(value) for name, value in request.options.items()}
    return _of_response(httpx.post(f"{request.server.url}/enhance", data=fields, files={"image": request.file}))


def client(request: Request) -> Answer:
    with Client(request.server.url) as opened:
        return _of_client(opened.enhance(request.file, **request.options))


def asynchronous_client(request: Request) -> Answer:
    async def ask() -> Enhanced:
        async with AsyncClient(request.server.url) as opened:
            return await opened.enhance(request.file, **request.options)

    return _of_client(asyncio.run(ask()))


def protocol_over_rest(request: Request) -> Answer:
    result = infer(tritonclient.http, request.server.url.removeprefix("http://"), request.file, request.options)
    told = result.get_response()["parameters"]
    return _of_protocol(result, told.get("denoise"), told.get("denoise_scale"), told.get("restored"))


def protocol_over_grpc(request: Request) -> Answer:
    result = infer(tritonclient.grpc, request.server.grpc, request.file, request.options)
    told = result.get_response().parameters
    if "denoise" not in told:
        return _of_protocol(result, None, None, None)
    return _of_protocol(
        result,
        told["denoise"].string_param,
        told["denoise_scale"].double_param,
        told["restored"].double_param,
    )


def infer(module: Any, address: str, file: bytes, options: Mapping[str, Any]) -> Any:
    """The answer of the Open Inference Protocol, by Triton's client `tritonclient.http` or `tritonclient.grpc`."""
    tensor = module.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([file], object))
    opened = module.InferenceServerClient(address)
    try:
        return opened.infer(MODEL, [tensor], parameters=dict(options))
    finally:
        opened.close()


def _of_protocol(result: Any, denoise: str | None, scale: float | None, restored: float | None) -> Answer:
    wanted = denoise if denoise in (None, "auto") else float(denoise)
    return Answer(result.as_numpy("enhanced")[0], (wanted, scale, restored))


def in_process(request: Request) -> Answer:
    outcome = subprocess.run(
        [sys.executable, "-c", IN_PROCESS, json.dumps(dict(request.options))],
        input=request.file,
        env=environment(request.repository, PYTHONPATH=str(ROOT)),
        capture_output=True,
        check=True,
        timeout=60,
    )
    told, _, data = outcome.stdout.partition(b"\n")
    return Answer(data, tuple(json.loads(told).values()))


def command(request: Request) -> Answer:
    outcome = nightlift("enhance", "-", *request.flags, repository=request.repository, stdin=request.file)
    return Answer(outcome.stdout)


def command_with_a_server(request: Request) -> Answer:
    words = ("enhance", "-", *request.flags, "--server", request.server.url)
    return Answer(nightlift(*words, repository=request.repository, stdin=request.file).stdout)


DOORS: tuple[Door, ...] = (
    *(query, form, client, asynchronous_client, protocol_over_rest, protocol_over_grpc),
    *(in_process, command, command_with_a_server),
)
