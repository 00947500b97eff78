"""Plain FastAPI and ONNX Runtime: one process with a thread pool; codec and inference release Python's GIL."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request, Response
from photo_network import PORT, WORKERS, PhotoNetwork

app = FastAPI()
network = PhotoNetwork()
threads = ThreadPoolExecutor(WORKERS)


@app.get("/health")
async def health() -> dict[str, str]:
    """The readiness check."""
    return {"status": "ok"}


@app.post("/enhance")
async def enhance(request: Request) -> Response:
    """A JPEG in the body, a JPEG back."""
    photo = await request.body()
    answer = await asyncio.get_running_loop().run_in_executor(threads, network.enhance, photo)
    return Response(answer, media_type="image/jpeg")


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=PORT, log_level="warning", loop="uvloop", http="httptools", access_log=False
    )
