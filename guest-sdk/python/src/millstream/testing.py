"""Native unit tests of a processor: no Wasm, no broker, a clock that stands still until it is told otherwise.

test = TestProcessor(Count, stores=["counts"])
test.process(Record(b"a", None, timestamp=1))
assert test.stored("counts", "a", serdes.long) == 1
assert [record.value_as(serdes.long) for record in test.take_forwarded()] == [1]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, overload

from . import serdes
from .batch import Batch
from .columns import pack_records
from .context import PunctuationType
from .errors import Error
from .log import log_to
from .processor import PLUGIN, Processor
from .record import Record
from .running import Running
from .serdes import Serde, as_bytes, decode
from .stand_in import StandIn, StandInStored

T = TypeVar("T")


class Forwarded(NamedTuple):
    """A record that was forwarded, and to which child; None means to all."""

    record: Record
    child: str | None


class _Setup(NamedTuple):
    processor: str
    node: str
    task: str
    config: list[tuple[str, str]]
    children: list[str]
    stores: list[str]


class TestProcessor:
    """A processor to be tested. Stream time begins at -1, wall-clock time at 0. Stores keep timestamps."""

    __test__ = False  # pytest need not look for tests in here

    def __init__(
        self,
        processor: type[Processor],
        *,
        config: Mapping[str, str] | None = None,
        children: Sequence[str] = ("child",),
        stores: Iterable[str] = (),
    ) -> None:
        """Begins the processor; raises what its `__init__` raises."""
        self._host = StandIn()
        self._children = self._host.children = list(children)
        for store in stores:
            self._host.stores[store] = {}
        log_to(lambda level, message: self._host.logged.append(f"{level}: {message}"))
        setup = _Setup(
            "processor", "node", "0_0", list((config or {}).items()), self._children, list(self._host.stores)
        )
        self._running = Running(self._host, processor, setup)

    def process(self, record: Record) -> None:
        """Gives it one record, then calls the punctuations that are due. Raises as `process` or a punctuation
        raises."""
        for _, error in self.process_batch([record]):
            raise error

    def process_batch(self, records: Sequence[Record]) -> list[tuple[int, Error]]:
        """Gives it records in one batch, then calls the punctuations that are due. Returns the rows that failed."""
        columns = pack_records(records)
        self._host.take_records(columns)
        failures = self._running.process(columns)
        self._punctuate(PunctuationType.STREAM_TIME)
        return failures

    def advance_wall_clock_time(self, by: timedelta) -> None:
        """Lets time pass on the wall clock, then calls the punctuations that are due."""
        self._host.wall_clock_time_now += by // timedelta(milliseconds=1)
        self._punctuate(PunctuationType.WALL_CLOCK_TIME)

    def _punctuate(self, kind: PunctuationType) -> None:
        for punctuation, timestamp in self._host.due(kind.value):
            if self._host.is_scheduled(punctuation):
                self._host.is_in_punctuation = True
                self._running.punctuate(punctuation, kind, timestamp)

    def close(self) -> None:
        """Calls `close`."""
        self._running.close()

    def take_forwarded_to(self) -> list[Forwarded]:
        """What was forwarded since the last call, in the order of the calls of `forward` for each child."""
        forwarded, self._host.forwarded = self._host.forwarded, []
        return [
            Forwarded(record, None if child is None else self._children[child])
            for child, columns in forwarded
            for record in Batch(columns)
        ]

    def take_forwarded(self) -> list[Record]:
        """As `take_forwarded_to`, the records only."""
        return [forwarded.record for forwarded in self.take_forwarded_to()]

    @overload
    def stored(self, store: str, key: bytes | str) -> bytes | None: ...
    @overload
    def stored(self, store: str, key: bytes | str, serde: Serde[T]) -> T | None: ...
    def stored(self, store: str, key: bytes | str, serde: Serde[Any] = serdes.raw) -> Any:
        """What a store holds for a key; None for nothing."""
        stored = self._host.store(store).get(as_bytes(key))
        return None if stored is None else decode(stored.value, serde, "what the store holds")

    def put(self, store: str, key: bytes | str, value: Any, serde: Serde[Any] = serdes.raw) -> None:
        """Puts an entry into a store."""
        self._host.store(store)[as_bytes(key)] = StandInStored(serde.encode(value), 0)

    @property
    def host_calls(self) -> int:
        """How many calls into the host the last batch made; a number to keep small."""
        return self._host.calls

    @property
    def logged(self) -> list[str]:
        """The lines logged so far: level, colon, text."""
        return self._host.logged

    @property
    def commits_requested(self) -> int:
        """How often a commit was asked for."""
        return self._host.commits


def ask_predicate(name: str, records: Sequence[Record]) -> list[bool]:
    """Asks a predicate about records."""
    return [answer == 1 for answer in PLUGIN.test(name, pack_records(records))]


def ask_key_selector(name: str, records: Sequence[Record]) -> list[bytes | None]:
    """Asks a key selector for the records' keys."""
    keys, nulls = PLUGIN.select_key(name, pack_records(records))
    own = pack_records(records)._replace(keys=keys.keys, key_ends=keys.key_ends, nulls=nulls)
    return Batch(own).keys
