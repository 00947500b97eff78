"""Triton's own clients, unmodified, against a real server: the same tests over REST and gRPC, which cannot drift so.

Both clients have the same methods; `Client` evens out the few differences.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import GRID, brightened
from tests.servers import Server
from tests.service.conftest import MAX_BODY_BYTES

KINDS = ("http", "grpc")
MODULES: dict[str, Any] = {"http": tritonclient.http, "grpc": tritonclient.grpc}
NOT_FOUND, INVALID, FULL, LATE, TOO_LARGE = range(5)
SIGNS = {
    "http": {NOT_FOUND: "404", INVALID: "400", FULL: "503", LATE: "504", TOO_LARGE: "413"},
    "grpc": {
        NOT_FOUND: "StatusCode.NOT_FOUND",
        INVALID: "StatusCode.INVALID_ARGUMENT",
        FULL: "StatusCode.RESOURCE_EXHAUSTED",
        LATE: "StatusCode.DEADLINE_EXCEEDED",
        TOO_LARGE: "StatusCode.RESOURCE_EXHAUSTED",
    },
}


class Client:
    """One of Triton's clients; answers of metadata calls as JSON."""

    def __init__(self, kind: str, server: Server) -> None:
        self.kind = kind
        self.module = MODULES[kind]
        url = server.grpc if kind == "grpc" else server.url.removeprefix("http://")
        self.triton = self.module.InferenceServerClient(url, **({"concurrency": 4} if kind == "http" else {}))

    def json(self, method: str, *arguments: Any) -> Any:
        """What a metadata call answers."""
        extra = {"as_json": True} if self.kind == "grpc" else {}
        return getattr(self.triton, method)(*arguments, **extra)

    def tensor(self, array: NDArray[Any], datatype: str = "UINT8", name: str = "image") -> Any:
        """An input."""
        tensor = self.module.InferInput(name, array.shape, datatype)
        tensor.set_data_from_numpy(array)
        return tensor

    def infer(self, model: str, array: NDArray[Any], outputs: tuple[str, ...] = (), **options: Any) -> Any:
        """Run a model on one input, `image`."""
        datatype = "BYTES" if array.dtype == object else "UINT8"
        wanted = [self.module.InferRequestedOutput(name) for name in outputs] or None
        return self.triton.infer(model, [self.tensor(array, datatype)], outputs=wanted, **options)

    def refused(self, reason: int, words: str) -> Any:
        """A context in which the server must refuse for this reason, in these words."""
        sign = SIGNS[self.kind][reason]
        return pytest.raises(InferenceServerException, match=rf"\[{sign}\].*{words}")


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, protocol_server: Server) -> Iterator[Client]:
    """Each of the two clients in turn."""
    opened = Client(request.param, protocol_server)
    yield opened
    opened.triton.close()


