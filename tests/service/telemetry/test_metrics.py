"""What the metrics say of requests, and what the set of them is."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry import Metrics, recorded

EXPECTED = {
    "backlog_seconds",
    "batch_pixels",
    "batch_size",
    "batches",
    "build_info",
    "cancelled",
    "device_faults",
    "device_memory_total_bytes",
    "device_memory_used_bytes",
    "device_utilization_ratio",
    "errors",
    "input_bytes",
    "input_luminance_ratio",
    "input_megapixels",
    "key_requests",
    "log_lines_lost",
    "model_info",
    "model_load_seconds",
    "model_ready",
    "output_clipped_ratio",
    "output_luminance_ratio",
    "pictures",
    "queue_depth",
    "queue_oldest_seconds",
    "queue_pixels",
    "rejected",
    "request_duration_seconds",
    "requests",
    "requests_in_progress",
    "restored_ratio",
    "restored_tiles",
    "stage_duration_seconds",
    "unread_answer_bytes",
    "unread_answers",
    "worker_restarts",
}


def test_the_set_of_metrics_is_the_documented_one() -> None:
    families = text_string_to_metric_families(Metrics().expose()[0].decode())
    names = {family.name for family in families}
    assert {name.removeprefix("nightlift_") for name in names if name.startswith("nightlift_")} == EXPECTED


@pytest.mark.parametrize("version", ["x", "1.x", "1.0.x", "99.x", "", "1" * 5000, "0.0.4"])
@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
def test_any_version_that_is_asked_for_gets_metrics(kind: str, version: str) -> None:
    body, media_type = Metrics().expose(f"{kind};version={version}")
    assert b"nightlift_build_info" in body
    assert media_type.startswith(("text/plain", "application/openmetrics-text"))


@pytest.mark.parametrize(
    ("transport", "answer", "code", "expected"),
    [
        ("http", (200,), "200", "2xx"),
        ("http", (503,), "503", "5xx"),
        ("http", None, "499", "4xx"),
        ("grpc", (200, "OK"), "OK", "2xx"),
        ("grpc", (404, "NOT_FOUND"), "NOT_FOUND", "4xx"),
        ("grpc", (429, "RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED", "4xx"),
        ("grpc", (503, "RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED", "5xx"),
        ("grpc", None, "CANCELLED", "4xx"),
    ],
)
def test_both_transports_share_the_classes_of_codes(
    transport: str, answer: tuple | None, code: str, expected: str
) -> None:
    metrics = Metrics()
    with recorded(metrics, transport, "POST", {}) as record:  # type: ignore[arg-type]
        assert metrics.registry.get_sample_value("nightlift_requests_in_progress", {"transport": transport}) == 1
        record.route = "/enhance"
        if answer:
            record.answered(*answer)
    labels = {"route": "/enhance", "code_class": expected}
    assert metrics.registry.get_sample_value("nightlift_request_duration_seconds_count", labels) == 1
    counted = {"route": "/enhance", "method": "POST", "code": code}
    assert metrics.registry.get_sample_value("nightlift_requests_total", counted) == 1
    assert metrics.registry.get_sample_value("nightlift_requests_in_progress", {"transport": transport}) == 0


def test_a_request_that_ends_without_an_answer_counts_as_one_whose_client_has_gone() -> None:
    metrics = Metrics()
    with pytest.raises(RuntimeError), recorded(metrics, "http", "POST", {}):
        raise RuntimeError
    labels = {"route": "unmatched", "method": "POST", "code": "499"}
    assert metrics.registry.get_sample_value("nightlift_requests_total", labels) == 1
