"""The server's log on stderr: lines for people, or JSON for programs. Nothing that a terminal would obey gets through.

Neither headers nor query strings are logged: tokens and what people search for stay where they are.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("autotrack_request_id", default="")
"""That of the request which is being answered; empty outside of one."""
TEXT: Final = "text"
JSON: Final = "json"
FORMATS: Final = (TEXT, JSON)
_LOGGERS: Final = ("autotrack", "uvicorn.error")


class TextFormatter(logging.Formatter):
    """``2026-11-26T09:30:00.123Z WARNING worker 812 was ended by SIGKILL; another takes its place``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of a traceback."""
        request = REQUEST_ID.get() or ""
        mark = f" [{request}]" if request else ""
        lines = [f"{_time(record)} {record.levelname}{mark} {_harmless(record.getMessage())}"]
        if record.exc_info:
            lines += [_harmless(line) for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, logger, message, and what the record has beside them in ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if request := REQUEST_ID.get():
            entry["request_id"] = request
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in entry.items() if value is not None})


def log_to_stderr(form: str = TEXT) -> None:
    """Send what the server says to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _harmless(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)
