"""What all transports share: settings, metrics, models, the plane, and where the service is in its life."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from types import TracebackType

from service.enhancer import Enhancer
from service.errors import Draining
from service.inference import Models
from service.rendering import warm_up
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")


class Phase(StrEnum):
    """Where the service is in its life."""

    SERVING = "serving"
    DRAINING = "draining"
    """Told to stop, and not ready any more, but still serving: load balancers are given time to notice."""
    STOPPING = "stopping"
    """No new work is taken; what runs is finished."""


class Runtime:
    """The service without its transports; an asynchronous context manager.

    On entry the required models begin to load, then the others behind them; on exit what runs is finished and every
    model is released.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.phase = Phase.SERVING
        self.metrics = Metrics()
        self.models = Models(ModelRepository(settings.model_repository), settings, self.metrics)
        self.enhancer = Enhancer(self.models, settings, self.metrics)
        self._loading: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Whether nothing is broken that only a new process can mend."""
        return not self.models.lost

    @property
    def ready(self) -> bool:
        """Whether the required models can be called and the service is not about to stop."""
        return self.phase is Phase.SERVING and self.models.ready(self.settings.required)

    async def __aenter__(self) -> Runtime:
        self._loading = asyncio.create_task(self._load())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.phase = Phase.STOPPING
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        await self.models.close()
        await self.enhancer.close()

    def check_running(self) -> None:
        """Raise Draining if no new work is taken any more."""
        if self.phase is Phase.STOPPING:
            raise Draining("the service is shutting down; another instance will take the request")

    async def loaded(self) -> None:
        """Wait until every model was loaded, or failed to."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(warm_up)
        except Exception as error:  # pictures may still be rendered, and if not, each failure is logged
            logger.error("the kernels of rendering cannot be compiled", exc_info=error)
        try:
            await self.models.load_all(self.settings.required)
        except Exception as error:  # nobody may wait for this task, and what is loaded can serve
            logger.critical("no more models are loaded", exc_info=error)
        missing = [name for name in self.settings.required if not self.models.ready([name])]
        if missing:
            logger.error("not ready: %s cannot be served; see above, or run `nightlift doctor`", ", ".join(missing))
