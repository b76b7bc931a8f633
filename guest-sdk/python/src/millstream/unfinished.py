"""Refuses what hands its work back instead of doing it: a coroutine or a generator that nobody would ever run."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from typing import Any

from .errors import Fatal

#: Why; ends each message.
_WHY = "a record's work ends with the call, and what it still wanted to do would never be done"


def refuse_unfinished(what: str, function: object, *, may_generate: bool = False) -> None:
    """Raises if calling `function` can only give a coroutine or a generator; where that can be told without a call."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{what} must not be async: {_WHY}")
    if not may_generate and inspect.isgeneratorfunction(function):
        raise TypeError(f"{what} must not contain `yield`: {_WHY}")


def refuse_unfinished_methods(processor: type[Any]) -> None:
    """As `refuse_unfinished`, of all that the host calls of a processor."""
    for method in ("__init__", "process", "process_batch", "punctuate", "close"):
        refuse_unfinished(f"`{method}` of `{processor.__name__}`", getattr(processor, method, None))


def check_finished(what: str, answer: object, *, may_generate: bool = False) -> None:
    """Raises if a call gave a coroutine, another awaitable or a generator."""
    is_async = isinstance(answer, (Awaitable, AsyncGenerator))
    if not is_async and (may_generate or not isinstance(answer, Generator)):
        return
    if isinstance(answer, (Coroutine, Generator)):
        # So that Python need not warn of it.
        answer.close()
    kind = "be async" if is_async else "give a generator"
    raise Fatal(f"{what} must not {kind}: {_WHY}")
