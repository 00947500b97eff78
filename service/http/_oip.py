"""The Open Inference Protocol over REST: thin routes over the data plane. Errors are `{"error": "..."}` below
`/v2`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, StrictBool, ValidationError

from service.errors import BodyTooLarge, MalformedRequest
from service.http._body import read_body
from service.http._description import PROTOCOL
from service.http._timeouts import cancel_on_disconnect
from service.protocol import DATATYPES, DataPlane, describe, parse_version, to_json
from service.protocol.rest_codec import HEADER_LENGTH, read_header_length, read_request, write_response

INLINE_BYTES = 64 * 1024
"""JSON up to this length is parsed on the event loop: a thread would take longer than the work."""

PathName = Annotated[str, Path(pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
"""A part of a path; control characters were refused before."""

ERROR = {
    "description": "What was wrong",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
        }
    },
}
PARAMETERS = {"type": "object", "additionalProperties": {"type": ["boolean", "number", "string"]}}
OUTPUT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "parameters": PARAMETERS},
    "required": ["name"],
}
INPUT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
        "datatype": {"enum": list(DATATYPES)},
        "parameters": PARAMETERS,
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}
REQUEST = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "parameters": PARAMETERS,
        "inputs": {"type": "array", "items": INPUT},
        "outputs": {"type": "array", "items": OUTPUT},
    },
    "required": ["inputs"],
}
INFER: dict[str, Any] = {
    "summary": "Run a model",
    "response_class": Response,
    "responses": {
        200: {
            "description": "The outputs",
            "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {}},
        }
    },
}
INFER_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": REQUEST}, "application/octet-stream": {}},
    }
}
VERSION = {
    "parameters": [
        {
            "name": "version",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
        }
    ]
}

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

router = APIRouter(
    prefix="/v2",
    tags=[PROTOCOL],
    responses=dict.fromkeys((400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504), ERROR),
)


class IndexRequest(BaseModel):
    """What `POST /v2/repository/index` takes."""

    ready: StrictBool = False
    """Whether to leave out models that are not ready."""


class LoadRequest(BaseModel):
    """What loading takes."""

    parameters: dict[str, Any] = Field({}, json_schema_extra={"maxProperties": 0})
    """Triton's `config` and `file:` are refused by the data plane, which names them."""


class UnloadRequest(BaseModel):
    """What unloading takes."""

    parameters: dict[str, Any] = {}
    """Triton's `unload_dependents` has no effect: a model that makes another's maps is unloaded by its own name."""


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    """The part of a route's description with the schema of the JSON that it accepts."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}}}


@router.get("", summary="Name, version and extensions of the server")
async def server_metadata(request: Request) -> dict[str, Any]:
    """As the protocol defines it."""
    return to_json(_plane(request).server_metadata())


@router.get("/models/stats", summary="Statistics of all models")
async def all_statistics(request: Request) -> dict[str, Any]:
    """Counters and times since each model was loaded."""
    return to_json(_plane(request).statistics())


@router.get("/models/{model}", summary="A model's inputs and outputs")
@router.get("/models/{model}/versions/{version}", summary="A model's inputs and outputs", openapi_extra=VERSION)
async def model_metadata(request: Request, model: PathName) -> dict[str, Any]:
    """The encoded pictures that the input `image` also takes, as BYTES, are not listed."""
    return to_json(_plane(request).model_metadata(model, _version(request)))


@router.get("/models/{model}/ready", summary="Whether a model can be called")
@router.get(
    "/models/{model}/versions/{version}/ready", summary="Whether a model can be called", openapi_extra=VERSION
)
async def model_ready(request: Request, model: PathName) -> Response:
    """200 if so, 404 if there is no such model, else 503."""
    plane = _plane(request)
    plane.model_metadata(model, _version(request))
    is_ready = plane.model_ready(model, _version(request))
    return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)


@router.get("/models/{model}/config", summary="A model's configuration")
@router.get("/models/{model}/versions/{version}/config", summary="A model's configuration", openapi_extra=VERSION)
async def model_config(request: Request, model: PathName) -> dict[str, Any]:
    """Triton's ModelConfig in JSON."""
    return to_json(_plane(request).model_config(model, _version(request)))


