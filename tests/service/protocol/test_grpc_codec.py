"""Messages that ask for too much are refused; the answer that is put together by hand is one that the class reads."""

import contextlib

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from service.errors import BodyTooLarge, MalformedRequest
from service.protocol import InferenceResponse, Tensor
from service.protocol.grpc_codec import check_structure, passing_bytes, read_request, write_response


def parameters(count: int) -> dict[str, pb.InferParameter]:
    return {str(number): pb.InferParameter(bool_param=True) for number in range(count)}


TENSOR = {"name": "image", "datatype": "UINT8"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor()] * 65), "65 inputs; at most 64"),
        (
            pb.ModelInferRequest(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor()] * 65),
            "65 outputs; at most 64",
        ),
        (pb.ModelInferRequest(parameters=parameters(65)), "65 parameters; at most 64"),
        (
            pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor(parameters=parameters(65), **TENSOR)]),
            "65 parameters; at most 64",
        ),
        (
            pb.ModelInferRequest(
                inputs=[pb.ModelInferRequest.InferInputTensor(shape=[1] * 9, **TENSOR)], raw_input_contents=[b"1"]
            ),
            "1 to 8 dimensions",
        ),
    ],
    ids=["inputs", "outputs", "parameters", "parameters of a tensor", "dimensions"],
)
def test_what_is_looked_at_one_by_one_is_bounded(message: pb.ModelInferRequest, words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        read_request(message)


PIXELS = pb.ModelInferRequest(
    model_name="m", inputs=[pb.ModelInferRequest.InferInputTensor(**TENSOR)], raw_input_contents=[bytes(100_000)]
)
PICTURES = pb.ModelInferRequest(
    inputs=[
        pb.ModelInferRequest.InferInputTensor(
            name="image",
            datatype="BYTES",
            shape=[1024],
            contents=pb.InferTensorContents(bytes_contents=[bytes(1000)] * 1024),
        )
    ]
)
NUMBERS = pb.ModelInferRequest(
    inputs=[pb.ModelInferRequest.InferInputTensor(contents=pb.InferTensorContents(uint_contents=[1] * 20_000))]
)


def test_numbers_count_as_what_they_take_in_memory() -> None:
    """Of a number of eight bytes only one may be in the message."""
    size = len(NUMBERS.SerializeToString())
    assert 9 * 20_000 <= check_structure(NUMBERS.SerializeToString(), 100_000) <= 9 * size
    assert check_structure(PIXELS.SerializeToString(), 10_000) < 101_000


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT16", "uint_contents", [0, 65_535]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, -1.5]),
        ("FP64", "fp64_contents", [0.1, 1e300]),
    ],
)
def test_typed_contents_are_exact(datatype: str, field: str, values: list) -> None:
    contents = pb.InferTensorContents(**{field: values})
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype=datatype, shape=[2], contents=contents)
    (read,) = read_request(pb.ModelInferRequest(inputs=[tensor])).inputs
    assert (read.datatype, read.array.tolist()) == (datatype, values)


EMPTY_TENSORS = b"\x2a\x00" * 5000
EMPTY_PARAMETERS_OF_A_TENSOR = b"\x2a\xa0\x9c\x01" + b"\x22\x00" * 10_000


@pytest.mark.parametrize("message", [PIXELS, PICTURES, pb.ModelInferRequest()], ids=["pixels", "pictures", "nothing"])
def test_pixels_and_pictures_may_be_long(message: pb.ModelInferRequest) -> None:
    check_structure(message.SerializeToString(), 10_000)


@pytest.mark.parametrize(
    "data",
    [
        NUMBERS.SerializeToString(),
        EMPTY_TENSORS,
        EMPTY_PARAMETERS_OF_A_TENSOR,
        b"\x9a\x06\xa0\x9c\x01" + bytes(20_000),  # a field that nobody knows
        b"\x0b" + bytes(20_000),  # no field
    ],
    ids=["numbers", "tensors", "parameters", "unknown field", "no message"],
)
def test_what_parsing_would_multiply_is_bounded(data: bytes) -> None:
    with pytest.raises(BodyTooLarge, match="10000 bytes and 4096 fields"):
        check_structure(data, 10_000)


def test_bytes_of_any_kind_are_measured_or_refused() -> None:
    random = np.random.default_rng(0)
    whole = PICTURES.SerializeToString()
    for _ in range(300):
        data = bytearray(whole[: random.integers(len(whole))])
        for place in random.integers(0, max(1, min(len(data), 200)), 5):
            data[place : place + 1] = random.bytes(1)
        with contextlib.suppress(BodyTooLarge):
            check_structure(bytes(data), 10_000)


@pytest.mark.parametrize("side", [1, 6, 7, 74, 75, 850])  # lengths of one, two, three and four bytes
def test_answers_are_valid_messages(side: int) -> None:
    image = np.random.default_rng(side).integers(0, 256, (1, side, side, 3)).astype(np.uint8)
    words = np.array([b"one", b""], object)
    tensors = (Tensor("enhanced", image[:, ::-1]), Tensor("report", words))
    response = InferenceResponse("model", 3, "id", tensors, parameters={"gate": 0.5, "detail": "whole"})
    message = pb.ModelInferResponse.FromString(write_response(response))
    assert (message.model_name, message.model_version, message.id) == ("model", "3", "id")
    assert message.parameters["gate"].double_param == 0.5
    assert message.parameters["detail"].string_param == "whole"
    assert [(output.name, output.datatype, list(output.shape)) for output in message.outputs] == [
        ("enhanced", "UINT8", [1, side, side, 3]),
        ("report", "BYTES", [2]),
    ]
    enhanced, report = message.raw_output_contents
    assert enhanced == image[:, ::-1].tobytes()
    assert report == b"\3\0\0\0one\0\0\0\0"


def test_other_messages_are_serialized_by_their_class() -> None:
    serializer = passing_bytes(pb.ServerLiveResponse.SerializeToString)
    assert serializer(b"as it is") == b"as it is"
    assert pb.ServerLiveResponse.FromString(serializer(pb.ServerLiveResponse(live=True))).live
