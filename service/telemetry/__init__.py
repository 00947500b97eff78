"""What the service tells its operators: metrics, logs and traces."""

from service.telemetry._logs import configure_logging
from service.telemetry._metrics import Metrics, ModelMetrics
from service.telemetry._requests import current_request, recorded
from service.telemetry._tracing import record_batch, span, start_tracing, stop_tracing

__all__ = [
    "Metrics",
    "ModelMetrics",
    "configure_logging",
    "current_request",
    "record_batch",
    "recorded",
    "span",
    "start_tracing",
    "stop_tracing",
]
