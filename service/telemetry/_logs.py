"""Logs on standard error: text for people, or one JSON object a line, with the ids of the request they belong to."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from service.telemetry._metrics import LOST_LOG_LINES
from service.telemetry._requests import current_request

TEXT = "%(asctime)s %(levelname)-7s %(message)s"


def configure_logging(level: str, format: Literal["text", "json"]) -> None:
    """Send every log line of the process to standard error; `level` is the name of the least severity shown."""
    handler = LossyHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class LossyHandler(logging.StreamHandler[TextIO]):
    """Counts the lines that cannot be written, on a full disk or to a reader who has gone, and goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """See logging.Handler, which would write a traceback to the same place."""
        if isinstance(sys.exc_info()[1], OSError):
            LOST_LOG_LINES.inc()
        else:
            super().handleError(record)


class TextFormatter(logging.Formatter):
    """For people; lines that belong to a request end with its id in brackets."""

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
            "message": record.getMessage(),
        }
        if (request := current_request()) is not None:
            line["request_id"] = request.request_id
            if request.trace_id:
                line["trace_id"] = request.trace_id
            if request.key:
                line["key"] = request.key
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
