"""Models with tensors of their own, over REST and gRPC: what they take, and what is refused and how."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.enhancement import EnhanceOptions
from service.errors import InvalidParameter
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving
from tests.tensor_models import EVIDENCE, Arrays, assert_answers, made_inputs, make_tensor_model

MAX_JSON_BYTES = 100_000
MAX_WHOLE_PIXELS = 40_000
FREE = [-1, -1, -1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with `mapper` (the default), `restorer`, `unbatched` (a restorer) and `brighten`, which alone takes
    pictures."""
    folder = tmp_path_factory.mktemp("own_tensors")
    repository = make_repository(folder / "models")
    make_tensor_model(repository, "mapper", delay_us=1, max_batch_size=4)
    make_tensor_model(repository, "restorer")
    make_tensor_model(repository, "restorer", "unbatched", max_batch_size=0)
    with serving(
        repository,
        folder,
        default_model="mapper",
        required_models="brighten,mapper,restorer,unbatched",
        max_json_bytes=MAX_JSON_BYTES,
        max_whole_pixels=MAX_WHOLE_PIXELS,
    ) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.uint8): "UINT8", np.dtype(np.float64): "FP64"}


def over_rest(server: Server, model: str, inputs: Arrays) -> Arrays:
    """The answer to one call, as binary tensors."""
    client = triton_http.InferenceServerClient(f"127.0.0.1:{server.port}")
    return ask(triton_http, client, model, inputs)


def over_grpc(server: Server, model: str, inputs: Arrays) -> Arrays:
    """The answer to one call."""
    client = triton_grpc.InferenceServerClient(server.grpc)
    return ask(triton_grpc, client, model, inputs)


def ask(library: Any, client: Any, model: str, inputs: Arrays) -> Arrays:
    with client:
        tensors = []
        for name, array in inputs.items():
            tensors.append(library.InferInput(name, list(array.shape), DATATYPES[array.dtype]))
            tensors[-1].set_data_from_numpy(array)
        result = client.infer(model, tensors)
        answer = result.get_response()
        outputs = answer["outputs"] if isinstance(answer, dict) else answer.outputs
        names = [output["name"] if isinstance(output, dict) else output.name for output in outputs]
        return {name: result.as_numpy(name) for name in names}


Call = Callable[[Server, str, Arrays], Arrays]
BOTH = pytest.mark.parametrize("call", [over_rest, over_grpc])


@BOTH
@pytest.mark.parametrize("model", ["mapper", "restorer", "unbatched"])
def test_both_transports_take_every_input_in_any_order(server: Server, call: Call, model: str) -> None:
    kind = "mapper" if model == "mapper" else "restorer"
    inputs = made_inputs(kind, count=3)
    for given in (inputs, dict(reversed(inputs.items()))):
        assert_answers(kind, inputs, call(server, model, given))


def test_json_in_json_out(http: httpx.Client) -> None:
    inputs = made_inputs("mapper", height=4, width=5)
    answer = http.post("/v2/models/mapper/infer", json=document(inputs, outputs=[{"name": "brightness"}]))
    (output,) = answer.json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("FP32", [1, 1])
    assert_answers("mapper", inputs, {"brightness": np.array([output["data"]], np.float32)}, ("brightness",))


def test_typed_contents_are_taken(server: Server) -> None:
    inputs = made_inputs("restorer")
    request = pb.ModelInferRequest(model_name="restorer")
    for name, field in (("guide", "fp32_contents"), ("picture", "uint_contents")):
        array = inputs[name]
        tensor = request.inputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
        getattr(tensor.contents, field).extend(array.ravel().tolist())
    with grpc.insecure_channel(server.grpc) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    [contents], [output] = answer.raw_output_contents, answer.outputs
    assert_answers("restorer", inputs, {"restored": np.frombuffer(contents, np.uint8).reshape(output.shape)})


@BOTH
def test_callers_share_batches_and_get_their_own_answers(server: Server, call: Call) -> None:
    def one(seed: int) -> None:
        inputs = made_inputs("mapper", seed, height=16 + 8 * (seed % 2))
        assert_answers("mapper", inputs, call(server, "mapper", inputs))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, range(40)))


