"""Logs on standard error: text for people, or one JSON object a line, with the ids of the request they belong to."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from textwrap import indent
from typing import Any, Literal

from service.telemetry._log_writer import LogWriter, release_standard_error
from service.telemetry._requests import current_request

TEXT = "%(asctime)s %(levelname)-7s %(message)s"

LONGEST_MESSAGE = 8 * 1024
"""Characters of a message that are written."""

# Characters that end a line, or change what a terminal shows of it: C0, DEL, C1, and Unicode's line separators.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_UNSEEN = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""Those that JSON leaves as they are, in its own notation."""


def configure_logging(level: str, format: Literal["text", "json"]) -> None:
    """Send every log line of the process to standard error; `level` is the lowest severity shown.

    Logging never blocks: lines are written by a separate thread, and lost if it falls behind.
    """
    handler = QueuedHandler(LogWriter(release_standard_error()))
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class QueuedHandler(logging.Handler):
    """Formats a line in the logging task, which knows its request, and passes it on to be written."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._writer.write(self.format(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Write what still waits, as far as it is read."""
        self._writer.close()
        super().close()


class TextFormatter(logging.Formatter):
    """For people; lines that belong to a request end with its id in brackets.

    A message is one line, whatever it quotes; tracebacks alone take more.
    """

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """See logging.Formatter; indented, so that no line of it looks like a line of the log."""
        return indent(super().formatException(ei), "    ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """See logging.Formatter."""
        record.message = record.message[:LONGEST_MESSAGE].translate(_CONTROLS)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = super().format(record)
        return line if (request := current_request()) is None else f"{line} [{request.request_id}]"


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:LONGEST_MESSAGE],
        }
        if (request := current_request()) is not None:
            line["request_id"] = request.request_id
            if request.trace_id:
                line["trace_id"] = request.trace_id
            if request.key:
                line["key"] = request.key
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False).translate(_UNSEEN)
