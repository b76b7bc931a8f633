"""State stores: every access behaves as if it went to the host at once, but those of a batch travel together."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar, cast, overload

from . import columns as packed
from . import serdes
from .columns import split, times, words
from .errors import Fatal
from .host import CursorHandle, Entries, Host, Keys, Values
from .record import Record, checked_timestamp
from .serdes import Serde, as_bytes, decode
from .text import well_formed
from .unfinished import check_finished, refuse_unfinished

if TYPE_CHECKING:
    from .batch import Batch
    from .output import Output

K = TypeVar("K")
V = TypeVar("V")


#: What messages call the argument of `KeyValueStore.read_ahead`.
_CHOOSER = "what chooses the keys to read ahead"


class Order(Enum):
    """In which direction a walk goes."""

    #: From the lowest key to the highest.
    ASCENDING = "ascending"
    #: From the highest key to the lowest.
    DESCENDING = "descending"


class Entry(NamedTuple, Generic[K, V]):
    """An entry of a store."""

    key: K
    value: V
    #: The timestamp kept with the value; -1 in a store that keeps none.
    timestamp: int


class _Unknown:
    """What stands for a value that has not been read."""


_UNKNOWN: Any = _Unknown()


#: What a record replaced, to undo it: its row, the key, the value (or `_UNKNOWN`), and the timestamp of the write that
#: was not the host's yet (None: the value was). A plain tuple, because there is one for each write.
Replaced: TypeAlias = tuple[int, bytes, Any, "int | None"]


class Cache:
    """What a call has read and written of a store.

    Invariants: a key that is in `dirty` differs from the host's value (or may); one that is in `known` only equals it.
    Undoing the journal backwards, down to a row, gives the state before that row."""

    def __init__(self, host: Host, name: str, output: Output) -> None:
        self.host = host
        self.handle = host.open_store(well_formed(name))
        self.output = output
        self.known: dict[bytes, bytes | None] = {}
        #: The timestamps of what was written and is not the host's yet.
        self.dirty: dict[bytes, int] = {}
        self.journal: list[Replaced] = []
        #: The timestamps of what was read: by key, and of pages that nobody has asked for a timestamp yet.
        self.stamps: dict[bytes, int] = {}
        self.pages: list[tuple[Sequence[bytes], array[int]]] = []
        #: The timestamp of a punctuation.
        self.time = 0

    def fetch(self, key: bytes) -> bytes | None:
        """Asks the host for a value that is not known."""
        stored = self.handle.get(key)
        value = self.known[key] = None if stored is None else stored.value
        if stored is not None:
            self.stamps[key] = stored.timestamp
        return value

    def stamp(self, key: bytes) -> int:
        """The timestamp of a value that is known."""
        for keys, stamps in self.pages:
            for known, timestamp in zip(keys, stamps):
                self.stamps.setdefault(known, timestamp)
        self.pages.clear()
        return self.dirty.get(key, self.stamps.get(key, -1))

    def put(self, key: bytes, value: bytes | None, timestamp: int | None) -> None:
        """Notes a write, with the timestamp of the record that is processed unless one is given."""
        output, dirty, known = self.output, self.dirty, self.known
        row = output.first_row + len(output.marks)
        if timestamp is None:
            if output.is_between_rows:
                raise TypeError(
                    "in process_batch a write needs its timestamp: put_at, put_columns, or within context.row"
                )
            batch = output.batch
            timestamp = self.time if batch is None else batch.timestamps[row]
        self.journal.append((row, key, known.get(key, _UNKNOWN), dirty.get(key)))
        known[key] = value
        dirty[key] = timestamp

    def ask(self, keys: Sequence[bytes]) -> Values:
        """Asks the host for many values."""
        found = self.handle.get_many(Keys(*self.packed_keys(keys)))
        self.pages.append((keys, times(found.timestamps)))
        return found

    def packed_keys(self, keys: Sequence[bytes]) -> tuple[bytes, bytes]:
        """Keys as columns; those of the batch are there already."""
        batch = self.output.batch
        if batch is not None and keys is batch.keys:
            return batch._keys.packed
        return packed.join(keys)

    def read_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `ask`, as bytes."""
        found = self.ask(keys)
        return packed.with_nulls(split(found.values, words(found.value_ends)), found.nulls, 1)

    def read_ahead(self, keys: Iterable[bytes]) -> None:
        """Reads those keys that are not known, in one call."""
        known = self.known
        wanted = [key for key in dict.fromkeys(keys) if key not in known]
        if wanted:
            known.update(zip(wanted, self.read_many(wanted)))

    def write_back(self) -> None:
        """Gives all writes to the host. The current record may go on, and may still be taken back."""
        if not self.dirty:
            return
        self._learn_replaced()
        dirty, known = self.dirty, self.known
        keys = list(dirty)
        values = [known[key] for key in keys]
        nulls = bytes(value is None for value in values) if None in values else b""
        joined = packed.join_with_nulls(values) if nulls else packed.join(values)  # type: ignore[arg-type]
        stamps = packed.pack_times(dirty.values())
        self.handle.put_many(Entries(*packed.join(keys), *joined, nulls, stamps))
        self.stamp(b"")
        self.stamps.update(dirty)
        dirty.clear()
        # What the record replaced is no longer what the host has: undoing makes the entry dirty.
        row, journal = self.output.row(), self.journal
        for index in range(len(journal) - 1, -1, -1):
            own_row, key, value, dirty_timestamp = journal[index]
            if own_row != row:
                break
            if dirty_timestamp is None:
                journal[index] = (row, key, value, max(self.stamps.get(key, 0), 0))

    def _learn_replaced(self) -> None:
        """Reads what the current record replaced without having read it, so that it can be taken back after the host
        has the new value."""
        row, journal = self.output.row(), self.journal
        places = [i for i, replaced in enumerate(journal) if replaced[0] == row and replaced[2] is _UNKNOWN]
        if places:
            keys = [journal[place][1] for place in places]
            values = self.read_many(keys)
            for place, key, value, stamp in zip(places, keys, values, self.pages[-1][1]):
                journal[place] = (row, key, value, max(stamp, 0))

    def take_back(self) -> None:
        """Undoes what the current record wrote."""
        row, journal = self.output.row(), self.journal
        while journal and journal[-1][0] == row:
            _, key, value, dirty_timestamp = journal.pop()
            if value is _UNKNOWN:
                self.known.pop(key, None)
            else:
                self.known[key] = value
            if dirty_timestamp is None:
                self.dirty.pop(key, None)
            else:
                self.dirty[key] = dirty_timestamp

    def end(self) -> None:
        """Ends a call: writes go to the host, and what was read is forgotten, because others may change it."""
        self.journal.clear()
        self.write_back()
        self.known.clear()
        self.stamps.clear()
        self.pages.clear()


