"""Inference over REST: JSON, and binary tensors after it, <-> the data plane's values.

With the header `Inference-Header-Content-Length: n` the body is n bytes of JSON and then, in the order of the inputs,
the bytes of every input that has the parameter `binary_data_size`. Answers are made the same way. With n = 0 the body
is one encoded picture and nothing else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, StrictInt, ValidationError

from service.errors import BodyTooLarge, MalformedRequest
from service.inference import IMAGE
from service.protocol import (
    InferenceRequest,
    InferenceResponse,
    Parameter,
    Tensor,
    bytes_tensor,
    check_entries,
    describe,
    from_binary,
    from_numbers,
    parse_version,
    refuse_unsupported,
    to_binary,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
JSON_BYTES_PER_VALUE = 4  # "255,"
JSON_BYTES_PER_FLOAT = 20  # "0.12345678806304932,"

T = TypeVar("T")


def _few(what: str) -> BeforeValidator:
    """Counts entries before pydantic validates them: it would keep an error of 2 KB for every entry."""

    def check(values: Any) -> Any:
        if isinstance(values, list | dict):
            check_entries(what, len(values))
        return values

    return BeforeValidator(check)


_Parameters = Annotated[dict[str, Parameter], _few("parameters")]


class _Input(BaseModel):
    name: str
    shape: Annotated[list[StrictInt], _few("dimensions")]
    datatype: str
    parameters: _Parameters = {}
    data: Any = None


class _Output(BaseModel):
    name: str
    parameters: _Parameters = {}


class _Document(BaseModel):
    id: str = ""
    parameters: _Parameters = {}
    inputs: Annotated[list[_Input], _few("inputs")]
    outputs: Annotated[list[_Output], _few("outputs")] = []


@dataclass(frozen=True)
class BinaryOutputs:
    """Which outputs the client wants as binary tensors: `by_name`, and `otherwise` those that are not in it."""

    otherwise: bool = False
    by_name: Mapping[str, bool] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return self.by_name.get(name, self.otherwise)


def read_request(
    body: bytes, header_length: int | None, model: str, version: str, max_json_bytes: int
) -> tuple[InferenceRequest, BinaryOutputs]:
    """The request in a body, and the form of its answer. Binary numbers are used in place, without a copy.

    Args:
        body: the whole body.
        header_length: see `read_header_length`.
        model, version: as the path names them; an empty version is the latest.
        max_json_bytes: longest JSON, and longest JSON of pixels in the answer.

    Raises:
        MalformedRequest: if it cannot be parsed, or JSON, sizes and bytes contradict each other.
        BodyTooLarge: if the JSON is too long, or the answer's would be.
        InvalidParameter: if a tensor's parameters ask for what is not supported.
    """
    if header_length == 0:
        picture = bytes_tensor(IMAGE, (1,), [body])
        return InferenceRequest(model, parse_version(version), (picture,)), BinaryOutputs(otherwise=True)
    length = len(body) if header_length is None else header_length
    if length > len(body):
        raise MalformedRequest(f"{HEADER_LENGTH} is {length}, but the body has only {len(body)} bytes")
    if length > max_json_bytes:
        raise _too_long(f"the JSON has {length} bytes", max_json_bytes)
    document = _parse(body[:length])
    request = InferenceRequest(
        model=model,
        version=parse_version(version),
        inputs=_inputs(document.inputs, memoryview(body)[length:]),
        outputs=tuple(output.name for output in document.outputs),
        id=document.id,
        parameters=document.parameters,
    )
    binary = _binary_outputs(document)
    _check_answer(request, binary, max_json_bytes)
    return request, binary


def read_header_length(text: str | None) -> int | None:
    """The number of bytes of JSON before binary tensors; None if all is JSON.

    Raises:
        MalformedRequest: if the header is there and is no number.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise MalformedRequest(f"{HEADER_LENGTH} is {text[:32]!r}; it must be a number of bytes")
    return int(text)


