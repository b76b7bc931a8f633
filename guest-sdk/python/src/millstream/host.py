"""The host, as the rest of the SDK sees it: the imports of the contract in Wasm, a stand-in in native tests."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from .columns import Columns


class Metadata(NamedTuple):
    """Where a record came from."""

    #: The topic; empty in a punctuation.
    topic: str
    #: The partition; -1 in a punctuation.
    partition: int
    #: The offset; -1 in a punctuation.
    offset: int


class Keys(NamedTuple):
    """Keys in columns; see `wit/state.wit`."""

    keys: bytes
    key_ends: bytes


class Entries(NamedTuple):
    """Entries in columns; see `wit/state.wit`."""

    keys: bytes
    key_ends: bytes
    values: bytes
    value_ends: bytes
    nulls: bytes
    timestamps: bytes


class Stored(Protocol):
    """A value that is in a store."""

    @property
    def value(self) -> bytes: ...

    @property
    def timestamp(self) -> int: ...


class Values(Protocol):
    """Values in columns; see `wit/state.wit`."""

    @property
    def values(self) -> bytes: ...

    @property
    def value_ends(self) -> bytes: ...

    @property
    def nulls(self) -> bytes: ...

    @property
    def timestamps(self) -> bytes: ...


class Page(Protocol):
    """Entries that were read."""

    @property
    def keys(self) -> bytes: ...

    @property
    def key_ends(self) -> bytes: ...

    @property
    def values(self) -> bytes: ...

    @property
    def value_ends(self) -> bytes: ...

    @property
    def timestamps(self) -> bytes: ...


class CursorHandle(Protocol):
    """An open cursor."""

    def next(self, entries_max: int, /) -> Page:
        """The next entries; none at the end."""
        ...

    def __exit__(self, *exception: object) -> object:
        """Closes it."""
        ...


class StoreHandle(Protocol):
    """An open store."""

    def get(self, key: bytes, /) -> Stored | None:
        """The value of a key."""
        ...

    def get_many(self, keys: Keys, /) -> Values:
        """The values of many keys."""
        ...

    def put_many(self, entries: Entries, /) -> None:
        """Sets or deletes many entries."""
        ...

    def approximate_entries(self) -> int:
        """About how many entries there are."""
        ...


class Host(Protocol):
    """What a plugin can ask the host for."""

    def forward(self, child: int | None, columns: Columns, rows: bytes, /) -> None:
        """Forwards to one child, or to all."""
        ...

    def child(self, name: str, /) -> int | None:
        """The index of the child with that name."""
        ...

    def schedule(self, start: int | None, interval_ms: int, kind: str, /) -> int:
        """Schedules a punctuation; raises ValueError with the host's text."""
        ...

    def cancel(self, punctuation: int, /) -> None:
        """Ends a punctuation."""
        ...

    def stream_time(self, row: int, /) -> int:
        """The stream time at a row."""
        ...

    def wall_clock_time(self) -> int:
        """The wall-clock time."""
        ...

    def metadata(self, row: int, /) -> Metadata | None:
        """Where the record at a row came from."""
        ...

    def commit(self) -> None:
        """Asks for a commit."""
        ...

    def open_store(self, name: str, /) -> StoreHandle:
        """Opens a store; raises LookupError with what to do."""
        ...

    def range(self, store: Any, lowest: bytes | None, highest: bytes | None, order: str, /) -> CursorHandle:
        """Opens a cursor over a range."""
        ...

    def prefix(self, store: Any, prefix: bytes, order: str, /) -> CursorHandle:
        """Opens a cursor over a prefix."""
        ...
