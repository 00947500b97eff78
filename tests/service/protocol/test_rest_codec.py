"""The parser of inference bodies: whatever is sent is a request or is refused, and nothing else ever happens."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from service.errors import MalformedRequest, NightliftError
from service.protocol import DATATYPES, InferenceRequest, InferenceResponse, Tensor, bytes_tensor
from service.protocol.rest_codec import BinaryOutputs, read_header_length, read_request, write_response

LIMIT = 100_000
NUMBERS = sorted(set(DATATYPES) - {"BYTES", "FP16"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "binary_data_output", "timeout", "shared_memory_region"])
    | st.text(max_size=4),
    st.integers(-2, 20) | st.booleans() | JSON,
    max_size=3,
)


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that mostly have these fields, with mostly such values."""
    return st.fixed_dictionaries({}, optional={name: values | JSON for name, values in fields.items()})


DOCUMENTS = record(
    id=st.text(max_size=4),
    parameters=PARAMETERS,
    inputs=st.lists(
        record(
            name=st.sampled_from(["image", "x"]),
            shape=st.lists(st.integers(-1, 5), max_size=5),
            datatype=st.sampled_from(list(DATATYPES)),
            parameters=PARAMETERS,
            data=st.lists(st.integers(-1, 256) | st.text(max_size=4), max_size=8),
        ),
        max_size=3,
    ),
    outputs=st.lists(record(name=st.text(max_size=3), parameters=PARAMETERS), max_size=2),
)


def parse(body: bytes, header_length: int | None) -> InferenceRequest | None:
    """The request, or None if it was refused; the refusal can be told."""
    try:
        return read_request(body, header_length, "brighten", "1", LIMIT)[0]
    except NightliftError as refusal:
        error = refusal
    json.dumps({"error": error.detail}, ensure_ascii=False).encode()
    assert 400 <= error.status < 500
    return None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"inputs": [0] * 65}, "65 inputs; at most 64"),
        ({"inputs": [], "outputs": [0] * 65}, "65 outputs; at most 64"),
        ({"inputs": [], "parameters": {str(number): [] for number in range(65)}}, "65 parameters; at most 64"),
        ({"inputs": [{"shape": [""] * 65}]}, "65 dimensions; at most 64"),
    ],
)
def test_entries_are_counted_before_any_is_looked_at(document: dict[str, Any], words: str) -> None:
    """pydantic would keep an error of each: of 2 MB for 20 s, in 1 GB."""
    with pytest.raises(MalformedRequest, match=words):
        read_request(json.dumps(document).encode(), None, "brighten", "1", LIMIT)


@settings(max_examples=200)
@given(JSON | DOCUMENTS, st.binary(max_size=40), st.none() | st.integers(-5, 5))
def test_any_document_is_a_request_or_refused(document: Any, binary: bytes, off_by: int | None) -> None:
    header = json.dumps(document).encode()
    length = None if off_by is None else max(0, len(header) + off_by)
    request = parse(header + binary, length)
    assert request is None or all(tensor.array.size for tensor in request.inputs)


@given(st.binary(max_size=200), st.none() | st.integers(0, 300))
def test_any_bytes_are_a_request_or_refused(body: bytes, length: int | None) -> None:
    parse(body, length)


@given(st.text(max_size=12))
def test_any_header_length_is_a_number_or_refused(text: str) -> None:
    try:
        assert read_header_length(text) == int(text)
    except MalformedRequest:
        assert not (text.isascii() and text.isdecimal())


def tensors() -> st.SearchStrategy[Tensor]:
    """Tensors of any datatype that has a JSON form."""
    numbers = st.sampled_from(NUMBERS).flatmap(
        lambda datatype: hnp.arrays(
            DATATYPES[datatype],
            hnp.array_shapes(max_dims=3, max_side=3),
            elements=hnp.from_dtype(DATATYPES[datatype], allow_nan=False, allow_infinity=False),
        )
    )
    pictures = st.lists(st.binary(max_size=9), min_size=1, max_size=3)
    return numbers.map(lambda array: Tensor("image", array)) | pictures.map(
        lambda elements: bytes_tensor("image", (len(elements),), elements)
    )


@given(st.lists(tensors(), min_size=1, max_size=3), st.data())
def test_what_is_written_reads_back(outputs: list[Tensor], data: st.DataObject) -> None:
    """An answer, with its outputs taken for inputs, is a request for the same tensors."""
    outputs = [Tensor(f"tensor {place}", tensor.array) for place, tensor in enumerate(outputs)]
    binary = BinaryOutputs(by_name={tensor.name: data.draw(st.booleans()) for tensor in outputs})
    response = InferenceResponse("brighten", 1, "7", tuple(outputs), {"gate": 0.5})
    body, length = write_response(response, binary, 1 << 20)
    header = json.loads(body[:length])
    header["inputs"] = header.pop("outputs")
    text = json.dumps(header).encode()
    request = parse(text + (b"" if length is None else body[length:]), None if length is None else len(text))
    assert request is not None
    assert (request.id, request.parameters) == ("7", {"gate": 0.5})
    for sent, read in zip(outputs, request.inputs, strict=True):
        assert (read.name, read.datatype, read.shape) == (sent.name, sent.datatype, sent.shape)
        np.testing.assert_array_equal(read.array, sent.array)


def test_binary_inputs_are_not_copied() -> None:
    header = b'{"inputs":[{"name":"image","shape":[1,1,3],"datatype":"UINT8","parameters":{"binary_data_size":3}}]}'
    body = header + b"\x01\x02\x03"
    request, _ = read_request(body, len(header), "brighten", "", LIMIT)
    assert np.shares_memory(request.inputs[0].array, np.frombuffer(body, np.uint8))


@pytest.mark.parametrize(
    ("asked", "outputs", "expected"),
    [
        ({}, [{"name": "a"}], False),
        ({"binary_data_output": True}, [{"name": "a"}], True),
        ({"binary_data_output": True}, [{"name": "a", "parameters": {"binary_data": False}}], False),
        ({"binary_data_output": False}, [{"name": "a", "parameters": {"binary_data": True}}], True),
        ({"binary_data_output": True}, [], True),
        ({}, [], False),
    ],
)
def test_an_outputs_own_wish_goes_before_the_requests(asked: dict, outputs: list, expected: bool) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "UINT8", "data": [1]}
    document = {"inputs": [tensor], "parameters": asked, "outputs": outputs}
    _, binary = read_request(json.dumps(document).encode(), None, "brighten", "", LIMIT)
    assert ("a" in binary) is expected
