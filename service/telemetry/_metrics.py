"""Prometheus metrics: prefix `nightlift_`, base units, bounded labels (never file names, sizes or clients).

One API process owns them all; engines in child processes report back to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from service.telemetry._devices import DeviceCollector

if TYPE_CHECKING:
    from service.errors import NightliftError

logger = logging.getLogger("nightlift")

disable_created_metrics()  # a second series for every counter and histogram, which no query here reads

# 1 ms to 60 s, dense around what an interactive user notices.
SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.035,
    0.05,
    0.075,
    0.1,
    0.15,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
PIXELS = tuple(65_536 * 4**step for step in range(7))
SHARES = tuple(step / 20 for step in range(1, 20))
# Shares of a picture, dense near 0, since most pictures have hardly any clipped pixels.
CLIPPED = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
RESTORED = (0.0, *SHARES, 1.0)
MEGAPIXELS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 12, 16, 24, 48, 64)


LOST_LOG_LINES = Counter("nightlift_log_lines_lost", "Log lines that could not be written", registry=None)
"""Of the whole process, as logging is; every registry shows it."""


class Metrics:
    """All metrics of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        DeviceCollector(self.registry)
        self.registry.register(LOST_LOG_LINES)

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"nightlift_{name}", text, labels, buckets=buckets, registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"nightlift_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"nightlift_{name}", text, labels, registry=self.registry)

        self.requests = counter("requests", "Requests answered", "route", "method", "code")
        self.request_seconds = histogram(
            "request_duration_seconds", "Time from headers to last byte", ("route", "code_class"), SECONDS
        )
        self.in_progress = gauge("requests_in_progress", "Requests being served", "transport")
        self.stage_seconds = histogram("stage_duration_seconds", "Time spent by stage", ("stage", "model"), SECONDS)
        self.errors = counter("errors", "Errors by problem type", "type")
        self.rejected = counter(
            "rejected", "Requests refused, or failed for lack of time or of an engine, by problem type", "reason"
        )
        self.key_requests = counter(
            "key_requests", "Requests by API key, admitted or with the reason for refusal", "key", "outcome"
        )
        self.cancelled = counter(
            "cancelled", "Requests whose client disconnected, by the stage at which that was noticed", "at"
        )
        self.unread_answers = counter("unread_answers", "Answers that were dropped because nobody read them")
        self.unread_answer_bytes = gauge("unread_answer_bytes", "Bytes of answers that clients have not read yet")
        self.batch_size = histogram("batch_size", "Pictures in a pass of the network", ("model",), COUNTS)
        self.batch_pixels = histogram("batch_pixels", "Pixels in a pass of the network", ("model",), PIXELS)
        self.batches = counter(
            "batches", "Passes of the network, by the reason for closing the batch", "model", "closed_by"
        )
        self.queue_depth = gauge("queue_depth", "Requests waiting for a model", "model")
        self.queue_pixels = gauge("queue_pixels", "Pixels waiting for a model", "model")
        self.queue_oldest = gauge("queue_oldest_seconds", "Longest current wait for a model", "model")
        self.backlog = gauge("backlog_seconds", "Seconds that all accepted requests are expected to take")
        self.model_info = gauge(
            "model_info", "1 for a loaded model", "model", "version", "provider", "precision", "engine"
        )
        self.model_ready = gauge("model_ready", "Whether a model can be called", "model")
        self.model_load_seconds = histogram(
            "model_load_seconds", "Time to load and warm a model", ("model",), SECONDS
        )
        self.worker_restarts = counter("worker_restarts", "Restarts of the child process of a device", "device")
        self.device_faults = counter(
            "device_faults", "Faults of a device or of Triton (device `remote`), by kind", "device", "kind"
        )
        self.input_bytes = histogram("input_bytes", "Size of uploads", (), tuple(4.0**n * 1024 for n in range(1, 9)))
        self.input_megapixels = histogram("input_megapixels", "Size of pictures", (), MEGAPIXELS)
        self.input_luminance = histogram("input_luminance_ratio", "Mean luminance of pictures received", (), SHARES)
        self.output_luminance = histogram("output_luminance_ratio", "Mean luminance of pictures sent", (), SHARES)
        self.output_clipped = histogram(
            "output_clipped_ratio", "Share of pixels sent with a channel at its maximum", (), CLIPPED
        )
        self.restored_tiles = counter("restored_tiles", "Tiles from which noise was removed, by restorer", "model")
        self.restored = histogram(
            "restored_ratio", "Share of a picture from which noise was removed, if a restorer is used", (), RESTORED
        )
        self.pictures = counter("pictures", "Pictures enhanced", "model", "format", "detail")

        gauge("build_info", "1 for the version that runs", "version").labels(version("nightlift")).set(1)

    def answered(self, route: str, method: str, code: str, status: int, seconds: float, trace_id: str) -> None:
        """Count and time a request; a trace id becomes the exemplar of its bucket.

        `status` is HTTP's, also for a call of gRPC, so that one query covers both; `code` is the transport's own.
        """
        exemplar = {"trace_id": trace_id} if trace_id else None
        self.requests.labels(route, method, code).inc(exemplar=exemplar)
        self.request_seconds.labels(route, f"{status // 100}xx").observe(seconds, exemplar)

    def failed(self, error: NightliftError) -> None:
        """Count an error that is about to be reported to a caller."""
        self.errors.labels(error.slug).inc()
        if error.status in (401, 403, 413, 415, 422, 429, 503, 504):
            self.rejected.labels(error.slug).inc()

    def watch_device(self, device: str, faults: Iterable[str], restarts: bool = False) -> None:
        """Show a device's counters from 0 on: Prometheus sees no increase in one that begins at 1."""
        for fault in faults:
            self.device_faults.labels(device, fault)
        if restarts:
            self.worker_restarts.labels(device)

    def model(self, name: str) -> ModelMetrics:
        """The metrics of one model, its label filled in."""
        return ModelMetrics(self, name)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its media type: OpenMetrics, with exemplars, if `accept` asks for it, else text."""
        try:
            encode, media_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is not made of numbers, which the library compares to some
            encode, media_type = choose_encoder("")
        return encode(self.registry), media_type


class ModelMetrics:
    """What the queue of one model reports."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name

    def watch_queue(self, depth: Callable[[], int], pixels: Callable[[], int], oldest: Callable[[], float]) -> None:
        """Read depth (requests), pixels and longest wait (seconds) whenever the metrics are scraped."""
        self._metrics.queue_depth.labels(self._name).set_function(depth)
        self._metrics.queue_pixels.labels(self._name).set_function(pixels)
        self._metrics.queue_oldest.labels(self._name).set_function(oldest)

    def batch(self, count: int, pixels: int, closed_by: str) -> None:
        """A batch of `count` pictures and `pixels` pixels in all was formed."""
        self._metrics.batch_size.labels(self._name).observe(count)
        self._metrics.batch_pixels.labels(self._name).observe(pixels)
        self._metrics.batches.labels(self._name, closed_by).inc()

    def stage(self, stage: str, seconds: float) -> None:
        """A request spent `seconds` in read, decode, queue, infer, restore, render or encode."""
        self._metrics.stage_seconds.labels(stage, self._name).observe(seconds)

    def cancelled(self, at: str) -> None:
        """A caller was found to have disconnected, at `queue` or `compute`."""
        self._metrics.cancelled.labels(at).inc()

    def engine_error(self, error: Exception) -> None:
        """The engine raised an error whose details must not reach the caller."""
        logger.error("model %s failed", self._name, exc_info=error)

    def loaded(self, version: int, provider: str, precision: str, engine: str, seconds: float) -> None:
        """The model became ready after `seconds`."""
        self._metrics.model_info.labels(self._name, str(version), provider, precision, engine).set(1)
        self._metrics.model_load_seconds.labels(self._name).observe(seconds)

    def unloaded(self, version: int, provider: str, precision: str, engine: str) -> None:
        """The model's version left memory."""
        self._metrics.model_info.remove(self._name, str(version), provider, precision, engine)

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Read whether the model can be called whenever the metrics are scraped."""
        self._metrics.model_ready.labels(self._name).set_function(ready)

    def forget(self) -> None:
        """The model was taken out of service on purpose: it is neither ready nor missing."""
        metrics = self._metrics
        for gauge in (metrics.model_ready, metrics.queue_depth, metrics.queue_pixels, metrics.queue_oldest):
            gauge.remove(self._name)
