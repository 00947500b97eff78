"""Constant traffic on POST /enhance while something is done to the engine behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from service.http import create_app
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, encoded

CLIENTS = 4


class Traffic:
    """Clients that send one picture after the other, and what they were answered."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime = runtime
        self.answers: list[httpx.Response] = []
        self._client = client
        self._body = encoded(dark_scene(size=(64, 96)), "png")
        self._running = True

    @property
    def refused(self) -> list[httpx.Response]:
        """The answers that are no pictures."""
        return [answer for answer in self.answers if answer.status_code != 200]

    async def ready(self) -> bool:
        """What /readyz says."""
        return (await self._client.get("/readyz")).status_code == 200

    async def send(self) -> None:
        """One client, until the traffic ends."""
        while self._running:
            answer = await self._client.post("/enhance", content=self._body)
            self.answers.append(answer)
            if answer.status_code != 200:
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Let the clients finish what they sent."""
        self._running = False


@asynccontextmanager
async def traffic_on(settings: Settings) -> AsyncIterator[Traffic]:
    """Run the service under traffic; at the end, everything sent has been answered."""
    async with Runtime(settings) as runtime:
        await runtime.loaded()
        transport = httpx.ASGITransport(create_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://nightlift", timeout=30) as client:
            traffic = Traffic(runtime, client)
            clients = [asyncio.create_task(traffic.send()) for _ in range(CLIENTS)]
            try:
                yield traffic
            finally:
                traffic.stop()
                await asyncio.gather(*clients)


def assert_clear(refused: list[httpx.Response]) -> None:
    """Every refusal is a 503 whose problem document says that the engine is away, and when to come back."""
    for answer in refused:
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("engine-unavailable")
        assert "retry-after" in answer.headers
