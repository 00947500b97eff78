"""What only gRPC has: typed contents, deadlines and cancellation of a call, status codes, trailing metadata."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import brightened
from tests.servers import Server, wait_for
from tests.service.conftest import MAX_JSON_BYTES, MAX_MESSAGES, MAX_WHOLE_PIXELS, metric
from tests.service.pictures.files import photo_with_place, told_by


@pytest.fixture
def stub(protocol_server: Server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    """The generated stub, which adds nothing of its own."""
    with grpc.insecure_channel(protocol_server.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def pixels(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """One random picture, uint8 [1, height, width, 3]."""
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)


def message(model: str, array: NDArray[Any], **contents: Any) -> pb.ModelInferRequest:
    """A request; with raw contents unless others are given."""
    request = pb.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="image", datatype="UINT8", shape=array.shape)
    if contents:
        for name, values in contents.items():
            getattr(tensor.contents, name).extend(values)
    else:
        request.raw_input_contents.append(array.tobytes())
    return request


def test_typed_contents_are_taken(stub: Any) -> None:
    image = pixels()
    answer = stub.ModelInfer(message("brighten", image, uint_contents=image.ravel().tolist()))
    assert [output.name for output in answer.outputs] == ["enhanced", "affine"]
    assert not answer.outputs[0].HasField("contents")
    enhanced = np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(answer.outputs[0].shape)
    np.testing.assert_array_equal(enhanced, brightened(image, 2))


def test_bytes_that_are_no_message_are_the_callers_fault(protocol_server: Server) -> None:
    route = "/inference.GRPCInferenceService/ModelInfer"
    counted = {"route": route, "code": "INVALID_ARGUMENT"}
    before = metric(protocol_server, "nightlift_requests_total", **counted)
    with grpc.insecure_channel(protocol_server.grpc) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(route)(b"\x0a\xff\xff\xff")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be parsed" in error.value.details()
    assert metric(protocol_server, "nightlift_requests_total", **counted) == before + 1


def test_typed_bytes_are_pictures(stub: Any) -> None:
    dark = dark_scene(size=(40, 48))
    request = pb.ModelInferRequest(model_name="brighten", id="7")
    request.inputs.add(name="image", datatype="BYTES", shape=[1]).contents.bytes_contents.append(encoded(dark))
    request.parameters["strength"].int64_param = 0
    answer = stub.ModelInfer(request)
    assert (answer.id, answer.outputs[0].datatype) == ("7", "BYTES")
    np.testing.assert_array_equal(decoded(answer.raw_output_contents[0][4:]), dark)


def test_where_a_photo_was_taken_is_told_only_where_that_is_asked_for(stub: Any) -> None:
    request = pb.ModelInferRequest(model_name="brighten")
    contents = request.inputs.add(name="image", datatype="BYTES", shape=[1]).contents
    contents.bytes_contents.append(photo_with_place())
    assert told_by(stub.ModelInfer(request).raw_output_contents[0][4:]) == {"maker"}
    request.parameters["metadata"].string_param = "keep"
    assert told_by(stub.ModelInfer(request).raw_output_contents[0][4:]) == {"maker", "place"}


def refusal(call: Any, request: Any, **options: Any) -> grpc.RpcError:
    """The error with which a call ends."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, **options)
    return caught.value


def both_contents() -> pb.ModelInferRequest:
    request = message("brighten", pixels(), uint_contents=[1])
    request.raw_input_contents.append(pixels().tobytes())
    return request


def with_parameter(**parameter: Any) -> pb.ModelInferRequest:
    request = message("brighten", pixels())
    request.inputs[0].parameters["shared_memory_region"].MergeFrom(pb.InferParameter(**parameter))
    return request


def with_option() -> pb.ModelInferRequest:
    request = message("brighten", pixels())
    request.parameters["exposure"].double_param = 1.0
    return request


