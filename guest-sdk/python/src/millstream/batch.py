"""A batch of records: the columns that came from the host, and what a processor puts in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any, TypeVar, overload

from . import columns as packed
from . import serdes
from .columns import KEY_IS_NULL, VALUE_IS_NULL, Columns, Given, OwnColumns
from .record import NO_HEADERS, Headers, Record
from .serdes import Serde

T = TypeVar("T")

_make = partial(tuple.__new__, Record)


class Column:
    """Keys or values: as packed bytes, as a list of bytes, or as both."""

    __slots__ = ("_ends", "_list", "_may_have_null", "_packed", "bit", "is_of_rows", "nulls")

    def __init__(
        self,
        data: tuple[bytes, bytes] | None,
        entries: list[bytes | None] | None,
        nulls: bytes,
        bit: int,
        is_of_rows: bool = False,
    ) -> None:
        self._packed = data
        self._list = entries
        self._ends: Sequence[int] | None = None
        self._may_have_null = data is None or len(nulls) > 0
        self.nulls = nulls
        self.bit = bit
        #: Whether all are those of the rows that the host has given.
        self.is_of_rows = is_of_rows

    @property
    def entries(self) -> list[bytes | None]:
        """The entries."""
        if self._list is None:
            data, _ = self.packed
            ends = self._numbers()
            # One entry needs no splitting.
            pieces = [data] if len(ends) == 1 else packed.split(data, ends)
            self._list = packed.with_nulls(pieces, self.nulls, self.bit) if self.nulls else pieces  # type: ignore[assignment]
        return self._list  # type: ignore[return-value]

    @property
    def packed(self) -> tuple[bytes, bytes]:
        """The bytes of all entries and their ends."""
        if self._packed is None:
            self._packed = packed.join_with_nulls(self._list or [])
        return self._packed

    def has_null(self) -> bool:
        """Whether an entry is None."""
        return self._may_have_null and None in self.entries

    def read(self, serde: Serde[T], what: str) -> list[T]:
        """The entries, read by a serde."""
        read_column = serdes.column_reader(serde)
        if read_column is not None and not self.has_null():
            found = read_column(*self.packed)
            if found is not None:
                return found
        return serdes.decode_all(self.entries, serde, what)

    def select(self, rows: Sequence[int]) -> Column:
        """Only these entries."""
        entries = self.entries
        return Column(None, [entries[row] for row in rows], b"", self.bit, self.is_of_rows)

    def forwarded(self, length: int) -> tuple[bytes, bytes]:
        """The bytes of all entries and their ends, as the host takes them."""
        return packed.of_rows(length) if self.is_of_rows else self.packed

    def null_bits(self) -> int | list[int]:
        """What it has in the column of nulls, as the host takes it."""
        if self.is_of_rows:
            return packed.KEY_IS_OF_ROW if self.bit == KEY_IS_NULL else packed.VALUE_IS_OF_ROW
        return packed.null_bits(self.entries, self.bit) if self.has_null() else 0

    def _numbers(self) -> Sequence[int]:
        if self._ends is None:
            self._ends = packed.words(self.packed[1])
        return self._ends


class Batch:
    """A batch of records, as columns. It never changes: `with_keys`, `with_values` and `select` give another one, which
    shares what they don't change; reading and writing whole columns costs a fraction of what the records cost one by
    one."""

    __slots__ = ("_columns", "_given", "_headers", "_keys", "_length", "_rows", "_source", "_timestamps", "_values")

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._length = len(columns.timestamps) >> 3
        self._keys = Column((columns.keys, columns.key_ends), None, columns.nulls, KEY_IS_NULL, True)
        self._values = Column((columns.values, columns.value_ends), None, columns.nulls, VALUE_IS_NULL, True)
        self._timestamps: list[int] | None = None
        self._headers: list[Headers] | None = None
        self._rows: list[int] | None = None
        self._given: Given | None = None
        self._source = self

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Record]:
        """The records, in their order."""
        headers = self.headers if self._columns.headers else repeat(NO_HEADERS)
        return map(_make, zip(self._keys.entries, self._values.entries, self.timestamps, headers))

    def record(self, index: int) -> Record:
        """The record at an index."""
        headers = self.headers[index] if self._columns.headers else NO_HEADERS
        return Record(self._keys.entries[index], self._values.entries[index], self.timestamps[index], headers)

    @property
    def keys(self) -> list[bytes | None]:
        """All keys. Don't change the list."""
        return self._keys.entries

    @property
    def values(self) -> list[bytes | None]:
        """All values. Don't change the list."""
        return self._values.entries

    @property
    def timestamps(self) -> list[int]:
        """All timestamps. Don't change the list."""
        if self._timestamps is None:
            self._timestamps = packed.times(self._columns.timestamps).tolist()
        return self._timestamps

    @property
    def headers(self) -> list[Headers]:
        """All headers. Don't change the list."""
        if self._headers is None:
            found = packed.split_headers(self._columns.headers)
            self._headers = [found.get(row, NO_HEADERS) for row in range(self._length)]
        return self._headers

    def keys_as(self, serde: Serde[T]) -> list[T]:
        """All keys, read by a serde; `Fatal` for the first that is None (unless the serde is `optional`) or has another
        form."""
        return self._keys.read(serde, "the key")

    def values_as(self, serde: Serde[T]) -> list[T]:
        """All values, as `keys_as`."""
        return self._values.read(serde, "the value")

    @overload
    def with_keys(self, keys: Sequence[bytes | str | None]) -> Batch: ...
    @overload
    def with_keys(self, keys: Sequence[T], serde: Serde[T]) -> Batch: ...
    def with_keys(self, keys: Sequence[Any], serde: Serde[T] | None = None) -> Batch:
        """With other keys, as many as there are records: bytes, text, None, or what `serde` writes."""
        batch = self._copy()
        batch._keys = self._written(keys, serde, KEY_IS_NULL)
        return batch

    @overload
    def with_values(self, values: Sequence[bytes | str | None]) -> Batch: ...
    @overload
    def with_values(self, values: Sequence[T], serde: Serde[T]) -> Batch: ...
    def with_values(self, values: Sequence[Any], serde: Serde[T] | None = None) -> Batch:
        """With other values, as `with_keys`."""
        batch = self._copy()
        batch._values = self._written(values, serde, VALUE_IS_NULL)
        return batch

    def select(self, indices: Sequence[int]) -> Batch:
        """Only the records at these indices, in this order."""
        batch = self._copy()
        batch._length = len(indices)
        batch._rows = [self._rows[index] for index in indices] if self._rows is not None else list(indices)
        batch._keys = self._keys.select(indices)
        batch._values = self._values.select(indices)
        timestamps, headers = self.timestamps, self.headers
        batch._timestamps = [timestamps[index] for index in indices]
        batch._headers = [headers[index] for index in indices]
        return batch

    def _copy(self) -> Batch:
        batch: Batch = Batch.__new__(Batch)
        for name in Batch.__slots__:
            setattr(batch, name, getattr(self, name))
        return batch

    def _written(self, entries: Sequence[Any], serde: Serde[T] | None, bit: int) -> Column:
        if len(entries) != self._length:
            raise ValueError(f"{len(entries)} entries for {self._length} records")
        if serde is not None:
            write_column = serdes.column_writer(serde)
            written = write_column(entries) if write_column is not None else None
            if written is not None:
                return Column(written, None, b"", bit)
        return Column(None, [serdes.encode(entry, serde) for entry in entries], b"", bit)

    # === For the SDK ===

    def _as_given(self) -> Given:
        """The batch that came in, in both forms."""
        if self._given is None:
            self._given = Given(self._columns, self._keys.entries, self._values.entries, self.timestamps)
        return self._given

    def _pack(self) -> OwnColumns:
        """What goes to the host."""
        keys, values = self._keys.forwarded(self._length), self._values.forwarded(self._length)
        nulls = packed.join_null_bits(self._length, self._keys.null_bits(), self._values.null_bits())
        if self._rows is None:
            timestamps, headers = self._columns.timestamps, self._columns.headers
        else:
            timestamps, headers = packed.pack_times(self.timestamps), packed.join_headers(self.headers)
        return OwnColumns(*keys, *values, timestamps, nulls, headers)
