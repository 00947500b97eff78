"""The KServe SDK's REST and gRPC clients against a running service.

`python kserve_client.py REST_URL GRPC_ADDRESS MODEL`

Run by `tests.clients`, in an environment of its own, since the SDK brings much along.
"""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput


async def main(rest_url: str, grpc_address: str, model: str) -> None:
    """Check health and metadata, and run the model with binary tensors, with JSON, and over gRPC."""
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)

    def request(binary: bool) -> InferRequest:
        tensor = InferInput("image", list(image.shape), "UINT8")
        tensor.set_data_from_numpy(image, binary_data=binary)
        outputs = [RequestedOutput("enhanced", parameters={"binary_data": binary})]
        return InferRequest(model, [tensor], request_outputs=outputs)

    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    assert await rest.is_server_live(rest_url), "REST: live"
    assert await rest.is_server_ready(rest_url), "REST: ready"
    assert await rest.is_model_ready(rest_url, model), "REST: model ready"
    enhanced = {}
    for form in ("binary", "JSON"):
        answer = await rest.infer(rest_url, request(form == "binary"), model_name=model)
        enhanced[f"REST, {form}"] = answer.outputs[0].as_numpy()
    await rest.close()

    rpc = InferenceGRPCClient(grpc_address)
    assert await rpc.is_server_live(), "gRPC: live"
    assert await rpc.is_server_ready(), "gRPC: ready"
    assert await rpc.is_model_ready(model), "gRPC: model ready"
    answer = await rpc.infer(request(True))
    enhanced["gRPC, raw"] = answer.outputs[0].as_numpy()
    answer = await rpc.infer(request(False))
    enhanced["gRPC, typed"] = answer.outputs[0].as_numpy()
    await rpc.close()

    first = enhanced["REST, binary"]
    assert first.shape == image.shape
    assert first.mean() > image.mean()
    for form, pixels in enhanced.items():
        np.testing.assert_array_equal(pixels, first, form, strict=True)
        print(f"kserve: {form}: {pixels.shape} {pixels.dtype}")


asyncio.run(main(*sys.argv[1:]))
