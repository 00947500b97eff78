"""Inference messages of gRPC <-> the data plane's values. Raw contents are used where they lie in the message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from service.errors import BodyTooLarge, MalformedRequest
from service.protocol import (
    DATATYPES,
    InferenceRequest,
    InferenceResponse,
    Parameter,
    Tensor,
    bytes_tensor,
    check_entries,
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

FIELD_TYPES = {field: DATATYPES[name] for name, field in CONTENTS.items() if name != "BYTES"}
"""Typed field -> the type of its numbers: that of the widest datatype that it carries, which stands last."""

# Wire types (Protocol Buffers, "Encoding"): an integer, bytes with their length before them, and those of fixed size.
VARINT, LENGTH_DELIMITED = 0, 2
FIXED_SIZES = {1: 8, 5: 4}
RAW_CONTENTS = bytes([pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | LENGTH_DELIMITED])
"""What stands before each entry of raw_output_contents, then its length."""


LONG_STRINGS = {
    pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER: None,
    pb.ModelInferRequest.INPUTS_FIELD_NUMBER: {
        pb.ModelInferRequest.InferInputTensor.CONTENTS_FIELD_NUMBER: {
            pb.InferTensorContents.BYTES_CONTENTS_FIELD_NUMBER: None
        }
    },
}
"""Where a request has pixels and encoded pictures; messages of other methods have none there."""

NUMBER_BYTES = 8
"""Most bytes of a number in memory."""

MAX_FIELDS = 4096
"""Most fields that are looked at: more than a batch of encoded pictures can have."""


def check_structure(data: bytes, most: int) -> int:
    """Check how much of a message has to be parsed, before it is parsed.

    Parsing allocates up to a hundred bytes for each byte outside long strings: for empty fields, numbers, map
    entries. So pixels and encoded pictures may fill the message, but the rest may have only `most` bytes.

    Returns:
        Bytes that the request in it takes, at most: a number of up to `NUMBER_BYTES` may take a single byte of the
        message.

    Raises:
        BodyTooLarge: if there is more, or there are more fields than any request needs.
    """
    structure = _Structure()
    size = structure.size(memoryview(data), LONG_STRINGS)
    if size > most or structure.fields > MAX_FIELDS:
        raise BodyTooLarge(
            f"a message may have {most} bytes and {MAX_FIELDS} fields besides its encoded pictures and raw contents; "
            "send raw_input_contents, which are also faster",
            limit_bytes=most,
        )
    return len(data) + NUMBER_BYTES * size


class _Structure:
    """Measures a message without making anything of it; what cannot be read counts, and the parser refuses it."""

    def __init__(self) -> None:
        self.fields = 0

    def size(self, message: memoryview, strings: Mapping[int, Any]) -> int:
        """Bytes that are no part of `strings`: fields by number, with those within them, or None for a string."""
        size, position = len(message), 0
        while position < len(message) and self.fields <= MAX_FIELDS:
            self.fields += 1
            key, position = _read_varint(message, position)
            field, kind = key >> 3, key & 7
            if kind == LENGTH_DELIMITED:
                length, position = _read_varint(message, position)
                if field in strings:
                    content, within = message[position : position + length], strings[field]
                    size -= len(content) - (self.size(content, within) if within else 0)
                position += length
            elif kind == VARINT:
                _, position = _read_varint(message, position)
            elif kind in FIXED_SIZES:
                position += FIXED_SIZES[kind]
            else:
                break
        return size


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the position behind it; one that is cut short ends with the message."""
    value = 0
    for index, byte in enumerate(message[position : position + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, position + index + 1
    return value, len(message)


def read_request(message: pb.ModelInferRequest) -> InferenceRequest:
    """The request that a message makes.

    Raises:
        MalformedRequest: if its tensors cannot be read, or there are too many of them or of parameters.
        InvalidParameter: if a tensor's parameters ask for what is not supported.
    """
    check_entries("inputs", len(message.inputs))
    check_entries("outputs", len(message.outputs))
    for tensor in (*message.inputs, *message.outputs):
        refuse_unsupported(tensor.name, _parameters(tensor.parameters))
    return InferenceRequest(
        model=message.model_name,
        version=parse_version(message.model_version),
        inputs=_inputs(message),
        outputs=tuple(output.name for output in message.outputs),
        id=message.id,
        parameters=_parameters(message.parameters),
    )


def passing_bytes(serializer: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """A response serializer that passes bytes through, which `write_response` has already serialized."""
    return lambda response: response if isinstance(response, bytes) else serializer(response)


def write_response(response: InferenceResponse) -> bytes:
    """The message that answers, a serialized ModelInferResponse; tensors always as raw contents.

    The tensors are appended to the message's other fields by hand, which copies them once, without the GIL. The
    generated class would copy each three times under the GIL: 36 MB for a 12-megapixel picture, while no other call
    is answered.
    """
    message = pb.ModelInferResponse(model_name=response.model, model_version=str(response.version), id=response.id)
    for name, value in response.parameters.items():
        _write_parameter(message.parameters[name], value)
    parts: list[bytes | memoryview] = [message.SerializeToString()]
    for tensor in response.outputs:
        described = pb.ModelInferResponse()
        described.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        parts.append(described.SerializeToString())
    for tensor in response.outputs:
        contents = to_binary(tensor)
        parts += [RAW_CONTENTS, _varint(len(contents)), contents]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    """A length as Protocol Buffers write it: seven bits a byte, lowest first, the top bit set on all but the last."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _inputs(message: pb.ModelInferRequest) -> tuple[Tensor, ...]:
    raw = message.raw_input_contents
    if not raw:
        return tuple(_typed(tensor) for tensor in message.inputs)
    if len(raw) != len(message.inputs):
        raise MalformedRequest(f"raw_input_contents has {len(raw)} entries for {len(message.inputs)} inputs")
    if any(tensor.HasField("contents") for tensor in message.inputs):
        raise MalformedRequest("raw_input_contents and the contents of an input exclude each other")
    return tuple(
        from_binary(tensor.name, tensor.datatype, tensor.shape, contents)
        for tensor, contents in zip(message.inputs, raw, strict=True)
    )


def _typed(tensor: pb.ModelInferRequest.InferInputTensor) -> Tensor:
    if tensor.datatype not in CONTENTS:
        raise MalformedRequest(
            f"input {tensor.name!r}: datatype {tensor.datatype!r} has no typed contents; "
            f"those that have are {', '.join(CONTENTS)}, and raw_input_contents take {', '.join(DATATYPES)}"
        )
    wanted = CONTENTS[tensor.datatype]
    if others := [field.name for field, _ in tensor.contents.ListFields() if field.name != wanted]:
        raise MalformedRequest(f"input {tensor.name!r}: {tensor.datatype} belongs in {wanted}, not {others[0]}")
    values = getattr(tensor.contents, wanted)
    if tensor.datatype == "BYTES":
        return bytes_tensor(tensor.name, tensor.shape, values)
    numbers: NDArray[Any] = np.fromiter(values, FIELD_TYPES[wanted], len(values))
    return from_numbers(tensor.name, tensor.datatype, tensor.shape, numbers)


def _parameters(messages: Mapping[str, pb.InferParameter]) -> dict[str, Parameter]:
    check_entries("parameters", len(messages))
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
