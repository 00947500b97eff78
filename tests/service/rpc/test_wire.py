"""Messages that ask for too much are refused; the answer that is put together by hand is one that the class reads."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from service.errors import MalformedRequest
from service.protocol import InferenceResponse, Tensor
from service.rpc._wire import passing_bytes, read_request, write_response


def parameters(count: int) -> dict[str, pb.InferParameter]:
    return {str(number): pb.InferParameter(bool_param=True) for number in range(count)}


TENSOR = {"name": "image", "datatype": "UINT8"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor()] * 65), "65 inputs, and at most 64"),
        (
            pb.ModelInferRequest(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor()] * 65),
            "65 outputs, and at most 64",
        ),
        (pb.ModelInferRequest(parameters=parameters(65)), "65 parameters, and at most 64"),
        (
            pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor(parameters=parameters(65), **TENSOR)]),
            "65 parameters, and at most 64",
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
        read_request(message, 1000)


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
