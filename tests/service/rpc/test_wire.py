"""The answer that is put together by hand is a message that the generated class reads."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from service.protocol import InferenceResponse, Tensor
from service.rpc._wire import passing_bytes, write_response


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
