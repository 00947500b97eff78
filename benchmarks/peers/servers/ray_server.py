"""Ray Serve: replicas behind an HTTP proxy; each replica processes one photo, or one batch, at a time."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from photo_network import BATCH, PORT, WORKERS, PhotoNetwork, decode, encode
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=WORKERS, max_ongoing_requests=16, ray_actor_options={"num_cpus": 0.5})
class Enhance:
    """Takes the photo as the body of the request."""

    def __init__(self) -> None:
        self.network = PhotoNetwork()
        self.thread = ThreadPoolExecutor(1)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.005)
    async def run(self, photos: list[Any]) -> list[Any]:
        """Enhance a batch; photos of the same size share an inference pass."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.network.run_many, photos)

    async def __call__(self, request: Request) -> Response:
        """A JPEG to a JPEG."""
        photo = await request.body()
        if BATCH == 1:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self.thread, self.network.enhance, photo)
        else:
            answer = await asyncio.to_thread(encode, await self.run(decode(photo)))
        return Response(answer, media_type="image/jpeg")


if __name__ == "__main__":
    ray.init(
        num_cpus=max(2, WORKERS), include_dashboard=False, logging_level="warning", object_store_memory=512 << 20
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Enhance.bind(), route_prefix="/enhance")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