def test_metadata_configuration_and_statistics_tell_of_all_tensors(server: Server, http: httpx.Client) -> None:
    inputs = [
        {"name": "proxy", "datatype": "FP32", "shape": [*FREE, 3]},
        {"name": "evidence", "datatype": "FP32", "shape": [*FREE, EVIDENCE]},
        {"name": "exposure", "datatype": "FP32", "shape": [-1, 1]},
    ]
    outputs = [
        {"name": "affine", "datatype": "FP32", "shape": [*FREE, EVIDENCE + 3]},
        {"name": "brightness", "datatype": "FP32", "shape": [-1, 1]},
    ]
    metadata = http.get("/v2/models/mapper").json()
    assert (metadata["inputs"], metadata["outputs"]) == (inputs, outputs)
    config = http.get("/v2/models/mapper/config").json()
    assert [tensor["name"] for tensor in config["input"]] == ["proxy", "evidence", "exposure"]
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        assert client.get_model_metadata("mapper", as_json=True)["name"] == "mapper"
        told = client.get_model_metadata("mapper")
        assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [
            (one["name"], one["datatype"], one["shape"]) for one in inputs
        ]
    before = http.get("/v2/models/restorer/stats").json()["model_stats"][0]
    over_grpc(server, "restorer", made_inputs("restorer", count=3))
    after = http.get("/v2/models/restorer/stats").json()["model_stats"][0]
    assert after["inference_count"] == before["inference_count"] + 3
    assert after["execution_count"] == before["execution_count"] + 1


def document(inputs: Arrays, **more: Any) -> dict[str, Any]:
    """A request in JSON."""
    tensors = [
        {"name": name, "datatype": DATATYPES[array.dtype], "shape": list(array.shape), "data": array.tolist()}
        for name, array in inputs.items()
    ]
    return {"inputs": tensors, **more}


def changed(kind: str = "mapper", **arrays: Any) -> Arrays:
    """Inputs of which some are others, or more, or absent (None)."""
    inputs = made_inputs(kind, count=2, height=4, width=6) | arrays
    return {name: array for name, array in inputs.items() if array is not None}


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


REFUSED = {
    "no input": ("mapper", {}, 400, ["has the inputs 'proxy', 'evidence', 'exposure'", "inputs are: none"]),
    "a missing input": ("mapper", changed(exposure=None), 400, ["'exposure'", "inputs are: 'proxy', 'evidence'"]),
    "one input more": ("mapper", changed(mask=zeros(2, 1)), 400, ["inputs are: 'proxy', 'evidence', 'exp", "'mask'"]),
    "another name": ("mapper", changed(exposure=None, ev=zeros(2, 1)), 400, ["'ev'"]),
    "another datatype": (
        "mapper",
        changed(exposure=zeros(2, 1, dtype=np.uint8)),
        400,
        ["'exposure' is UINT8", "FP32"],
    ),
    "a wider datatype": ("restorer", changed("restorer", guide=zeros(2, 4, 6, 2, dtype=np.float64)), 400, ["FP64"]),
    "too few axes": (
        "mapper",
        changed(proxy=zeros(2, 4, 3)),
        422,
        ["'proxy' has shape [2, 4, 3]", "[-1, -1, -1, 3]"],
    ),
    "too many axes": ("mapper", changed(exposure=zeros(2, 1, 1)), 422, ["shape [2, 1, 1]; [-1, 1] is expected"]),
    "other channels": ("mapper", changed(proxy=zeros(2, 4, 6, 4)), 422, ["[2, 4, 6, 4]", "where -1 is any number"]),
    "unequal batches": (
        "mapper",
        changed(exposure=zeros(1, 1)),
        422,
        ["the first axis is the batch", "'exposure' 1"],
    ),
    "too large a batch": (
        "mapper",
        made_inputs("mapper", count=5, height=4, width=6),
        422,
        ["a batch of 5", "at most 4 at once"],
    ),
    "unequal sizes": (
        "restorer",
        changed("restorer", guide=zeros(2, 6, 4, 2)),
        422,
        ["must be equal in these inputs, but are 'picture' 4 and 6, 'guide' 6 and 4"],
    ),
}


