"""What runs in the background as long as the service does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service import runtime
from service.runtime import Runtime
from service.settings import Settings
from tests.repositories import make_repository


async def test_memory_is_returned_again_after_that_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    again = asyncio.Event()

    def short_of_memory() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError
        loop.call_soon_threadsafe(again.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(runtime, "RELEASE_SECONDS", 0.01)
    monkeypatch.setattr(runtime, "Releaser", lambda: short_of_memory)
    settings = Settings(model_repository=make_repository(tmp_path), default_model="brighten", device="cpu")
    async with Runtime(settings) as service:
        await asyncio.wait_for(again.wait(), 10)
        await service.loaded()
