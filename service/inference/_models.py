"""The models in memory: loading, warming, swapping and unloading them while others serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.errors import ModelNotFound, ModelNotReady, NightliftError
from service.inference._batching import BatchPolicy
from service.inference._contract import ENHANCED, Engine
from service.inference._placement import create_engine
from service.inference._queue import BatchQueue
from service.repository import ConfigError, ModelConfig, ModelRepository, ModelVersion
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")


class ModelState(StrEnum):
    """Where a model stands, in Triton's words."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class LoadedModel:
    """One version, warmed and ready to be called through its queue."""

    source: ModelVersion
    engine: Engine
    queue: BatchQueue

    @property
    def name(self) -> str:
        """The model's name."""
        return self.source.name

    @property
    def version(self) -> int:
        """The version's number."""
        return self.source.version

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.source.config

    async def close(self) -> None:
        """Finish what waits and runs, then release the model."""
        await self.queue.close()
        await self.engine.close()


@dataclass(frozen=True)
class ModelStatus:
    """One line of the repository's index; `version` is 0 where none is loaded."""

    name: str
    version: int
    state: ModelState
    reason: str = ""


class Models:
    """All models of a repository and their states.

    A reload builds and warms the new versions first and swaps them in; if that fails, the old ones keep serving. The
    replaced ones finish what they have.
    """

    def __init__(self, repository: ModelRepository, settings: Settings, metrics: Metrics) -> None:
        self.repository = repository
        self._settings = settings
        self._metrics = metrics
        self._loaded: dict[str, dict[int, LoadedModel]] = {}
        self._states: dict[str, ModelState] = {}
        self._reasons: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def get(self, name: str, version: int | None = None) -> LoadedModel:
        """The model to call; the latest version unless one is named.

        Raises:
            ModelNotFound: if the repository has no such model, or the model no such version.
            ModelNotReady: if it is not loaded, or still loading.
        """
        versions = self._loaded.get(name)
        if not versions:
            if name not in self._states and name not in self.repository.names():
                raise ModelNotFound(f"there is no model {name!r}", available=self.repository.names())
            raise ModelNotReady(f"model {name!r} is {self.state(name).lower()}")
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise ModelNotFound(f"model {name!r} has no version {version}", available=sorted(versions))
        return versions[version]

    def state(self, name: str) -> ModelState:
        """Where a model stands; UNAVAILABLE also if it has never been loaded."""
        return self._states.get(name, ModelState.UNAVAILABLE)

    def ready(self, names: Iterable[str]) -> bool:
        """Whether every one of these models can be called; False for no names at all."""
        names = list(names)
        return bool(names) and all(self._loaded.get(name) for name in names)

    def loaded(self) -> list[LoadedModel]:
        """Every version in memory, by name and version."""
        return [
            self._loaded[name][version] for name in sorted(self._loaded) for version in sorted(self._loaded[name])
        ]

    def index(self) -> list[ModelStatus]:
        """Every model of the repository with its state, and why where it is unavailable."""
        lines = []
        for name in sorted({*self.repository.names(), *self._states}):
            versions = sorted(self._loaded.get(name, {})) or [0]
            reason = self._reasons.get(name, "")
            lines += [ModelStatus(name, version, self.state(name), reason) for version in versions]
        return lines

    async def load_all(self, first: Iterable[str]) -> None:
        """Load the models of the settings (or all), those named `first` before the others; failures are logged."""
        wanted = list(self._settings.models) or self.repository.names()
        for name in dict.fromkeys([*first, *wanted]):
            try:
                await self.load(name)
            except (NightliftError, ConfigError) as error:
                logger.error("model %s cannot be loaded: %s", name, error)

    async def load(self, name: str) -> None:
        """Load or reload a model: all versions that its policy serves, warmed.

        Raises:
            ModelNotFound: if the repository has no such model.
            ConfigError, EngineUnavailable: if it cannot be served; what was loaded before keeps serving.
        """
        async with self._locks[name]:
            self._states[name] = ModelState.READY if self._loaded.get(name) else ModelState.LOADING
            fresh: list[LoadedModel] = []
            try:
                for source in await asyncio.to_thread(self.repository.servable, name):
                    fresh.append(await self._load_version(source))
            except Exception as error:
                for model in fresh:
                    await model.close()
                self._note_failure(name, error)
                if isinstance(error, NightliftError | ConfigError):
                    raise
                logger.debug("model %s", name, exc_info=error)
                raise ConfigError(f"model {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
            replaced = list(self._loaded.get(name, {}).values())
            self._loaded[name] = {model.version: model for model in fresh}
            self._states[name] = ModelState.READY
            self._reasons.pop(name, None)
        await self._retire(replaced)

    async def unload(self, name: str) -> None:
        """Take a model out of service; requests under way finish.

        Raises:
            ModelNotFound: if the repository has no such model.
        """
        async with self._locks[name]:
            if name not in self._loaded and name not in self.repository.names():
                raise ModelNotFound(f"there is no model {name!r}", available=self.repository.names())
            retired = list(self._loaded.pop(name, {}).values())
            self._states[name] = ModelState.UNLOADING
            self._metrics.model(name).not_ready()
        await self._retire(retired)
        self._states[name] = ModelState.UNAVAILABLE
        self._reasons[name] = "unloaded"

    async def close(self) -> None:
        """Finish everything and release all models."""
        models = self.loaded()
        self._loaded.clear()
        await asyncio.gather(*(model.close() for model in models))

    async def _load_version(self, source: ModelVersion) -> LoadedModel:
        started = time.monotonic()
        engine = await asyncio.to_thread(create_engine, source, self._settings)
        try:
            await _warm(engine, source.config)
        except BaseException:
            await engine.close()
            raise
        seconds = time.monotonic() - started
        metrics = self._metrics.model(source.name)
        batching = source.config.batching
        pays = batching.asked_for or engine.info.on_gpu
        policy = BatchPolicy(
            batching.max_batch_size if pays else 1, self._settings.max_batch_pixels, batching.max_delay
        )
        queue = BatchQueue(engine, policy, batching.max_queue_size, metrics)
        info = engine.info
        metrics.loaded(source.version, info.provider, info.precision, info.engine, seconds)
        for warning in source.config.warnings:
            logger.warning("model %s: %s", source.name, warning)
        logger.info(
            "model %s version %d ready on %s (%s, %s) in %.2f s; %s",
            source.name,
            source.version,
            info.provider,
            info.precision,
            info.placement,
            seconds,
            f"batches of up to {policy.max_count}" if policy.max_count > 1 else "one picture at a time",
        )
        return LoadedModel(source, engine, queue)

    async def _retire(self, models: list[LoadedModel]) -> None:
        for model in models:
            await model.close()
            still_loaded = self._loaded.get(model.name, {}).get(model.version)
            info = model.engine.info
            if still_loaded is None or still_loaded.engine.info != info:
                self._metrics.model(model.name).unloaded(model.version, info.provider, info.precision, info.engine)

    def _note_failure(self, name: str, error: Exception) -> None:
        self._reasons[name] = str(error) if isinstance(error, NightliftError | ConfigError) else type(error).__name__
        if not self._loaded.get(name):
            self._states[name] = ModelState.UNAVAILABLE
            self._metrics.model(name).not_ready()


async def _warm(engine: Engine, config: ModelConfig) -> None:
    """Run the configuration's warm-up samples, or one small picture: what cannot run must not become ready."""
    random = np.random.default_rng(0)
    output = (ENHANCED,) if any(tensor.name == ENHANCED for tensor in config.outputs) else (config.outputs[0].name,)
    shapes = [
        (sample.count, (sample.batch_size, sample.height, sample.width, 3), sample.random) for sample in config.warmup
    ]
    for count, shape, is_random in shapes or [(1, (1, 64, 64, 3), True)]:
        batch = random.integers(0, 256, shape, np.uint8) if is_random else np.zeros(shape, np.uint8)
        for _ in range(count):
            await engine.run(batch, output)
