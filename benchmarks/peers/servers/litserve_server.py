"""LitServe: worker processes behind an HTTP process; the workers decode, run the network and encode."""

from typing import Annotated, Any

import litserve
from fastapi import Body, Response
from photo_network import BATCH, PORT, WORKERS, PhotoNetwork, decode, encode


class Enhance(litserve.LitAPI):
    """Takes the photo as the body of the request."""

    def setup(self, device: str) -> None:
        """Called once in each worker."""
        self.network = PhotoNetwork()

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> Any:
        """A JPEG to pixels."""
        return decode(request)

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Keep photos as a list, because their sizes may differ; `run_many` stacks them if they are equal."""
        return list(inputs)

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the list of results as it is."""
        return output

    def predict(self, x: Any) -> Any:
        """Enhance one photo, or a list of photos if batching is on."""
        return self.network.run_many(x) if isinstance(x, list) else self.network.run_one(x)

    def encode_response(self, output: Any) -> Response:
        """Pixels to a JPEG."""
        return Response(encode(output), media_type="image/jpeg")


if __name__ == "__main__":
    api = Enhance(max_batch_size=BATCH, batch_timeout=0.01 if BATCH > 1 else 0.0, api_path="/enhance")
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=WORKERS, timeout=False, fast_queue=True
    )
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False, access_log=False)
