"""Structured logs: one JSON object a line on stderr, written by a thread so that a slow reader delays no request."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Any

import msgspec

from inseam.kernel.clock import format_instant, now
from inseam.kernel.errors import InseamError

_MOST_LINES = 20_000
_FLUSH_SECONDS = 0.2


class Journal:
    """Lines wait here, the oldest are dropped (and counted) beyond a bound. Never holds feature values."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: deque[tuple[str, int, dict[str, Any]]] = deque(maxlen=_MOST_LINES)
        self._said = 0
        self._written = 0
        self._stopping = threading.Event()
        self._encoder = msgspec.json.Encoder()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self.flush()

    def say(self, level: str, **fields: Any) -> None:
        self._said += 1
        self._lines.append((level, now(), fields))

    def failure(self, error: BaseException, **fields: Any) -> None:
        """An exception by its type and place; its text may hold values and is left out (of our own, the code stays)."""
        if isinstance(error, InseamError):
            fields["problems"] = [f"{problem.code} {problem.subject}" for problem in error.problems]
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else None
        self.say("error", event="failure", error=type(error).__name__, place=place, **fields)

    def flush(self) -> None:
        lines: list[bytes] = []
        while self._lines:
            level, at, fields = self._lines.popleft()
            lines.append(self._encoder.encode({"at": format_instant(at), "level": level, "pid": os.getpid(), **fields}))
        self._written += len(lines)
        lost = self._said - self._written - len(self._lines)
        if lost > 0:
            self._written += lost
            lines.append(self._encoder.encode({"level": "warning", "event": "journal.lost", "lines": lost}))
        if lines:
            try:
                os.write(self._descriptor, b"\n".join(lines) + b"\n")
            except OSError:
                self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_FLUSH_SECONDS):
            self.flush()


class JsonFormatter(logging.Formatter):
    """Records of the standard library's loggers in the journal's form."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": format_instant(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


LOG_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
}
"""For uvicorn."""