def write_response(
    response: InferenceResponse, binary: BinaryOutputs, max_json_bytes: int
) -> tuple[bytes, int | None]:
    """The body that answers, and the length of the JSON in it; None if all of it is JSON.

    Raises:
        MalformedRequest: if an output has no JSON form and was not asked for as a binary tensor.
        BodyTooLarge: if the JSON would be longer than `max_json_bytes`.
    """
    numbers = [one.array for one in response.outputs if one.name not in binary and one.datatype != "BYTES"]
    size = sum(a.size * (JSON_BYTES_PER_FLOAT if a.dtype.kind == "f" else JSON_BYTES_PER_VALUE) for a in numbers)
    if size > max_json_bytes:
        raise _too_long(f"the answer would have about {size} bytes of JSON", max_json_bytes)
    outputs: list[dict[str, Any]] = []
    contents: list[bytes | memoryview] = []
    for tensor in response.outputs:
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if tensor.name in binary:
            content = to_binary(tensor)
            contents.append(content)
            output["parameters"] = {"binary_data_size": len(content)}
        else:
            output["data"] = _values(tensor)
        outputs.append(output)
    document: dict[str, Any] = {"model_name": response.model, "model_version": str(response.version)}
    if response.id:
        document["id"] = response.id
    if response.parameters:
        document["parameters"] = dict(response.parameters)
    header = json.dumps({**document, "outputs": outputs}, separators=(",", ":")).encode()
    if not contents:
        return header, None
    return b"".join((header, *contents)), len(header)


def _parse(text: bytes) -> _Document:
    try:
        return _Document.model_validate(json.loads(text))
    except ValidationError as error:
        raise MalformedRequest(f"the request's JSON does not follow the protocol: {describe(error)}") from None
    except (ValueError, RecursionError):
        raise MalformedRequest(
            f"the request is not JSON; if binary tensors follow it, {HEADER_LENGTH} must give its length"
        ) from None


def _inputs(inputs: list[_Input], binary: memoryview) -> tuple[Tensor, ...]:
    tensors = []
    position = 0
    for given in inputs:
        refuse_unsupported(given.name, given.parameters)
        size = given.parameters.get("binary_data_size")
        if size is None:
            tensors.append(_from_json(given))
            continue
        if given.data is not None:
            raise MalformedRequest(f"input {given.name!r} has both data and binary_data_size")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary) - position:
            raise MalformedRequest(
                f"input {given.name!r}: binary_data_size is {size!r}, "
                f"and {len(binary) - position} bytes are left after the JSON"
            )
        content = binary[position : position + size]
        tensors.append(from_binary(given.name, given.datatype, given.shape, content))
        position += size
    if position != len(binary):
        raise MalformedRequest(f"{len(binary) - position} bytes after the JSON belong to no input")
    return tuple(tensors)


def _from_json(given: _Input) -> Tensor:
    if not isinstance(given.data, list):
        raise MalformedRequest(f"input {given.name!r} has neither a list `data` nor binary_data_size")
    if given.datatype != "BYTES":
        return from_numbers(given.name, given.datatype, given.shape, given.data)
    return bytes_tensor(given.name, given.shape, [_decode(given.name, text) for text in _flat(given.data)])


def _flat(values: list[Any]) -> list[Any]:
    """The elements of a list of lists, or of a flat list."""
    if any(isinstance(value, list) for value in values):
        return [element for value in values for element in (value if isinstance(value, list) else [value])]
    return values


def _decode(name: str, text: object) -> bytes:
    """The bytes of a picture: JSON strings hold text only, so they come in base64."""
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
        raise ValueError("no string")
    except ValueError:
        raise MalformedRequest(f"input {name!r}: BYTES in JSON must be strings in base64") from None


def _binary_outputs(document: _Document) -> BinaryOutputs:
    otherwise = document.parameters.get("binary_data_output") is True
    by_name = {}
    for output in document.outputs:
        refuse_unsupported(output.name, output.parameters)
        by_name[output.name] = output.parameters.get("binary_data", otherwise) is True
    return BinaryOutputs(otherwise, by_name)


def _check_answer(request: InferenceRequest, binary: BinaryOutputs, max_json_bytes: int) -> None:
    """Refuse, before any work is done, what would answer with too many numbers in JSON: as many as came in."""
    values = sum(tensor.array.size for tensor in request.inputs)
    wanted = request.outputs or ("",)
    if values * JSON_BYTES_PER_VALUE > max_json_bytes and not all(name in binary for name in wanted):
        raise _too_long(f"the answer would have about {values * JSON_BYTES_PER_VALUE} bytes of JSON", max_json_bytes)


def _too_long(what: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"{what}; {limit} are allowed; send and request binary tensors (binary_data_size, binary_data_output)",
        limit_bytes=limit,
    )


def _values(tensor: Tensor) -> list[Any]:
    if tensor.datatype == "BYTES":
        return [base64.b64encode(element).decode() for element in tensor.array.flat]
    if tensor.datatype == "FP16":
        raise MalformedRequest(f"output {tensor.name!r} is FP16, which has no JSON form; ask for a binary tensor")
    if tensor.array.dtype.kind == "f" and not np.isfinite(tensor.array).all():
        raise MalformedRequest(
            f"output {tensor.name!r} has infinite or NaN values, which JSON cannot represent; ask for a binary tensor"
        )
    return tensor.array.ravel().tolist()
