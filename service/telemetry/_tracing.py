"""Traces: spans of a request and of its stages, sent by OpenTelemetry if an endpoint is set.

Without an endpoint nothing of OpenTelemetry is imported and a span costs one comparison. The caller's W3C trace id
(https://www.w3.org/TR/trace-context/) is read in both cases, for logs and exemplars.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
NO_TRACE = "0" * 32

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def start_tracing(endpoint: str, ratio: float, version: str) -> None:
    """Send spans from now on.

    Args:
        endpoint: OTLP over HTTP, such as `http://collector:4318/v1/traces`.
        ratio: share of the traces started here that is kept; a caller's sampling decision is followed.
        version: the service's, for the resource; further attributes come from `OTEL_RESOURCE_ATTRIBUTES`.

    Raises:
        ValueError: if the extra `tracing` is not installed.
    """
    global _provider, _tracer
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ModuleNotFoundError as error:
        raise ValueError('traces need the extra "tracing": pip install "nightlift[tracing]"') from error
    resource = Resource.create({"service.name": "nightlift", "service.version": version})
    _provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(ratio))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    _tracer = _provider.get_tracer("nightlift", version)


def stop_tracing() -> None:
    """Send the remaining spans, and make no further ones."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def span(name: str) -> AbstractContextManager[Any]:
    """A span around a block, below the one that the calling task is in; nothing where traces are off."""
    return nullcontext() if _tracer is None else _tracer.start_as_current_span(name)


@contextmanager
def server_span(name: str, headers: Mapping[str, str]) -> Iterator[ServerSpan]:
    """The span of a whole request, which continues the caller's trace if `headers` (lower case) name one."""
    if _tracer is None:
        found = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        yield ServerSpan(None, found[1] if found and found[1] != NO_TRACE else "")
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(dict(headers))
    with _tracer.start_as_current_span(name, parent, SpanKind.SERVER) as current:
        yield ServerSpan(current, f"{current.get_span_context().trace_id:032x}")


class ServerSpan:
    """A request's span, or a placeholder if traces are off; `trace_id` is 32 hex digits, or empty."""

    def __init__(self, span: Any, trace_id: str) -> None:
        self._span = span
        self.trace_id = trace_id

    def end_as(self, route: str, attributes: Mapping[str, str]) -> None:
        """Name it by its route, which is known only when it has been answered."""
        if self._span is not None:
            self._span.update_name(route)
            self._span.set_attributes(attributes)


def record_batch(queue: float, infer: float, count: int) -> None:
    """Add, after the fact, the spans of a pass that has just ended: `batch`, and in it `queue` and `engine`.

    Args:
        queue, infer: seconds that the caller's picture waited, and was in the engine.
        count: pictures in the pass.
    """
    if _tracer is None:
        return
    from opentelemetry.trace import set_span_in_context

    end = time.time_ns()
    taken = end - int(infer * 1e9)
    begin = taken - int(queue * 1e9)
    batch = _tracer.start_span("batch", start_time=begin, attributes={"nightlift.batch_size": count})
    inside = set_span_in_context(batch)
    _tracer.start_span("queue", inside, start_time=begin).end(taken)
    _tracer.start_span("engine", inside, start_time=taken).end(end)
    batch.end(end)