@router.get("/models/{model}/stats", summary="A model's statistics")
@router.get("/models/{model}/versions/{version}/stats", summary="A model's statistics", openapi_extra=VERSION)
async def statistics(request: Request, model: PathName) -> dict[str, Any]:
    """Counters and times since the model was loaded."""
    return to_json(_plane(request).statistics(model, _version(request)))


@router.post("/models/{model}/infer", openapi_extra=INFER_BODY, **INFER)
@router.post("/models/{model}/versions/{version}/infer", openapi_extra=INFER_BODY | VERSION, **INFER)
async def infer(
    request: Request,
    model: PathName,
    inference_header_content_length: Annotated[
        str | None, Header(description="Bytes of JSON before binary tensors; 0 if the body is one picture")
    ] = None,
    x_request_timeout: Annotated[str | None, Header(description="Seconds that the client will wait")] = None,
) -> Response:
    """A model's tensors (UINT8 pixels for most) run it alone; BYTES are encoded pictures, as for `POST /enhance`."""
    header_length = read_header_length(inference_header_content_length)
    body = await read_body(request)
    request.state.ticket.reserve(model, _version(request))
    inferring = _infer(request, body, header_length, model)
    del body  # which would be held until the answer, even if the request that was read from it has copies
    answer, json_length = await cancel_on_disconnect(request, inferring)
    headers = {"Cache-Control": "no-store"}
    if json_length is None:
        return Response(answer, media_type="application/json", headers=headers)
    headers[HEADER_LENGTH] = str(json_length)
    return Response(answer, media_type="application/octet-stream", headers=headers)


@router.post("/repository/index", summary="All models of the repository", openapi_extra=_takes(IndexRequest))
async def repository_index(request: Request) -> list[dict[str, Any]]:
    """With their states, and the reason if one is unavailable."""
    wanted = await _read_json(request, IndexRequest)
    return to_json(await _plane(request).repository_index(wanted.ready))["models"]


@router.post("/repository/models/{model}/load", summary="Load or reload a model", openapi_extra=_takes(LoadRequest))
async def load(request: Request, model: PathName) -> Response:
    """Answers when the model is ready; needs the setting `model_control`."""
    wanted = await _read_json(request, LoadRequest)
    await _plane(request).load(model, wanted.parameters)
    return Response()


@router.post(
    "/repository/models/{model}/unload", summary="Take a model out of service", openapi_extra=_takes(UnloadRequest)
)
async def unload(request: Request, model: PathName) -> Response:
    """Answers when its running requests are finished; needs the setting `model_control`."""
    await _read_json(request, UnloadRequest)
    await _plane(request).unload(model)
    return Response()


def _plane(request: Request) -> DataPlane:
    return request.app.state.protocol


def _version(request: Request) -> int | None:
    """The version in the path, if any; not a route parameter, or the shorter path would accept it in the query."""
    return parse_version(request.path_params.get("version", ""))


async def _infer(request: Request, body: bytes, header_length: int | None, model: str) -> tuple[bytes, int | None]:
    """Parse, run, and write the answer; long JSON is handled in a thread."""
    limit = request.app.state.runtime.settings.max_json_bytes
    version = request.path_params.get("version", "")
    json_bytes = len(body) if header_length is None else header_length
    parsed, binary = await _off_loop(
        json_bytes > INLINE_BYTES, partial(read_request, body, header_length, model, version, limit)
    )
    del body
    response = await _plane(request).infer(parsed, request.state.ticket)
    has_json = not all(tensor.name in binary for tensor in response.outputs)
    return await _off_loop(has_json, lambda: write_response(response, binary, limit))


async def _off_loop(is_long: bool, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if is_long else work()


async def _read_json(request: Request, kind: type[Model]) -> Model:
    """The body as a `kind`, whatever its Content-Type; an empty one is an empty object."""
    body = await read_body(request)
    limit = request.app.state.runtime.settings.max_json_bytes
    if len(body) > limit:
        raise BodyTooLarge(f"the JSON has {len(body)} bytes; {limit} are allowed", limit_bytes=limit)
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise MalformedRequest(f"the request's JSON does not follow the protocol: {describe(error)}") from None