class KeyValueStore(Generic[K, V]):
    """A key-value store of the task, opened by `Setup.store`. Its keys and values are of the types of its serdes.

    A store without a serde takes text where it takes bytes, and says so in a signature of its own.

    Reads see every write that this task made before. What a record wrote is taken back when its processing fails. Keys
    are ordered by their bytes. Writes carry the timestamp of the record that is processed, unless another is given, and
    go to the host once a batch."""

    def __init__(self, name: str, cache: Cache, keys: Serde[K], values: Serde[V]) -> None:
        #: The store's name.
        self.name = name
        self._cache = cache
        self._known = cache.known
        self._keys = keys
        self._values = values
        self._encode_key: Callable[[K], bytes] = keys.encode
        self._decode_value: Callable[[bytes], V] = values.decode
        self._is_raw = values is serdes.raw
        self._choose: Callable[[Record], Iterable[K]] | None = None
        self._reads_ahead = False

    def read_ahead(self, choose: Callable[[Record], Iterable[K]] | None = None) -> KeyValueStore[K, V]:
        """Reads the entries of all records' keys at the beginning of each batch, in one call of the host. For a
        processor that looks up the key of every record. With `choose`, reads the keys that it gives for a record
        instead; what it raises is raised as by `process`, for that record."""
        self._reads_ahead = True
        if choose is not None:
            refuse_unfinished(_CHOOSER, choose, may_generate=True)
        self._choose = choose
        return self

    def get(self, key: K) -> V | None:
        """The value of `key`, or None."""
        data = self._encode_key(key)
        try:
            value = self._known[data]
        except KeyError:
            value = self._cache.fetch(data)
        if value is None or self._is_raw:
            return value  # type: ignore[return-value]
        try:
            return self._decode_value(value)
        except Exception as error:
            raise serdes.unreadable(error, "what the store holds") from None

    def get_with_timestamp(self, key: K) -> tuple[V, int] | None:
        """The value of `key` with its timestamp, which is -1 in a store that keeps none; or None."""
        value = self.get(key)
        return None if value is None else (value, self._cache.stamp(self._encode_key(key)))

    def get_many(self, keys: Sequence[K]) -> list[V | None]:
        """The values of many keys, None for those that are not there, in one call of the host."""
        data = self._encode_keys(keys)
        cache, known = self._cache, self._known
        if known:
            cache.read_ahead(data)
            return self._read_all([known[key] for key in data])
        found = cache.ask(data)
        if not self._is_raw:
            read = serdes.read_with_nulls(found.values, found.value_ends, found.nulls, self._values)
            if read is not None:
                return read
        pieces = split(found.values, words(found.value_ends))
        return self._read_all(packed.with_nulls(pieces, found.nulls, 1))

    def _read_all(self, values: list[bytes | None]) -> list[V | None]:
        serde = self._values
        if self._is_raw:
            return values  # type: ignore[return-value]
        return [None if value is None else decode(value, serde, "what the store holds") for value in values]

    def _encode_keys(self, keys: Sequence[K]) -> Sequence[bytes]:
        if self._keys is serdes.raw and set(map(type, keys)) <= {bytes}:
            return cast("Sequence[bytes]", keys)
        return list(map(self._encode_key, keys))

    @overload
    def put(self: KeyValueStore[K, bytes], key: K, value: bytes | str | None) -> None: ...
    @overload
    def put(self, key: K, value: V | None) -> None: ...
    def put(self, key: K, value: Any) -> None:
        """Sets the value of `key`; None deletes it."""
        data = None if value is None else self._values.encode(value)
        self._cache.put(self._encode_key(key), data, None)

    @overload
    def put_at(self: KeyValueStore[K, bytes], key: K, value: bytes | str | None, timestamp: int) -> None: ...
    @overload
    def put_at(self, key: K, value: V | None, timestamp: int) -> None: ...
    def put_at(self, key: K, value: Any, timestamp: int) -> None:
        """As `put`, with another timestamp than that of the record."""
        data = None if value is None else self._values.encode(value)
        self._cache.put(self._encode_key(key), data, checked_timestamp(timestamp))

    @overload
    def put_many(self: KeyValueStore[K, bytes], entries: Iterable[tuple[K, bytes | str | None]]) -> None: ...
    @overload
    def put_many(self, entries: Iterable[tuple[K, V | None]]) -> None: ...
    def put_many(self, entries: Iterable[tuple[K, Any]]) -> None:
        """Sets the values of many keys; they go to the host in one call with all other writes of the batch."""
        for key, value in entries:
            self.put(key, value)

    @overload
    def put_columns(
        self: KeyValueStore[K, bytes], keys: Sequence[K], values: Sequence[bytes | str], timestamps: Sequence[int]
    ) -> None: ...
    @overload
    def put_columns(self, keys: Sequence[K], values: Sequence[V], timestamps: Sequence[int]) -> None: ...
    def put_columns(self, keys: Sequence[K], values: Sequence[Any], timestamps: Sequence[int]) -> None:
        """For `process_batch`: sets the values of many keys at once, each with its timestamp; of a key that occurs
        again the last one counts. Quicker than one by one."""
        cache = self._cache
        cache.write_back()
        write_column = serdes.column_writer(self._values)
        joined = write_column(values) if write_column is not None else None
        if joined is None:
            joined = packed.join(list(map(self._values.encode, values)))
        data = self._encode_keys(keys)
        cache.handle.put_many(Entries(*cache.packed_keys(data), *joined, b"", packed.pack_times(timestamps)))
        if cache.known:
            for key in data:
                cache.known.pop(key, None)

    @overload
    def put_if_absent(self: KeyValueStore[K, bytes], key: K, value: bytes | str) -> bytes | None: ...
    @overload
    def put_if_absent(self, key: K, value: V) -> V | None: ...
    def put_if_absent(self, key: K, value: Any) -> Any:
        """Sets the value of `key` if there is none; returns what was there, or None."""
        found = self.get(key)
        if found is None:
            self.put(key, value)
        return found

    def delete(self, key: K) -> None:
        """Removes `key`."""
        self._cache.put(self._encode_key(key), None, None)

    def range(self, lowest: K | None, highest: K | None, order: Order = Order.ASCENDING) -> Iterator[Entry[K, V]]:
        """The entries from `lowest` to `highest`, both included; None means no bound."""
        low = None if lowest is None else self._encode_key(lowest)
        high = None if highest is None else self._encode_key(highest)
        cache = self._cache
        cache.write_back()
        return self._walk(cache.host.range(cache.handle, low, high, order.value))

    def all(self) -> Iterator[Entry[K, V]]:
        """All entries."""
        return self.range(None, None)

    def prefix(self, prefix: bytes | str, order: Order = Order.ASCENDING) -> Iterator[Entry[K, V]]:
        """The entries whose keys begin with `prefix`."""
        cache = self._cache
        cache.write_back()
        return self._walk(cache.host.prefix(cache.handle, as_bytes(prefix), order.value))

    def approximate_entries(self) -> int:
        """About how many entries the store has. Cheap."""
        self._cache.write_back()
        return self._cache.handle.approximate_entries()

    def _walk(self, cursor: CursorHandle) -> Iterator[Entry[K, V]]:
        try:
            while True:
                self._cache.write_back()
                page = cursor.next(0)
                if not page.key_ends:
                    return
                values = split(page.values, words(page.value_ends))
                entries = zip(split(page.keys, words(page.key_ends)), values, times(page.timestamps))
                for key, value, timestamp in entries:
                    decoded = decode(key, self._keys, "the key of an entry")
                    yield Entry(decoded, decode(value, self._values, "what the store holds"), timestamp)
        finally:
            cursor.__exit__(None, None, None)

    def _begin_batch(self, batch: Batch, spoiled: dict[int, Exception]) -> None:
        """Reads ahead. What choosing raises for a record goes to `spoiled`, by the record's row."""
        if not self._reads_ahead:
            return
        if self._choose is None:
            keys = [key for key in batch.keys if key is not None] if len(batch) > 1 else []
        else:
            keys = self._chosen(batch, self._choose, spoiled)
        # For one key a read ahead may be a read too many.
        if len(keys) > 1:
            self._cache.read_ahead(keys)

    def _chosen(
        self, batch: Batch, choose: Callable[[Record], Iterable[K]], spoiled: dict[int, Exception]
    ) -> list[bytes]:
        """The keys chosen for all records. A single record is asked for its keys, too: whether it fails must not depend
        on those that come with it."""
        keys: list[bytes] = []
        for row, record in enumerate(batch):
            try:
                chosen = choose(record)
                check_finished(_CHOOSER, chosen, may_generate=True)
                keys.extend(map(self._encode_key, chosen))
            except Exception as error:
                spoiled.setdefault(row, error)
        return keys


def open_cache(host: Host, name: str, output: Output) -> Cache:
    """Opens a store."""
    try:
        return Cache(host, name, output)
    except LookupError as error:
        raise Fatal(error.args[0]) from None
