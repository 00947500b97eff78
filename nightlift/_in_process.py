"""`nightlift.enhance`: the service's pipeline in this process, started with the first picture and kept."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Unpack

from nightlift._answers import Enhanced, ServiceError
from nightlift._backends import BackendOptions, open_runtime
from nightlift._inputs import PictureLike, as_file
from nightlift.client import Options
from service.enhancement import Enhanced as Answer
from service.enhancement import EnhanceOptions
from service.errors import NightliftError
from service.runtime import Runtime


def enhance(picture: PictureLike, **options: Unpack[Options]) -> Enhanced:
    """Enhance one picture in this process, without a server; may be called from many threads.

    The first call loads the model, which takes a second or two; the model stays loaded until the process ends.

    Args:
        picture: a path, bytes, a binary file, a uint8 or uint16 array [H, W] or [H, W, 1, 3 or 4], or a PIL image.
        options: those of `POST /enhance`, with the same defaults; the default model is that of the settings.

    Raises:
        ServiceError: the picture cannot be enhanced; the same error that a service gives.
        FileNotFoundError: there is no such file.
        TypeError, ValueError: the picture has an unsupported type, an option is wrong, or the model cannot be served.

    Example:
        from nightlift import enhance

        enhance("photo.jpg", strength=0.8).save("bright.jpg")
    """
    wanted = EnhanceOptions(**options)
    file = as_file(picture)
    data = file.read_bytes() if isinstance(file, Path) else file
    try:
        answer = _engine().enhance(data, wanted)
    except NightliftError as error:
        problem = {"type": f"/problems/{error.slug}", "title": error.title, "detail": error.detail}
        raise ServiceError(int(error.status), {**problem, **error.extensions}) from error
    return Enhanced(
        data=answer.data,
        media_type=answer.format.media_type,
        model=answer.model,
        version=answer.version,
        detail=answer.detail,
        gate=answer.gate,
        luminance_before=answer.luminance_before,
        luminance_after=answer.luminance_after,
        timings=dict(answer.timings.seconds),
        request_id="",
        denoise=answer.denoise,
        denoise_scale=answer.denoise_scale,
        restored=answer.restored,
        source_size=(answer.source_width, answer.source_height),
        dropped=tuple(answer.dropped),
    )


class _Engine:
    """An event loop in its own thread, with a runtime for each model that was asked for.

    Never closed: at exit, the interpreter ends the threads that closing would need before it runs exit handlers, and
    nothing here outlives the process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()
        self._runtimes: dict[str | None, asyncio.Task[Runtime]] = {}
        threading.Thread(target=self._loop.run_forever, name="nightlift", daemon=True).start()

    def enhance(self, data: bytes, wanted: EnhanceOptions) -> Answer:
        """Enhance one picture, from any thread but the loop's own."""
        return asyncio.run_coroutine_threadsafe(self._enhance(data, wanted), self._loop).result()

    async def _enhance(self, data: bytes, wanted: EnhanceOptions) -> Answer:
        loading = self._runtimes.get(wanted.model)
        if loading is None:
            loading = self._runtimes[wanted.model] = asyncio.create_task(self._load(wanted.model))
        try:
            runtime = await asyncio.shield(loading)
        except Exception:
            self._runtimes.pop(wanted.model, None)  # a later call may find the model
            raise
        return await runtime.enhance(data, wanted)

    async def _load(self, model: str | None) -> Runtime:
        return await self._open.enter_async_context(open_runtime(BackendOptions(model=model)))


_lock = threading.Lock()
_started: list[_Engine] = []


def _engine() -> _Engine:
    with _lock:
        if not _started:
            _started.append(_Engine())
        return _started[0]
