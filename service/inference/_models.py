"""The models in memory: which are there, and swapping and unloading them while others serve."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from service.admission import CapacityLimiter
from service.errors import ModelNotFound, ModelNotReady, NightliftError, without_folders
from service.inference._batching import Waiting
from service.inference._loading import LoadedModel, Loader
from service.inference._placement import Engines
from service.repository import ConfigError, ModelRepository, ModelVersion, check_restorer
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")


class ModelState(StrEnum):
    """The state of a model, in Triton's terms."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class ModelStatus:
    """One line of the repository's index; `version` is 0 where none is loaded."""

    name: str
    version: int
    state: ModelState
    reason: str = ""


class Models:
    """All models of a repository and their states.

    A reload first builds and warms the new versions, then swaps them in; if that fails, the old ones keep serving.
    Replaced versions finish their work.
    """

    def __init__(
        self,
        repository: ModelRepository,
        settings: Settings,
        metrics: Metrics,
        capacity: CapacityLimiter | None = None,
    ) -> None:
        self.repository = repository
        self.engines = Engines(settings, metrics)
        self._loader = Loader(self.engines, settings, metrics, capacity or CapacityLimiter())
        self._settings = settings
        self._metrics = metrics
        self._loaded: dict[str, dict[int, LoadedModel]] = {}
        self._states: dict[str, ModelState] = {}
        self._reasons: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._names = repository.names()  # as of the last look: requests do not wait for the disk

    def get(self, name: str, version: int | None = None) -> LoadedModel:
        """The model to call; the latest version unless one is named.

        Raises:
            ModelNotFound: if the repository had no such model when `load`, `unload` or `index` last looked; or the
                model has no such version.
            ModelNotReady: if it is not loaded, or still loading.
        """
        versions = self._loaded.get(name)
        if not versions:
            self._check_known(name)
            raise ModelNotReady(f"model {name!r} is {self.state(name).lower()}")
        if version is None:
            return versions[max(versions)]
        if version not in versions:
            raise ModelNotFound(f"model {name!r} has no version {version}", available=sorted(versions))
        return versions[version]

    def state(self, name: str) -> ModelState:
        """The state of a model; UNAVAILABLE also if it was never loaded, or its engine is down."""
        state = self._states.get(name, ModelState.UNAVAILABLE)
        return ModelState.UNAVAILABLE if state is ModelState.READY and not self._answers(name) else state

    def ready(self, names: Iterable[str]) -> bool:
        """Whether every one of these models can be called and its engine is up; False for no names at all."""
        names = list(names)
        return bool(names) and all(self._answers(name) for name in names)

    @property
    def lost(self) -> bool:
        """Whether a loaded model's device has failed for good, so that the service should be restarted."""
        return any(model.engine.lost for model in self.loaded())

    def loaded(self) -> list[LoadedModel]:
        """Every version in memory, by name and version."""
        return [
            self._loaded[name][version] for name in sorted(self._loaded) for version in sorted(self._loaded[name])
        ]

    def index(self) -> list[ModelStatus]:
        """Every model of the repository with its state, and the reason if it is unavailable."""
        lines = []
        self._names = self.repository.names()
        for name in sorted({*self._names, *self._states}):
            versions = sorted(self._loaded.get(name, {})) or [0]
            reason = self._reasons.get(name, "")
            if not reason and self._loaded.get(name) and not self._answers(name):
                reason = "the engine is down"
            lines += [ModelStatus(name, version, self.state(name), reason) for version in versions]
        return lines

    async def announce(self, first: Iterable[str]) -> list[str]:
        """The models of the settings, those named `first` before the others: they are LOADING from now on.

        If the settings name none, these are all models. An embedded engine leaves out TorchScript variants, which
        would load torch and a second copy of every network, unless they are named. The restorer, if there is one, is
        always loaded.
        """
        others = self._settings.models or await asyncio.to_thread(self._by_default)
        restorer = [name for name in self._names if name == self._settings.restorer]
        names = list(dict.fromkeys([*first, *restorer, *others]))
        for name in self._names:
            if name in names:
                self._states.setdefault(name, ModelState.LOADING)
        return names

    async def load_all(self, names: Iterable[str]) -> None:
        """Load these models one after the other; failures are logged."""
        for name in names:
            if self._loaded.get(name):
                continue  # loaded together with the model whose maps it makes
            try:
                await self.load(name)
            except ModelNotFound as error:
                logger.error("%s", error)
                self._watch_ready(name)
            except (NightliftError, ConfigError):
                pass  # logged where it happened

    def _by_default(self) -> tuple[str, ...]:
        names = []
        for name in self.repository.names():
            try:
                backend = self.repository.config(name).backend
            except ConfigError as error:
                self._note_failure(name, error)
                self._watch_ready(name)
                logger.error("model %s cannot be served: %s", name, error)
                continue
            if backend == "onnxruntime" or self._settings.engine == "triton":
                names.append(name)
        return tuple(names)

    async def load(self, name: str) -> None:
        """Load or reload a model: all versions that its policy serves, warmed.

        Raises:
            ModelNotFound: if the repository has no such model.
            ConfigError, EngineUnavailable: if it cannot be served; what was loaded before keeps serving.
        """
        await self._look_for(name)
        async with self._locks[name]:
            self._states[name] = ModelState.READY if self._loaded.get(name) else ModelState.LOADING
            metrics = self._metrics.model(name)
            self._watch_ready(name)
            metrics.watch_queue(
                lambda: len(self._waiting(name)),
                lambda: sum(one.pixels for one in self._waiting(name)),
                lambda: max((time.monotonic() - one.since for one in self._waiting(name)), default=0.0),
            )
            fresh: list[LoadedModel] = []
            try:
                for source in await asyncio.to_thread(self.repository.servable, name):
                    fresh.append(await self._load_version(source))
            except BaseException as error:
                await self._retire(fresh)
                self._note_failure(name, error)
                if isinstance(error, NightliftError | ConfigError):
                    logger.error("model %s cannot be loaded: %s", name, error)
                    raise
                if not isinstance(error, Exception):
                    raise
                logger.error("model %s", name, exc_info=error)
                raise ConfigError(f"model {name!r} cannot be loaded: {type(error).__name__}; see the log") from error
            replaced = list(self._loaded.get(name, {}).values())
            self._loaded[name] = {model.version: model for model in fresh}
            self._states[name] = ModelState.READY
            self._reasons.pop(name, None)
        await self._retire(replaced)

    async def unload(self, name: str) -> None:
        """Take a model out of service; running requests finish.

        Raises:
            ModelNotFound: if the repository has no such model.
        """
        await self._look_for(name)
        async with self._locks[name]:
            retired = list(self._loaded.pop(name, {}).values())
            self._states[name] = ModelState.UNLOADING
            await self._retire(retired)
            self._states[name] = ModelState.UNAVAILABLE
            self._reasons[name] = "unloaded"
            self._metrics.model(name).forget()

    async def close(self) -> None:
        """Finish everything and release all models."""
        models = self.loaded()
        self._loaded.clear()
        await asyncio.gather(*(model.close() for model in models))
        await self.engines.close()

    def _watch_ready(self, name: str) -> None:
        """Show a required model in the metrics even if it cannot be loaded: its alert needs a 0."""
        self._metrics.model(name).watch_ready(lambda: self.ready([name]))

    def _answers(self, name: str) -> bool:
        """Whether the latest loaded version's engine is up."""
        versions = self._loaded.get(name)
        return versions[max(versions)].ready if versions else False

    def _waiting(self, name: str) -> list[Waiting]:
        """Items waiting for a model, in any of its loaded versions; may be called from any thread."""
        return [one for model in list(self._loaded.get(name, {}).values()) for one in model.queue.waiting]

    def _is_known(self, name: str) -> bool:
        return name in self._states or name in self._names

    def _check_known(self, name: str) -> None:
        """Check that a model has this name before anything is stored under it: clients may send any name."""
        if not self._is_known(name):
            raise ModelNotFound(f"there is no model {name!r}", available=self._names)

    async def _look_for(self, name: str) -> None:
        """Like `_check_known`, but also finds a model that was just copied in."""
        if not self._is_known(name):
            self._names = await asyncio.to_thread(self.repository.names)
        self._check_known(name)

    async def _load_version(self, source: ModelVersion) -> LoadedModel:
        if source.name == self._settings.restorer:
            check_restorer(source.config)
        maps = source.config.traits.map_model
        if not maps:
            return await self._loader.load(source)
        await self._load_map_model(source.name, maps)
        return await self._loader.load(source, partial(self._map_model, source.name, maps))

    def _map_model(self, name: str, maps: str) -> LoadedModel:
        """The model that makes another's maps; if it cannot be called now, neither can the other."""
        try:
            return self.get(maps)
        except (ModelNotFound, ModelNotReady):
            state = self.state(maps).lower()
            raise ModelNotReady(
                f"model {name!r} is not ready: {maps!r}, which makes its colour maps, is {state}"
            ) from None

    async def _load_map_model(self, name: str, maps: str) -> None:
        """Make sure that the model that makes another's colour maps is loaded.

        Raises:
            ConfigError: if it takes pictures itself, or is not in the repository.
        """
        if self._loaded.get(maps):
            return
        try:
            config = await asyncio.to_thread(self.repository.config, maps)
            if config.takes_pictures:
                raise ConfigError(f"{name}: its map_model {maps!r} takes pictures, not proxies")
            if config.traits.map_model:
                raise ConfigError(f"{name}: its map_model {maps!r} has a map_model itself")
            await self.load(maps)
        except ModelNotFound as error:
            raise ConfigError(f"{name}: its map_model {maps!r} is not in the repository") from error

    async def _retire(self, models: list[LoadedModel]) -> None:
        for model in models:
            await model.close()
            still_loaded = self._loaded.get(model.name, {}).get(model.version)
            info = model.engine.info
            if still_loaded is None or still_loaded.engine.info != info:
                self._metrics.model(model.name).unloaded(model.version, info.provider, info.precision, info.engine)

    def _note_failure(self, name: str, error: BaseException) -> None:
        known = isinstance(error, NightliftError | ConfigError)
        self._reasons[name] = without_folders(str(error)) if known else type(error).__name__
        if not self._loaded.get(name):
            self._states[name] = ModelState.UNAVAILABLE
