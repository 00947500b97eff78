"""Shared by all transports: settings, metrics, models, admission, the pipeline, and the phase of the service."""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from types import TracebackType

from service.admission import Admission, AnswerLimiter, Call, CapacityLimiter
from service.enhancement import Enhanced, EnhanceOptions
from service.errors import Draining, ModelNotFound
from service.inference import LoadedModel, Models
from service.memory import Releaser
from service.pipeline import Pipeline
from service.repository import ModelRepository
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

RELEASE_SECONDS = 10.0
"""Seconds between attempts to return unused memory to the system."""


class Phase(StrEnum):
    """The phase of the service between start and stop."""

    SERVING = "serving"
    DRAINING = "draining"
    """Told to stop and no longer ready, but still serving, so that load balancers have time to notice."""
    STOPPING = "stopping"
    """No new work is taken; what runs is finished."""


class Runtime:
    """The service without its transports; an asynchronous context manager.

    On entry the models begin to load, required ones first; on exit running work is finished and every model is
    released.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.phase = Phase.SERVING
        self.metrics = Metrics()
        capacity = CapacityLimiter(settings.max_queue_seconds, settings.drain_timeout)
        self.models = Models(ModelRepository(settings.model_repository), settings, self.metrics, capacity)
        self.admission = Admission(self._find, capacity, settings.request_timeout)
        self.answers, self.rpc_answers = (
            AnswerLimiter(
                settings.max_answer_bytes_in_flight, settings.answer_timeout, self.metrics.unread_answers.inc
            )
            for _ in range(2)
        )
        self.pipeline = Pipeline(settings, self.metrics, self.find_restorer)
        self.metrics.backlog.set_function(lambda: capacity.backlog)
        self.metrics.unread_answer_bytes.set_function(lambda: self.answers.held + self.rpc_answers.held)
        self._loading: asyncio.Task[None] | None = None
        self._releasing: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """False if something is broken that only a new process can fix."""
        return not self.models.lost

    @property
    def ready(self) -> bool:
        """Whether the required models can be called and the service is not about to stop."""
        return self.phase is Phase.SERVING and self.models.ready(self.settings.required)

    async def __aenter__(self) -> Runtime:
        self._loading = asyncio.create_task(self._load())
        self._releasing = asyncio.create_task(_release_memory())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.phase = Phase.STOPPING
        tasks = [task for task in (self._loading, self._releasing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.models.close()
        await self.pipeline.close()

    async def enhance(self, data: bytes, options: EnhanceOptions) -> Enhanced:
        """Enhance a picture for a caller in this process; raises the errors that a client would get."""
        with self.admission.admit(Call()) as ticket:
            ticket.reserve(options.model, options.version)
            return await self.pipeline.enhance(data, options, ticket)

    async def loaded(self) -> None:
        """Wait until every model has been loaded or has failed."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    def find_restorer(self) -> LoadedModel | None:
        """The model that removes noise, None if there is none; raises ModelNotReady if it is not loaded."""
        if not self.settings.restorer:
            return None
        try:
            return self.models.get(self.settings.restorer)
        except ModelNotFound:
            return None

    def _find(self, name: str | None, version: int | None) -> LoadedModel:
        if self.phase is Phase.STOPPING:
            raise Draining("the service is shutting down; send the request again, to another instance")
        return self.models.get(name or self.settings.default_model, version)

    async def _load(self) -> None:
        try:
            names = await self.models.announce(self.settings.required)
            await self.models.load_all(names)
        except Exception as error:  # nobody may await this task, and loaded models can still serve
            logger.critical("loading of models has stopped", exc_info=error)
        missing = [name for name in self.settings.required if not self.models.ready([name])]
        if missing:
            logger.error("not ready: %s cannot be served; see above, or run `nightlift doctor`", ", ".join(missing))
        if any(
            model.name == self.settings.default_model and not model.config.takes_pictures
            for model in self.models.loaded()
        ):
            logger.error(
                "the default model %s takes no pictures; set NIGHTLIFT_DEFAULT_MODEL to one that does",
                self.settings.default_model,
            )


async def _release_memory() -> None:
    release = Releaser()
    while True:
        await asyncio.sleep(RELEASE_SECONDS)
        try:
            await asyncio.to_thread(release)
        except Exception as error:  # no memory or no thread for it: nobody starts this task again
            logger.error("unused memory was not returned to the system", exc_info=error)