def empty_parameter() -> pb.ModelInferRequest:
    request = message("brighten", pixels())
    request.parameters["timeout"].SetInParent()
    return request


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (message("brighten", pixels(), fp32_contents=[1.0]), "UINT8 belongs in uint_contents, not fp32_contents"),
        (message("brighten", pixels(), uint_contents=[1, 2]), "but 2 were sent"),
        (message("brighten", pixels(), uint_contents=[256] * 2304), "values that UINT8 cannot represent"),
        (both_contents(), "exclude each other"),
        (with_parameter(string_param="region"), "shared memory is not supported"),
        (with_option(), "exposure is an option for encoded pictures"),
        (empty_parameter(), "parameter 'timeout' has no value"),
        (pb.ModelInferRequest(model_name="brighten"), "the request's inputs are: none"),
        (pb.ModelInferRequest(model_name="brighten", raw_input_contents=[b"1"]), "1 entries for 0 inputs"),
    ],
)
def test_malformed_messages_are_invalid_arguments(stub: Any, request_: pb.ModelInferRequest, words: str) -> None:
    error = refusal(stub.ModelInfer, request_)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.details()


def test_long_typed_contents_are_refused(stub: Any) -> None:
    image = pixels(300, 300)
    assert image.size > MAX_JSON_BYTES
    error = refusal(stub.ModelInfer, message("brighten", image, uint_contents=image.ravel().tolist()))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "send raw_input_contents" in error.details()


def test_pixels_are_limited_to_those_of_one_pass(stub: Any) -> None:
    width = 970
    image = pixels(MAX_WHOLE_PIXELS // width + 1, width)
    error = refusal(stub.ModelInfer, message("brighten", image))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"exceed the {MAX_WHOLE_PIXELS} that one pass" in error.details()
    assert stub.ModelInfer(message("brighten", image[:, :-1])).outputs[0].shape == [1, len(image[0]) - 1, width, 3]


def test_the_pictures_of_a_request_are_taken_together(stub: Any) -> None:
    request = pb.ModelInferRequest(model_name="slow")
    contents = request.inputs.add(name="image", datatype="BYTES", shape=[4]).contents
    contents.bytes_contents.extend([encoded(dark_scene(size=(16, 16)))] * 4)  # and one may wait
    assert stub.ModelInfer(request).outputs[0].shape == [4]


def test_a_call_without_a_message_is_the_callers_fault(protocol_server: Server) -> None:
    with grpc.insecure_channel(protocol_server.grpc) as channel, pytest.raises(grpc.RpcError) as error:
        channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(iter(()))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no message" in error.value.details()


def in_progress(server: Server) -> float:
    return metric(server, "nightlift_requests_in_progress", transport="grpc")


def test_messages_that_do_not_come_hold_up_inferences_alone(protocol_server: Server) -> None:
    come = threading.Event()

    def late() -> Iterator[bytes]:
        come.wait(20)
        yield message("brighten", pixels()).SerializeToString()

    with grpc.insecure_channel(protocol_server.grpc) as channel:
        infer = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        slow = [infer.future(late()) for _ in range(MAX_MESSAGES)]
        wait_for(lambda: in_progress(protocol_server) == MAX_MESSAGES)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(message("brighten", pixels()), timeout=0.5)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert stub.ModelMetadata(pb.ModelMetadataRequest(name="brighten"), timeout=5).name == "brighten"
        come.set()
        assert all(call.result() for call in slow)
        assert stub.ModelInfer(message("brighten", pixels()), timeout=5).outputs


def test_messages_that_do_not_come_hold_up_no_call_that_runs_no_model(protocol_server: Server) -> None:
    come = threading.Event()

    def late() -> Iterator[bytes]:
        come.wait(20)
        yield pb.ModelMetadataRequest(name="brighten").SerializeToString()

    with grpc.insecure_channel(protocol_server.grpc) as channel:
        metadata = channel.stream_unary("/inference.GRPCInferenceService/ModelMetadata")
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        slow = [metadata.future(late())]
        wait_for(lambda: in_progress(protocol_server) == 1)
        come.set()
        assert slow.pop().result()  # nobody waited for it
        come.clear()
        slow = [metadata.future(late()) for _ in range(5)]
        wait_for(lambda: in_progress(protocol_server) > 0)
        assert stub.ModelReady(pb.ModelReadyRequest(name="brighten"), timeout=5).ready
        assert {call.code() for call in slow[:4]} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        come.set()


def test_messages_that_run_no_model_are_short(stub: Any) -> None:
    assert stub.ModelReady(pb.ModelReadyRequest(name="x" * 4000)).ready is False
    error = refusal(stub.ModelReady, pb.ModelReadyRequest(name="x" * 5000))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "may have 4096 bytes" in error.details()


def test_what_an_error_quotes_of_a_message_is_short(stub: Any) -> None:
    """Clients take some 8 KB of trailers, and the server would hold longer ones until they are read."""
    error = refusal(stub.ModelInfer, message("\x01" * 20_000, pixels()))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert len(error.details()) <= 1000


def test_what_may_be_repeated_says_when(stub: Any, protocol_server: Server) -> None:
    stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="changing"))
    ready = 'nightlift_model_ready{model="%s"}'
    metrics = httpx.get(f"{protocol_server.url}/metrics").text
    assert ready % "brighten" in metrics
    assert ready % "changing" not in metrics  # 0 would say that something is amiss
    error = refusal(stub.ModelInfer, message("changing", pixels()))
    stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="changing"))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert dict(error.trailing_metadata()) == {"retry-after": "2", "grpc-retry-pushback-ms": "2000"}