@pytest.mark.parametrize(("model", "inputs", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_what_is_wrong_and_what_is_allowed(
    server: Server, http: httpx.Client, model: str, inputs: Arrays, status: int, words: list[str]
) -> None:
    answer = http.post(f"/v2/models/{model}/infer", json=document(inputs))
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    request = pb.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for word in words:
        assert word in answer.json()["error"]
        assert word in str(caught.value.details())


def test_an_input_that_comes_twice_is_refused(http: httpx.Client) -> None:
    request = document(made_inputs("restorer", height=4, width=4))
    request["inputs"].append(request["inputs"][0])
    answer = http.post("/v2/models/restorer/infer", json=request)
    assert answer.status_code == 400
    assert "'picture', 'guide', 'picture'" in answer.json()["error"]


@BOTH
@pytest.mark.parametrize("model", ["restorer", "unbatched"])
def test_all_inputs_of_a_pass_are_bounded_in_pixels(server: Server, call: Call, model: str) -> None:
    inputs = made_inputs("restorer", count=2, height=100, width=200)
    assert_answers("restorer", inputs, call(server, model, inputs))
    with pytest.raises(
        Exception, match=f"exceed the {MAX_WHOLE_PIXELS} that one pass of the network may have; send f"
    ):
        call(server, model, made_inputs("restorer", count=2, height=101, width=200))


def test_an_answer_that_would_be_too_much_json_is_refused(http: httpx.Client) -> None:
    """Its inputs came as few bytes, and its outputs are numbers of many digits."""
    inputs = made_inputs("mapper", height=24, width=24)
    tensors = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": list(array.shape),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in inputs.items()
    ]
    for outputs, status in ((["brightness"], 200), (["affine"], 413)):
        head = json.dumps({"inputs": tensors, "outputs": [{"name": name} for name in outputs]}).encode()
        body = head + b"".join(array.tobytes() for array in inputs.values())
        headers = {"Inference-Header-Content-Length": str(len(head))}
        answer = http.post("/v2/models/mapper/infer", content=body, headers=headers)
        assert answer.status_code == status, answer.text
    assert "bytes of JSON" in answer.json()["error"]


def test_numbers_that_json_does_not_have_are_refused_there_and_sent_as_bytes(
    server: Server, http: httpx.Client
) -> None:
    inputs = made_inputs("mapper", height=4, width=4) | {"exposure": np.full((1, 1), 1000, np.float32)}
    answer = http.post("/v2/models/mapper/infer", json=document(inputs, outputs=[{"name": "brightness"}]))
    assert answer.status_code == 400
    assert "ask for a binary tensor" in answer.json()["error"]
    assert over_rest(server, "mapper", inputs)["brightness"] == np.inf


def test_they_take_no_encoded_pictures(server: Server, http: httpx.Client) -> None:
    photo = encoded(dark_scene(size=(40, 48)))
    answer = http.post("/v2/models/mapper/infer", content=photo, headers={"Inference-Header-Content-Length": "0"})
    assert answer.status_code == 400
    assert "the request's inputs are: 'image'" in answer.json()["error"]
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        inputs = []
        for name in ("picture", "guide"):
            inputs.append(triton_grpc.InferInput(name, [1], "BYTES"))
            inputs[-1].set_data_from_numpy(np.array([photo], object))
        with pytest.raises(Exception, match="'picture' is BYTES; it must be UINT8"):
            client.infer("restorer", inputs)


@pytest.mark.parametrize("query", ["?model=restorer", "?model=mapper&version=1", ""])
def test_they_are_no_choice_for_a_photo_and_no_default(http: httpx.Client, query: str) -> None:
    photo = encoded(dark_scene(size=(40, 48)))
    answer = http.post(f"/enhance{query}", content=photo)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/invalid-parameter")
    assert "takes no pictures, only the tensors p" in problem["detail"]
    assert problem["model"] == ("restorer" if "restorer" in query else "mapper")
    assert http.post("/enhance?model=brighten", content=photo).status_code == 200


def test_the_listing_marks_them(http: httpx.Client) -> None:
    listed = {model["name"]: model["takes_pictures"] for model in http.get("/models").json()["models"]}
    assert listed == {"brighten": True, "mapper": False, "restorer": False, "unbatched": False}


def test_as_a_default_they_are_called_an_error_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def start() -> None:
        settings = Settings(model_repository=make_tensor_model(tmp_path, "mapper"), default_model="mapper")
        async with Runtime(settings) as runtime:
            await runtime.loaded()
            with pytest.raises(InvalidParameter, match="takes no pictures"):
                await runtime.enhance(encoded(dark_scene(size=(40, 48))), EnhanceOptions())

    asyncio.run(start())
    assert "the default model mapper takes no pictures" in caplog.text
