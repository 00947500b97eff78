"""Log lines: one an event, with the ids of the request, as text and as JSON; one for each request at its end."""

from __future__ import annotations

import json
import logging

import pytest

from service.telemetry import Metrics, recorded
from service.telemetry._logs import TEXT, JsonFormatter, TextFormatter


def record(message: str, *arguments: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("nightlift", logging.ERROR, __file__, 1, message, arguments, exc_info)  # type: ignore[arg-type]


def test_a_line_is_one_object_whatever_it_says() -> None:
    text = JsonFormatter().format(record('two\nlines and "%s"', "Dämmerung"))
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == 'two\nlines and "Dämmerung"'
    assert line["level"] == "error"
    assert line["time"].endswith("+00:00")
    assert "request_id" not in line


def test_lines_within_a_request_name_it_and_its_trace() -> None:
    trace = "a" * 32
    headers = {"x-request-id": "one", "traceparent": f"00-{trace}-{'b' * 16}-00"}
    with recorded(Metrics(), "http", "GET", headers):
        line = json.loads(JsonFormatter().format(record("inside")))
    assert (line["request_id"], line["trace_id"]) == ("one", trace)
    assert "request_id" not in json.loads(JsonFormatter().format(record("after")))


def test_malformed_ids_are_not_taken_over() -> None:
    headers = {"x-request-id": "a\nb", "traceparent": f"00-{'0' * 32}-{'b' * 16}-00"}
    with recorded(Metrics(), "http", "GET", headers) as request:
        assert request.request_id != "a\nb"
        assert request.trace_id == ""


def test_exceptions_are_kept() -> None:
    try:
        raise ValueError("lost")
    except ValueError as error:
        line = json.loads(JsonFormatter().format(record("failed", exc_info=(ValueError, error, error.__traceback__))))
    assert "ValueError: lost" in line["exception"]


def test_text_names_the_request_too() -> None:
    formatter = TextFormatter(TEXT)
    with recorded(Metrics(), "http", "GET", {"x-request-id": "one"}):
        assert formatter.format(record("inside")).endswith("inside [one]")
    assert formatter.format(record("after")).endswith("after")


@pytest.mark.parametrize(
    ("status", "severity"), [(200, "DEBUG"), (422, "INFO"), (429, "DEBUG"), (503, "DEBUG"), (504, "WARNING")]
)
def test_each_request_is_logged_when_it_ends(status: int, severity: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "nightlift"), recorded(Metrics(), "http", "POST", {}) as request:
        request.route = "/enhance"
        request.answered(status)
    (line,) = caplog.records
    assert line.levelname == severity
    assert line.getMessage().startswith(f"POST /enhance {status} in 0.0")