def test_what_is_not_offered_is_unimplemented(stub: Any, protocol_server: Server) -> None:
    for call, request in (
        (stub.SystemSharedMemoryStatus, pb.SystemSharedMemoryStatusRequest()),
        (stub.TraceSetting, pb.TraceSettingRequest()),
    ):
        assert refusal(call, request).code() == grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as caught:
        next(stub.ModelStreamInfer(iter([message("brighten", pixels())])))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "Traceback" not in protocol_server.log_text()


def test_calls_are_counted_by_method_and_code(stub: Any, protocol_server: Server) -> None:
    labels = {"route": "/inference.GRPCInferenceService/ModelInfer", "method": "gRPC", "code": "NOT_FOUND"}
    before = metric(protocol_server, "nightlift_requests_total", **labels)
    refusal(stub.ModelInfer, message("absent", pixels()))
    assert metric(protocol_server, "nightlift_requests_total", **labels) == before + 1


def test_a_client_that_leaves_takes_its_queued_work_along(stub: Any, protocol_server: Server) -> None:
    def executions() -> int:
        answer = stub.ModelStatistics(pb.ModelStatisticsRequest(name="slow"))
        return answer.model_stats[0].execution_count

    def number(name: str, **labels: str) -> float:
        return metric(protocol_server, f"nightlift_{name}", **labels)

    stub.ModelInfer(message("slow", pixels()))  # what others began here is over
    ran, dropped = executions(), number("cancelled_total", at="queue")
    begun = number("batches_total", model="slow")
    running = stub.ModelInfer.future(message("slow", pixels()))
    wait_for(lambda: number("batches_total", model="slow") > begun)
    call = stub.ModelInfer.future(message("slow", pixels()))
    wait_for(lambda: number("queue_depth", model="slow") == 1)
    assert call.cancel()
    wait_for(lambda: number("cancelled_total", at="queue") == dropped + 1)
    running.result()
    assert executions() == ran + 1


def test_who_cannot_be_answered_by_its_deadline_is_refused_at_once(stub: Any, protocol_server: Server) -> None:
    began = time.monotonic()
    stub.ModelInfer(message("slow", pixels()))
    one_pass = time.monotonic() - began
    running = stub.ModelInfer.future(message("slow", pixels()))
    wait_for(lambda: metric(protocol_server, "nightlift_backlog_seconds") > 0)
    error = refusal(stub.ModelInfer, message("slow", pixels()), timeout=one_pass / 2)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the answer would take about" in error.details()
    assert not running.done()
    running.result()
