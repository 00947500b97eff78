"""Inference messages of gRPC <-> the plane's values. Raw contents are used where they lie in the message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from service.errors import BodyTooLarge, MalformedRequest
from service.protocol import (
    DATATYPES,
    InferenceRequest,
    InferenceResponse,
    Parameter,
    Tensor,
    bytes_tensor,
    from_binary,
    from_numbers,
    parse_version,
    refuse_unsupported,
    to_binary,
)

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype -> the typed field that carries it; FP16 has none."""


def read_request(message: pb.ModelInferRequest, max_typed_bytes: int) -> InferenceRequest:
    """The request that a message makes; typed contents of numbers may have `max_typed_bytes`.

    Raises:
        MalformedRequest: if its tensors cannot be read.
        BodyTooLarge: if typed contents are longer than allowed.
        InvalidParameter: if a tensor's parameters ask for what is not supported.
    """
    for tensor in (*message.inputs, *message.outputs):
        refuse_unsupported(tensor.name, _parameters(tensor.parameters))
    return InferenceRequest(
        model=message.model_name,
        version=parse_version(message.model_version),
        inputs=_inputs(message, max_typed_bytes),
        outputs=tuple(output.name for output in message.outputs),
        id=message.id,
        parameters=_parameters(message.parameters),
    )


def write_response(response: InferenceResponse) -> pb.ModelInferResponse:
    """The message that answers; tensors always as raw contents."""
    message = pb.ModelInferResponse(model_name=response.model, model_version=str(response.version), id=response.id)
    for name, value in response.parameters.items():
        _write_parameter(message.parameters[name], value)
    for tensor in response.outputs:
        message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_output_contents.append(bytes(to_binary(tensor)))
    return message


def _inputs(message: pb.ModelInferRequest, max_typed_bytes: int) -> tuple[Tensor, ...]:
    raw = message.raw_input_contents
    if not raw:
        return tuple(_typed(tensor, max_typed_bytes) for tensor in message.inputs)
    if len(raw) != len(message.inputs):
        raise MalformedRequest(f"raw_input_contents has {len(raw)} entries for {len(message.inputs)} inputs")
    if any(tensor.HasField("contents") for tensor in message.inputs):
        raise MalformedRequest("raw_input_contents and the contents of an input exclude each other")
    return tuple(
        from_binary(tensor.name, tensor.datatype, tuple(tensor.shape), contents)
        for tensor, contents in zip(message.inputs, raw, strict=True)
    )


def _typed(tensor: pb.ModelInferRequest.InferInputTensor, max_bytes: int) -> Tensor:
    if tensor.datatype not in CONTENTS:
        raise MalformedRequest(
            f"input {tensor.name!r}: datatype {tensor.datatype!r} has no typed contents; "
            f"those that have are {', '.join(CONTENTS)}, and raw_input_contents take {', '.join(DATATYPES)}"
        )
    wanted = CONTENTS[tensor.datatype]
    if others := [field.name for field, _ in tensor.contents.ListFields() if field.name != wanted]:
        raise MalformedRequest(f"input {tensor.name!r}: {tensor.datatype} belongs into {wanted}, not {others[0]}")
    values, shape = getattr(tensor.contents, wanted), tuple(tensor.shape)
    if tensor.datatype == "BYTES":
        return bytes_tensor(tensor.name, shape, values)
    if tensor.contents.ByteSize() > max_bytes:
        raise BodyTooLarge(
            f"input {tensor.name!r} has more than the {max_bytes} bytes allowed in typed contents; "
            "send raw_input_contents, which are also faster",
            limit_bytes=max_bytes,
        )
    return from_numbers(tensor.name, tensor.datatype, shape, list(values))


def _parameters(messages: Mapping[str, pb.InferParameter]) -> dict[str, Parameter]:
    return {name: _parameter(name, value) for name, value in messages.items()}


def _parameter(name: str, message: Any) -> Parameter:
    choice = message.WhichOneof("parameter_choice")
    if choice is None:
        raise MalformedRequest(f"parameter {name!r} has no value")
    return getattr(message, choice)


def _write_parameter(message: pb.InferParameter, value: Parameter) -> None:
    match value:
        case bool():
            message.bool_param = value
        case int():
            message.int64_param = value
        case float():
            message.double_param = value
        case str():
            message.string_param = value
