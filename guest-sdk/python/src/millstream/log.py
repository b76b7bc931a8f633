"""Lines for the log of the host. The standard library's `logging`, and `print`, end there, too."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

_LEVELS = ("trace", "debug", "info", "warn", "error")


def _to_standard_error(level: str, message: str) -> None:
    sys.stderr.write(f"{level}: {message}\n")


_write: Callable[[str, str], None] = _to_standard_error


def log_to(write: Callable[[str, str], None]) -> None:
    """Where lines go: the host's `log`, or that of a test."""
    global _write
    _write = write


def trace(message: object) -> None:
    """Writes a line at level `trace`."""
    _write("trace", str(message))


def debug(message: object) -> None:
    """Writes a line at level `debug`."""
    _write("debug", str(message))


def info(message: object) -> None:
    """Writes a line at level `info`."""
    _write("info", str(message))


def warn(message: object) -> None:
    """Writes a line at level `warn`."""
    _write("warn", str(message))


def error(message: object) -> None:
    """Writes a line at level `error`."""
    _write("error", str(message))


class HostHandler(logging.Handler):
    """Takes what the standard library's `logging` is given to the host."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record, its traceback included."""
        for line in self.format(record).splitlines():
            _write(_level_of(record.levelno), line)


def _level_of(number: int) -> str:
    return _LEVELS[min(max(number // 10, 0), 4)]
