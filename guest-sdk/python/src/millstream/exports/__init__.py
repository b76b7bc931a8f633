"""A plugin as the exports of the contract's worlds; `millstream build` uses it, in Wasm only."""

from __future__ import annotations

import io
import logging
import sys

from wit_world.imports import log as wit_log

from .. import log
from ..errors import Error, lines_of, reason_of
from ..text import well_formed
from . import standard_library

_LEVELS = {
    "trace": wit_log.Level.TRACE,
    "debug": wit_log.Level.DEBUG,
    "info": wit_log.Level.INFO,
    "warn": wit_log.Level.WARN,
    "error": wit_log.Level.ERROR,
}


def _write(level: str, message: str) -> None:
    wit_log.log(_LEVELS[level], well_formed(message))


def _send_all_text_to_the_host() -> None:
    """`millstream.log`, the standard library's `logging`, and what is printed, line by line."""
    log.log_to(_write)
    handler = log.HostHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


_send_all_text_to_the_host()
standard_library.import_what_is_imported_late()
standard_library.keep_time_zones()


def answer_of(error: Exception) -> str:
    """The text of an error for an answer that is an error with a text."""
    if not isinstance(error, Error):
        for line in lines_of(error):
            log.error(line)
    return reason_of(error)
