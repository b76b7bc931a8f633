"""What a processor can do besides reading and writing stores: forward, schedule, and ask where and when it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from . import log
from .batch import Batch
from .errors import Error, Fatal, lines_of, reason_of
from .host import Host, Metadata
from .output import RECORDS_MAX, Output, ToChild
from .record import Record
from .serdes import Serde
from .store import Cache, KeyValueStore, open_cache
from .unfinished import check_finished, refuse_unfinished

_MILLISECOND = timedelta(milliseconds=1)


class PunctuationType(Enum):
    """Which time a punctuation follows."""

    #: The task's stream time: the highest timestamp of its records. It stands still without records.
    STREAM_TIME = "stream-time"
    #: The time of the machine's clock.
    WALL_CLOCK_TIME = "wall-clock-time"


class Punctuation(NamedTuple):
    """A punctuation that was scheduled."""

    id: int


@dataclass(frozen=True)
class Child:
    """A node below this one; `Setup.child` finds it."""

    index: int
    name: str


#: What is called when a punctuation is due, with the stream time or wall-clock time now. It may raise as `process` may.
Punctuator: TypeAlias = Callable[[int, "Context"], None]


class Context:
    """What a processor can do while it is called."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._output = Output(host)
        self._caches: dict[str, Cache] = {}
        self._stores: list[KeyValueStore[Any, Any]] = []
        self._punctuators: dict[int, Punctuator] = {}
        self._failures: list[tuple[int, Error]] = []
        #: What choosing the keys to read ahead has raised, by row.
        self._spoiled: dict[int, Exception] = {}
        # The method below, without the call of it.
        self.forward = self._output.records.append  # type: ignore[method-assign, assignment]

    def forward(self, record: Record) -> None:
        """Forwards a record to every child. Children get it after the call."""
        self._output.records.append(record)

    def forward_to(self, child: Child, record: Record) -> None:
        """Forwards a record to one child."""
        self._output.names_children = True
        self._output.records.append(ToChild(child.index, record))

    def forward_batch(self, batch: Batch) -> None:
        """In `process_batch`: forwards the batch that came in, or one made from it, to every child."""
        self._output.forward_batch(None, batch)

    def forward_batch_to(self, child: Child, batch: Batch) -> None:
        """As `forward_batch`, to one child."""
        self._output.forward_batch(child.index, batch)

    def schedule(self, interval: timedelta, kind: PunctuationType, punctuator: Punctuator | None = None) -> Punctuation:
        """Calls `punctuator`, or without one the processor's `punctuate`, every `interval`. By stream time first as
        soon as the stream time is known, by wall-clock time after one interval; intervals that nobody had time for
        are skipped."""
        return self._schedule(None, interval, kind, punctuator)

    def schedule_at(
        self, start: int, interval: timedelta, kind: PunctuationType, punctuator: Punctuator | None = None
    ) -> Punctuation:
        """As `schedule`, first due at `start` (milliseconds), and in that rhythm."""
        return self._schedule(start, interval, kind, punctuator)

    def _schedule(
        self, start: int | None, interval: timedelta, kind: PunctuationType, punctuator: Punctuator | None
    ) -> Punctuation:
        interval_ms = interval // _MILLISECOND
        if punctuator is not None:
            refuse_unfinished("a punctuator", punctuator)
        if interval_ms < 1:
            raise Fatal("the interval must be 1 ms or more")
        try:
            punctuation = Punctuation(self._host.schedule(start, interval_ms, kind.value))
        except ValueError as error:
            raise Fatal(error) from None
        if punctuator is not None:
            self._punctuators[punctuation.id] = punctuator
        return punctuation

    def cancel(self, punctuation: Punctuation) -> None:
        """Ends a punctuation; it may be the one that is being called."""
        self._host.cancel(punctuation.id)
        self._punctuators.pop(punctuation.id, None)

    def stream_time(self) -> int:
        """The task's stream time at the record that is processed; -1 before any record."""
        return self._host.stream_time(self._output.row())

    def wall_clock_time(self) -> int:
        """The wall-clock time, in milliseconds; it stands still during a batch."""
        return self._host.wall_clock_time()

    def metadata(self) -> Metadata | None:
        """Where the record that is processed came from; empty topic and -1 in a punctuation, None in the beginning."""
        return self._host.metadata(self._output.row())

    def commit(self) -> None:
        """Asks for a commit soon."""
        self._host.commit()

    def row(self, row: int, work: Callable[[Context], None]) -> bool:
        """In `process_batch`: does the work for the record at `row`. What `work` forwards and writes belongs to that
        record, and is taken back if it raises. False when the rest of the batch must not be processed. Rows must
        ascend."""
        output = self._output
        output.skip_to(row)
        was_between, output.is_between_rows = output.is_between_rows, False
        goes_on = True
        try:
            check_finished("what `Context.row` calls", work(self))  # type: ignore[func-returns-value]
        except Exception as error:
            goes_on = self._fail(error)
        output.is_between_rows = was_between
        output.marks.append(len(output.records))
        if len(output.records) > RECORDS_MAX:
            output.hand_over()
        return goes_on

    # === For the calls from the host ===

    def _open_store(self, name: str, keys: Serde[Any], values: Serde[Any]) -> KeyValueStore[Any, Any]:
        cache = self._caches.get(name)
        if cache is None:
            cache = self._caches[name] = open_cache(self._host, name, self._output)
        store = KeyValueStore(name, cache, keys, values)
        self._stores.append(store)
        return store

    def _begin_batch(self, batch: Batch) -> None:
        self._output.begin(batch)
        self._spoiled.clear()
        for store in self._stores:
            store._begin_batch(batch, self._spoiled)

    def _begin_punctuation(self, timestamp: int) -> None:
        self._output.begin(None)
        for cache in self._caches.values():
            cache.time = timestamp

    def _end(self) -> None:
        """Hands everything to the host."""
        self._output.hand_over()
        for cache in self._caches.values():
            cache.end()

    def _take_back(self) -> None:
        self._output.take_back()
        for cache in self._caches.values():
            cache.take_back()

    def _fail(self, error: Exception) -> bool:
        self._take_back()
        failure = as_error(error)
        self._failures.append((self._output.row(), failure))
        return failure.goes_on

    def _raise_spoiled(self) -> None:
        """Raises what the keys of the record that is processed could not be chosen for."""
        error = self._spoiled.get(self._output.row())
        if error is not None:
            raise error

    def _take_failures(self) -> list[tuple[int, Error]]:
        failures, self._failures = self._failures, []
        return failures


def as_error(error: Exception) -> Error:
    """An exception, as the host understands it. What is not the author's own error is logged with its traceback."""
    if isinstance(error, Error):
        return error
    for line in lines_of(error):
        log.error(line)
    failure = Fatal(reason_of(error))
    failure.__traceback__ = error.__traceback__
    return failure
