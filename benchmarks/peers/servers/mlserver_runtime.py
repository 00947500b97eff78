"""MLServer: a runtime with a custom handler for JPEG, as its documentation recommends for custom payloads.

Handlers run in the server's process and bypass its batching; inference runs in a thread pool.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import Request, Response
from mlserver import MLModel
from mlserver.handlers import custom_handler
from photo_network import WORKERS, PhotoNetwork


class Enhance(MLModel):
    """Takes the photo as the body of the request."""

    async def load(self) -> bool:
        """Called once."""
        self.network = PhotoNetwork()
        self.threads = ThreadPoolExecutor(WORKERS)
        return True

    @custom_handler(rest_path="/enhance")
    async def enhance(self, request: Request) -> Response:
        """A JPEG to a JPEG."""
        photo = await request.body()
        answer = await asyncio.get_running_loop().run_in_executor(self.threads, self.network.enhance, photo)
        return Response(answer, media_type="image/jpeg")