def pixels(count: int = 1, height: int = 24, width: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Random pictures, uint8 [count, height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def files(*pictures: bytes) -> NDArray[Any]:
    """Encoded pictures as a tensor of BYTES."""
    array = np.empty(len(pictures), object)
    array[:] = pictures
    return array


def test_health(client: Client) -> None:
    triton = client.triton
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("brighten")
    assert triton.is_model_ready("brighten", "2")
    assert not triton.is_model_ready("brighten", "3")
    assert not triton.is_model_ready("broken")
    assert not triton.is_model_ready("absent")


def test_server_metadata(client: Client) -> None:
    metadata = client.json("get_server_metadata")
    assert metadata["name"] == "nightlift"
    assert set(metadata["extensions"]) == {
        "binary_tensor_data",
        "model_configuration",
        "model_repository",
        "schedule_policy",
        "statistics",
    }


def test_model_metadata(client: Client) -> None:
    metadata = client.json("get_model_metadata", "brighten")
    assert metadata["versions"] == ["1", "2"]
    assert metadata["platform"] == "onnxruntime_onnx"
    (image,), (enhanced, affine) = metadata["inputs"], metadata["outputs"]
    assert (image["name"], image["datatype"], list(map(int, image["shape"]))) == ("image", "UINT8", [-1, -1, -1, 3])
    assert (enhanced["name"], list(map(int, enhanced["shape"]))) == ("enhanced", [-1, -1, -1, 3])
    assert (affine["name"], affine["datatype"], list(map(int, affine["shape"]))) == (
        "affine",
        "FP32",
        [-1, GRID, GRID, 6],
    )


def test_model_config(client: Client) -> None:
    answer = client.json("get_model_config", "brighten", "1")
    config = answer.get("config", answer)
    assert config["name"] == "brighten"
    assert config["max_batch_size"] == 4
    assert config["default_model_filename"] == "model.onnx"


@pytest.mark.parametrize(("version", "served"), [("", 2), ("1", 1), ("2", 2)])
def test_raw_pixels_run_the_model(client: Client, version: str, served: int) -> None:
    image = pixels(3)
    answer = client.infer("brighten", image, model_version=version, request_id="a request")
    np.testing.assert_array_equal(answer.as_numpy("enhanced"), brightened(image, served))
    assert answer.as_numpy("affine").shape == (3, GRID, GRID, 6)
    head = answer.get_response(as_json=True) if client.kind == "grpc" else answer.get_response()
    assert (head["model_name"], head["model_version"], head["id"]) == ("brighten", str(served), "a request")


def test_outputs_come_as_asked_for(client: Client) -> None:
    answer = client.infer("brighten", pixels(), ("affine",))
    assert answer.as_numpy("enhanced") is None
    np.testing.assert_array_equal(answer.as_numpy("affine")[0, 0, 0], np.float32([3, 3, 3, 0, 0, 0]))


def test_without_a_batch_axis_dims_rule(client: Client) -> None:
    image = pixels(9)
    np.testing.assert_array_equal(client.infer("unbatched", image).as_numpy("enhanced"), brightened(image))


def test_encoded_pictures_go_through_the_whole_plane(client: Client) -> None:
    dark = dark_scene(size=(60, 80))
    answer = client.infer("brighten", files(encoded(dark)), parameters={"protect": 0.0, "gate": False})
    picture = answer.as_numpy("enhanced")
    assert picture.shape == (1,)
    np.testing.assert_array_equal(decoded(picture[0]), brightened(dark, 2))


def test_every_picture_of_a_batch_comes_back_in_its_place(client: Client) -> None:
    pictures = [dark_scene(size=size) for size in ((40, 48), (64, 32), (40, 48))]
    tensor = files(*map(encoded, pictures)).reshape(3, 1)
    answer = client.infer("brighten", tensor, parameters={"strength": 0.0, "format": "png"})
    back = answer.as_numpy("enhanced")
    assert back.shape == (3, 1)
    for picture, file in zip(pictures, back.flat, strict=True):
        np.testing.assert_array_equal(decoded(file), picture)


def test_the_answer_reports_on_its_picture(client: Client) -> None:
    small = {"max_side": 40}
    answer = client.infer("brighten", files(encoded(dark_scene(size=(60, 80)), "jpeg")), parameters=small)
    if client.kind == "http":
        report = answer.get_response()["parameters"]
    else:
        parameters = answer.get_response().parameters
        report = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()}
    assert (report["format"], report["width"], report["height"], report["detail"]) == ("jpeg", 40, 30, "whole")
    assert (report["source_width"], report["source_height"]) == (80, 60)
    assert "dropped" not in report
    assert report["luminance_after"] > report["luminance_before"]
    assert 0 <= report["gate"] <= 1


@pytest.mark.parametrize(
    ("image", "outputs", "words"),
    [
        (pixels(5), (), "at most 4 at once"),
        (pixels(height=8), (), "shortest side allowed is 16"),
        (pixels()[0], (), r"shape \[24, 32, 3\]"),
        (pixels()[..., :2], (), r"shape \[1, 24, 32, 2\]"),
        (pixels(), ("missing",), "no output 'missing'"),
        (pixels(), ("enhanced", "enhanced"), "named twice"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    client: Client, image: NDArray[np.uint8], outputs: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InferenceServerException, match=words):
        client.infer("brighten", np.ascontiguousarray(image), outputs)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"strength": 2.0}, "strength: Input should be less than or equal to 1"),
        ({"strenght": 1.0}, "'strenght' is not a parameter; the options are denoise, detail, exposure, format"),
        ({"model": "unbatched"}, "names the model"),
        ({"format": "gif"}, "format"),
    ],
)
def test_options_are_checked(client: Client, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(InferenceServerException, match=words):
        client.infer("brighten", files(encoded(dark_scene(size=(40, 48)))), parameters=parameters)


def test_pictures_are_counted_too(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="at most 4 at once"):
        client.infer("brighten", files(*[b""] * 5))


def test_other_inputs_are_refused(client: Client) -> None:
    with client.refused(INVALID, "has one input, 'image'"):
        client.triton.infer("brighten", [client.tensor(pixels(), name="picture")])
    with client.refused(INVALID, "is FP32; it must be UINT8"):
        client.triton.infer("brighten", [client.tensor(pixels().astype(np.float32), "FP32")])
    with client.refused(INVALID, "has one input"):
        client.triton.infer("brighten", [client.tensor(pixels())] * 2)


def test_what_is_no_picture_is_refused(client: Client) -> None:
    with client.refused(INVALID, ""):
        client.infer("brighten", files(b"no picture at all"))
    with client.refused(INVALID, ""):
        client.infer("brighten", files(encoded(dark_scene(size=(40, 48))), b""))


@pytest.mark.parametrize(("model", "version"), [("absent", ""), ("brighten", "3")])
def test_what_is_not_there_is_not_found(client: Client, model: str, version: str) -> None:
    with client.refused(NOT_FOUND, ""):
        client.infer(model, pixels(), model_version=version)
    with client.refused(NOT_FOUND, ""):
        client.triton.get_model_metadata(model, version)
    with client.refused(INVALID, "must be a positive whole number"):
        client.infer("brighten", pixels(), model_version="newest")


def test_both_transports_have_the_same_limit(client: Client) -> None:
    side = int((MAX_BODY_BYTES / 3) ** 0.5)
    client.infer("brighten", pixels(1, side - 40, side))
    with client.refused(TOO_LARGE, ""):
        client.infer("brighten", pixels(1, side + 1, side))


def test_statistics_count_pictures_and_passes(client: Client) -> None:
    def counted() -> dict[str, Any]:
        (model,) = client.json("get_inference_statistics", "brighten", "1")["model_stats"]
        return model

    before = counted()
    client.infer("brighten", pixels(2), model_version="1")
    after = counted()
    for name, difference in (("inference_count", 2), ("execution_count", 1)):
        assert int(after[name]) - int(before.get(name, 0)) == difference
    inference = after["inference_stats"]
    assert int(inference["success"]["ns"]) >= int(inference["compute_infer"]["ns"]) > 0
    assert any(int(batch["batch_size"]) == 2 for batch in after["batch_stats"])
    everything = client.json("get_inference_statistics")["model_stats"]
    assert {model["name"] for model in everything} >= {"brighten", "unbatched", "slow"}


def test_the_index_says_why_a_model_is_unavailable(client: Client) -> None:
    answer = client.json("get_model_repository_index")
    index = {line["name"]: line for line in (answer["models"] if client.kind == "grpc" else answer)}
    assert index["brighten"]["state"] == "READY"
    assert index["broken"]["state"] == "UNAVAILABLE"
    assert "decoupled transactions need Triton" in index["broken"]["reason"]


def test_models_are_loaded_and_unloaded(client: Client) -> None:
    triton = client.triton
    triton.unload_model("changing")
    assert not triton.is_model_ready("changing")
    with pytest.raises(InferenceServerException, match="unavailable"):
        client.infer("changing", pixels())
    triton.load_model("changing")
    assert triton.is_model_ready("changing")
    client.infer("changing", pixels())


def test_what_cannot_be_loaded_says_why(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="decoupled transactions need Triton"):
        client.triton.load_model("broken")
    with pytest.raises(InferenceServerException, match="takes no parameters"):
        client.triton.load_model("brighten", config="{}")
    with client.refused(NOT_FOUND, "absent"):
        client.triton.load_model("absent")


def test_a_request_is_given_up_when_its_time_is_over(client: Client) -> None:
    photo = encoded(dark_scene(size=(16, 16)))
    began = time.monotonic()
    client.infer("slow", files(photo))
    one_pass = time.monotonic() - began
    began = time.monotonic()
    with client.refused(LATE, "time allowed"):
        client.infer("slow", files(*[photo] * 4), timeout=20_000)
    assert time.monotonic() - began < one_pass  # of four


def test_what_the_queue_cannot_hold_is_refused(client: Client, protocol_server: Server) -> None:
    """Of four at once, one runs, one waits, and two are refused."""

    def call() -> str:
        other = Client(client.kind, protocol_server)
        try:
            other.infer("slow", pixels())
            return "done"
        except InferenceServerException as error:
            return str(error)
        finally:
            other.triton.close()

    client.infer("slow", pixels())  # what others began here is over
    with ThreadPoolExecutor(4) as threads:
        results = [future.result() for future in [threads.submit(call) for _ in range(4)]]
    refused = [result for result in results if result != "done"]
    assert len(refused) == 2
    assert all(f"[{SIGNS[client.kind][FULL]}] 1 requests are waiting" in result for result in refused)


@pytest.mark.parametrize("kind", KINDS)
def test_asynchronous_clients(kind: str, protocol_server: Server) -> None:
    image = pixels(2)

    async def calls() -> list[NDArray[np.uint8]]:
        module: Any = {"http": tritonclient.http.aio, "grpc": tritonclient.grpc.aio}[kind]
        url = protocol_server.grpc if kind == "grpc" else protocol_server.url.removeprefix("http://")
        async with module.InferenceServerClient(url) as client:
            assert await client.is_server_ready()
            tensor = module.InferInput("image", image.shape, "UINT8")
            tensor.set_data_from_numpy(image)
            answers = await asyncio.gather(*(client.infer("brighten", [tensor]) for _ in range(8)))
            return [answer.as_numpy("enhanced") for answer in answers]

    for enhanced in asyncio.run(calls()):
        np.testing.assert_array_equal(enhanced, brightened(image, 2))
