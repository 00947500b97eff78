"""One version of a model, from its files to a warm engine behind its queue."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.admission import CapacityLimiter, Intake
from service.errors import NightliftError
from service.inference._batching import BatchPolicy, Bucket
from service.inference._contract import Engine
from service.inference._placement import Engines
from service.inference._queue import BatchQueue
from service.inference._samples import made_up, of_warmup
from service.repository import ModelConfig, ModelVersion
from service.settings import Settings
from service.telemetry import Metrics

logger = logging.getLogger("nightlift")

TIMED_SIDE = 192
"""Side in pixels of the picture with which a model's speed is measured when it is loaded; about that of warm-ups."""


@dataclass(frozen=True)
class LoadedModel:
    """One version, warmed and ready to be called through its queue.

    Attributes:
        source: its files and its configuration.
        engine: what runs it.
        queue: decides when it runs.
        find_map: returns the model that makes its colour maps, if that is another (`ModelTraits.map_model`); raises
            ModelNotReady if that is not loaded.
    """

    source: ModelVersion
    engine: Engine
    queue: BatchQueue
    find_map: Callable[[], LoadedModel] | None = None

    @property
    def of_maps(self) -> LoadedModel:
        """The model that makes its colour maps: itself, unless its configuration names another.

        Raises:
            ModelNotReady: if that is not loaded.
        """
        return self if self.find_map is None else self.find_map()

    @property
    def ready(self) -> bool:
        """Whether a batch sent now would be run now."""
        try:
            return self.engine.ready and self.of_maps.engine.ready
        except NightliftError:
            return False

    @property
    def intake(self) -> Intake:
        """The requests that it has accepted and not answered yet."""
        return self.queue.intake

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


class Loader:
    """Loads versions of models, and measures what they cost."""

    def __init__(self, engines: Engines, settings: Settings, metrics: Metrics, capacity: CapacityLimiter) -> None:
        self._engines = engines
        self._settings = settings
        self._metrics = metrics
        self._capacity = capacity

    async def load(self, source: ModelVersion, find_map: Callable[[], LoadedModel] | None = None) -> LoadedModel:
        """Load and warm a version.

        Args:
            source: its files and its configuration.
            find_map: as of `LoadedModel`.

        Raises:
            ConfigError, EngineUnavailable: if it cannot be served.
        """
        started = time.monotonic()
        engine = await self._engines.create(source)
        seconds = time.monotonic() - started
        metrics = self._metrics.model(source.name)
        batching = source.config.batching
        pays = batching.asked_for or engine.info.on_gpu
        policy = BatchPolicy(
            batching.max_batch_size if pays else 1,
            self._settings.max_batch_pixels,
            batching.max_delay,
            # Passes side by side on the CPU share the memory that one large pass is allowed.
            self._settings.max_whole_pixels if engine.info.device == "cpu" else math.inf,
        )
        label = f"{source.name}/{source.version}"
        queue = BatchQueue(
            engine,
            policy,
            metrics,
            Intake(label, batching.max_queue_size, lambda: engine.concurrency),
            batching.default_timeout,
            partial(self._capacity.costs.observe, "network", label),
        )
        try:
            await self._time_one_pass(engine, label, source.config)
        except BaseException:  # cancelled: the service stops while it loads its models
            await queue.close()
            await engine.close()
            raise
        info = engine.info
        metrics.loaded(source.version, info.provider, info.precision, info.engine, seconds)
        for warning in source.config.warnings:
            logger.warning("model %s: %s", source.name, warning)
        logger.info(
            "model %s version %d %s on %s (%s, %s) in %.2f s; %s",
            source.name,
            source.version,
            "ready" if engine.ready else "not ready yet",
            info.provider,
            info.precision,
            info.placement,
            seconds,
            f"batches of up to {policy.max_count}" if policy.max_count > 1 else "one picture at a time",
        )
        return LoadedModel(source, engine, queue, find_map)

    async def _time_one_pass(self, engine: Engine, label: str, config: ModelConfig) -> None:
        """Run one picture, so that the first requests are taken by what this model costs and not by a guess.

        One that takes no pictures is given the first sample of its warm-up: which sides go together, it knows alone.
        """
        if not engine.ready:
            return
        outputs: tuple[str, ...] = (config.outputs[0].name,)
        if config.warmup and not config.takes_pictures:
            inputs = of_warmup(config.warmup[0], config, np.random.default_rng(0))
        else:
            inputs = made_up(config, TIMED_SIDE)
        pixels = len(next(iter(inputs.values()))) * Bucket.of(inputs, outputs).pixels
        costs, started = self._capacity.costs, time.monotonic()
        with suppress(Exception):  # which the warm-up would have shown: then the guess stays
            await engine.run(inputs, outputs)
            seconds = time.monotonic() - started
            costs.observe("network", label, pixels, seconds)
            largest = min(config.traits.max_pixels, self._settings.max_whole_pixels)
            costs.observe("request", label, 0.1, 0.1 * seconds * max(1.0, largest / pixels))  # soon outweighed
