"""What the service tells its operators: metrics and logs."""

from service.telemetry._metrics import Metrics, ModelMetrics

__all__ = ["Metrics", "ModelMetrics"]
