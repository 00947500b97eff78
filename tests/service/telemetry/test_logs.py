"""Log lines: one an event, with the ids of the request, as text and as JSON; one for each request at its end."""

from __future__ import annotations

import json
import logging
import os
import time

import pytest

from service.telemetry import Metrics, recorded
from service.telemetry._log_writer import WAITING_LINES, LogWriter
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


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    """Who chooses a name or an id writes no lines of the log, and moves no cursor of a terminal."""
    quoted = "x\n2026-11-30 INFO    fine\r\x1b[2J\x9b2J\u2028\x7f"
    text = TextFormatter(TEXT).format(record("no model %s", quoted))
    assert text.isprintable()
    assert "x\\x0a2026" in text
    line = JsonFormatter().format(record("no model %s", quoted))
    assert line.isprintable()
    assert json.loads(line)["message"].endswith(quoted)


def test_lines_of_tracebacks_do_not_look_like_others() -> None:
    try:
        raise ValueError("x\n2026-11-30 INFO    fine")
    except ValueError as error:
        text = TextFormatter(TEXT).format(record("failed", exc_info=(ValueError, error, error.__traceback__)))
    assert all(line.startswith("    ") for line in text.splitlines()[1:])


def test_a_reader_that_stops_holds_up_nobody_and_is_told_what_was_lost() -> None:
    reader, end = os.pipe()
    writer = LogWriter(end)
    count = 3 * WAITING_LINES
    started = time.monotonic()
    for number in range(count):
        writer.write(f"{number:0100d}")
    assert time.monotonic() - started < 2
    lines = open(reader, encoding="utf-8")  # noqa: SIM115
    written, lost = [], 0
    writer_is_done = False
    for line in lines:
        if "were lost" in line:
            lost += int(line.split()[0])
        elif line == "end\n":
            break
        else:
            written.append(int(line))
        if not writer_is_done and len(written) > WAITING_LINES:  # there is room in the queue by now
            writer_is_done = True
            writer.write("end")
    assert written == sorted(written)
    assert lost == count - len(written) > WAITING_LINES
    lines.close()


def test_a_line_that_breaks_the_writer_is_the_only_one_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, end = os.pipe()
    put = LogWriter._put

    def short_of_memory(self: LogWriter, text: str) -> bool:
        if "large" in text:
            raise MemoryError
        return put(self, text)

    monkeypatch.setattr(LogWriter, "_put", short_of_memory)
    writer = LogWriter(end)
    writer.write("large")
    writer.write("small")
    writer.close()
    assert os.read(reader, 1000).decode().splitlines()[1:] == ["small"]
    os.close(reader)


def test_lines_to_a_reader_who_has_gone_are_lost() -> None:
    reader, end = os.pipe()
    os.close(reader)
    writer = LogWriter(end)
    writer.write("to nobody")
    started = time.monotonic()
    writer.close()
    assert time.monotonic() - started < 0.5
