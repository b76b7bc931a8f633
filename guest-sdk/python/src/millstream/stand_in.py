"""The stand-in for the host in native tests: what the imports of the contract do, in memory."""

from __future__ import annotations

from typing import NamedTuple

from .columns import (
    KEY_IS_NULL,
    KEY_IS_OF_ROW,
    VALUE_IS_NULL,
    VALUE_IS_OF_ROW,
    Columns,
    OwnColumns,
    join,
    join_null_bits,
    join_with_nulls,
    null_bits,
    pack_times,
    split,
    times,
    with_nulls,
    words,
)
from .host import Entries, Keys, Metadata

#: How many entries a cursor returns at once; few, so that tests turn pages.
_PAGE_ENTRIES = 3


class StandInStored(NamedTuple):
    """A value and its timestamp."""

    value: bytes
    timestamp: int


class _Schedule:
    def __init__(self, id: int, kind: str, interval: int, due: int) -> None:
        self.id, self.kind, self.interval, self.due = id, kind, interval, due


def _keys_of(columns: Columns) -> list[bytes | None]:
    pieces = split(columns.keys, words(columns.key_ends))
    return with_nulls(pieces, columns.nulls, KEY_IS_NULL)


def _values_of(columns: Columns) -> list[bytes | None]:
    pieces = split(columns.values, words(columns.value_ends))
    return with_nulls(pieces, columns.nulls, VALUE_IS_NULL)


class StandIn:
    """One host, for one test."""

    def __init__(self) -> None:
        self.children: list[str] = []
        self.stores: dict[str, dict[bytes, StandInStored]] = {}
        self.forwarded: list[tuple[int | None, Columns]] = []
        #: The batch that is processed.
        self.input: Columns | None = None
        self.schedules: list[_Schedule] = []
        self.next_id = 0
        self.stream_times: list[int] = []
        self.stream_time_now = -1
        self.wall_clock_time_now = 0
        self.is_in_punctuation = False
        self.logged: list[str] = []
        self.commits = 0
        self.calls = 0

    # === For the tests ===

    def take_records(self, columns: Columns) -> None:
        """Records come in."""
        self.input = columns
        self.calls = 0
        self.is_in_punctuation = False
        self.stream_times = []
        for timestamp in times(columns.timestamps):
            self.stream_time_now = max(self.stream_time_now, timestamp)
            self.stream_times.append(self.stream_time_now)

    def due(self, kind: str) -> list[tuple[int, int]]:
        """The punctuations that are due, each once, and the time now; missed intervals are skipped."""
        now = self._now(kind)
        found = []
        for schedule in self.schedules:
            if schedule.kind == kind and now >= 0 and schedule.due <= now:
                found.append((schedule.id, now))
                schedule.due += ((now - schedule.due) // schedule.interval + 1) * schedule.interval
        return found

    def is_scheduled(self, id: int) -> bool:
        """Whether a punctuation has not been cancelled."""
        return any(schedule.id == id for schedule in self.schedules)

    def store(self, name: str) -> dict[bytes, StandInStored]:
        """The entries of a store."""
        if name not in self.stores:
            raise LookupError(f"there is no store `{name}`: name it among the `stores` of the test")
        return self.stores[name]

    def _now(self, kind: str) -> int:
        return self.stream_time_now if kind == "stream-time" else self.wall_clock_time_now

    # === What the guest calls ===

    def forward(self, child: int | None, columns: Columns, rows: bytes) -> None:
        """Takes records."""
        self.calls += 1
        length = len(columns.timestamps) // 8
        agrees = len(columns.key_ends) == length * 4 and len(columns.value_ends) == length * 4
        if not agrees or len(rows) not in (0, length * 4):
            raise ValueError("the columns of a batch disagree")
        self.forwarded.append((child, self._whole(columns, rows)))

    def _whole(self, columns: Columns, rows: bytes) -> Columns:
        """What is forwarded, with the keys and values that are those of rows of the input."""
        if max(columns.nulls, default=0) <= KEY_IS_NULL | VALUE_IS_NULL:
            return columns
        given = self.input
        if given is None or self.is_in_punctuation:
            raise ValueError("there is no row in a punctuation")
        numbers = words(rows) if rows else range(len(columns.nulls))

        def resolved(own: list[bytes | None], of_rows: list[bytes | None], bit: int) -> list[bytes | None]:
            found = []
            for row, flags, entry in zip(numbers, columns.nulls, own):
                if flags & bit and entry != b"":
                    raise ValueError("what is that of the row takes no bytes, and is not null")
                found.append(of_rows[row] if flags & bit else entry)
            return found

        keys = resolved(_keys_of(columns), _keys_of(given), KEY_IS_OF_ROW)
        values = resolved(_values_of(columns), _values_of(given), VALUE_IS_OF_ROW)
        nulls = join_null_bits(len(keys), null_bits(keys, KEY_IS_NULL), null_bits(values, VALUE_IS_NULL))
        return OwnColumns(
            *join_with_nulls(keys), *join_with_nulls(values), columns.timestamps, nulls, columns.headers
        )

    def child(self, name: str) -> int | None:
        """Finds a child."""
        self.calls += 1
        return self.children.index(name) if name in self.children else None

    def schedule(self, start: int | None, interval_ms: int, kind: str) -> int:
        """Schedules a punctuation."""
        self.calls += 1
        now = self._now(kind)
        if start is None:
            due = 0 if kind == "stream-time" else now + interval_ms
        elif start < 0:
            raise ValueError("the start must not be negative")
        else:
            due = start if start >= now else start + ((now - start) // interval_ms + 1) * interval_ms
        self.schedules.append(_Schedule(self.next_id, kind, interval_ms, due))
        self.next_id += 1
        return self.next_id - 1

    def cancel(self, punctuation: int) -> None:
        """Ends a punctuation."""
        self.calls += 1
        self.schedules = [schedule for schedule in self.schedules if schedule.id != punctuation]

    def stream_time(self, row: int) -> int:
        """The stream time at a row."""
        self.calls += 1
        is_row = not self.is_in_punctuation and row < len(self.stream_times)
        return self.stream_times[row] if is_row else self.stream_time_now

    def wall_clock_time(self) -> int:
        """The wall-clock time."""
        self.calls += 1
        return self.wall_clock_time_now

    def metadata(self, row: int) -> Metadata | None:
        """Records of a test come from partition 0 of a topic `test`, and each batch begins at offset 0."""
        self.calls += 1
        if self.is_in_punctuation:
            return Metadata("", -1, -1)
        return Metadata("test", 0, row) if row < len(self.stream_times) else None

    def commit(self) -> None:
        """Counts."""
        self.calls += 1
        self.commits += 1

    def open_store(self, name: str) -> StandInStore:
        """Opens a store."""
        self.calls += 1
        if name not in self.stores:
            raise LookupError(f"there is no store `{name}`: declare it in the manifest")
        return StandInStore(self, name)

    def range(self, store: StandInStore, lowest: bytes | None, highest: bytes | None, order: str) -> StandInCursor:
        """Opens a cursor."""
        keys = (k for k in store.entries() if (lowest is None or lowest <= k) and (highest is None or k <= highest))
        return StandInCursor(store, sorted(keys, reverse=order == "descending"))

    def prefix(self, store: StandInStore, prefix: bytes, order: str) -> StandInCursor:
        """Opens a cursor."""
        keys = (key for key in store.entries() if key.startswith(prefix))
        return StandInCursor(store, sorted(keys, reverse=order == "descending"))


class _Values(NamedTuple):
    values: bytes
    value_ends: bytes
    nulls: bytes
    timestamps: bytes


class StandInStore:
    """An open store."""

    def __init__(self, host: StandIn, name: str) -> None:
        self.host = host
        self.name = name

    def entries(self) -> dict[bytes, StandInStored]:
        """The entries, asked for by the guest."""
        self.host.calls += 1
        return self.host.store(self.name)

    def get(self, key: bytes) -> StandInStored | None:
        """The value of a key."""
        return self.entries().get(key)

    def get_many(self, keys: Keys) -> _Values:
        """The values of many keys."""
        entries = self.entries()
        found = [entries.get(key) for key in split(keys.keys, words(keys.key_ends))]
        values = join([b"" if stored is None else stored.value for stored in found])
        stamps = pack_times(-1 if stored is None else stored.timestamp for stored in found)
        return _Values(*values, bytes(stored is None for stored in found), stamps)

    def put_many(self, given: Entries) -> None:
        """Sets or deletes many entries."""
        entries = self.entries()
        keys = split(given.keys, words(given.key_ends))
        values = with_nulls(split(given.values, words(given.value_ends)), given.nulls, 1)
        for key, value, timestamp in zip(keys, values, times(given.timestamps), strict=True):
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = StandInStored(value, timestamp)

    def approximate_entries(self) -> int:
        """How many there are."""
        return len(self.entries())


class StandInCursor:
    """An open cursor."""

    def __init__(self, store: StandInStore, keys: list[bytes]) -> None:
        self.store = store
        self.rest = keys

    def next(self, entries_max: int) -> Entries:
        """The next page."""
        entries = self.store.entries()
        page = [key for key in self.rest[:_PAGE_ENTRIES] if key in entries]
        self.rest = self.rest[_PAGE_ENTRIES:]
        found = [entries[key] for key in page]
        stamps = pack_times(stored.timestamp for stored in found)
        return Entries(*join(page), *join([stored.value for stored in found]), b"", stamps)

    def __exit__(self, *exception: object) -> None:
        """Closes it."""
