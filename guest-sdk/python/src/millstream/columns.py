"""Records in packed columns, as they cross to the host and back: see `wit/types.wit`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import is_, itemgetter, or_
from typing import NamedTuple, Protocol, cast

from .record import NO_HEADERS, Headers, Record, pack_headers, unpack_headers
from .serdes import as_bytes

KEY_IS_NULL = 1
VALUE_IS_NULL = 2
#: In what is forwarded: the key, or the value, is that of the row, and takes no bytes; see `wit/context.wit`.
KEY_IS_OF_ROW = 4
VALUE_IS_OF_ROW = 8


class Columns(Protocol):
    """The record `batch` of `wit/types.wit`, whoever made it."""

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

    @property
    def nulls(self) -> bytes: ...

    @property
    def headers(self) -> bytes: ...


class OwnColumns(NamedTuple):
    """A batch of ours."""

    keys: bytes
    key_ends: bytes
    values: bytes
    value_ends: bytes
    timestamps: bytes
    nulls: bytes
    headers: bytes


def words(packed: bytes) -> array[int]:
    """Packed u32 as numbers."""
    numbers = array("I")
    numbers.frombytes(packed)
    return numbers


def times(packed: bytes) -> array[int]:
    """Packed s64 as numbers."""
    numbers = array("q")
    numbers.frombytes(packed)
    return numbers


def pack_times(numbers: Iterable[int]) -> bytes:
    """Timestamps, packed."""
    return array("q", numbers).tobytes()


def split(data: bytes, ends: Iterable[int]) -> list[bytes]:
    """The entries of a column."""
    start = 0
    return [data[start : (start := end)] for end in ends]


def join(pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """A column of entries: its bytes and its ends."""
    return b"".join(pieces), array("I", accumulate(map(len, pieces))).tobytes()


def with_nulls(pieces: list[bytes], nulls: bytes, bit: int) -> list[bytes | None]:
    """The entries, None where the bit says so."""
    if not any(nulls):
        return cast("list[bytes | None]", pieces)
    return [None if flags & bit else piece for piece, flags in zip(pieces, nulls)]


def join_with_nulls(pieces: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    """A column of entries of which some are None, or text."""
    return join([b"" if piece is None else as_bytes(piece) for piece in pieces])


def null_bits(entries: Sequence[bytes | None], bit: int) -> int | list[int]:
    """What a column of keys or values has in the column of nulls: a number when that is the same for all entries."""
    return [bit if entry is None else 0 for entry in entries] if None in entries else 0


def join_null_bits(length: int, keys: int | list[int], values: int | list[int]) -> bytes:
    """The column of nulls; empty when nothing is null."""
    if isinstance(keys, int) and isinstance(values, int):
        return bytes((keys | values,)) * length if keys | values else b""
    keys = [keys] * length if isinstance(keys, int) else keys
    values = [values] * length if isinstance(values, int) else values
    return bytes(map(or_, keys, values))


def of_rows(length: int) -> tuple[bytes, bytes]:
    """A column of entries that are those of the rows: no bytes, and all ends."""
    return b"", bytes(4 * length)


def split_headers(column: bytes) -> dict[int, Headers]:
    """Headers by row."""
    found = {}
    at = 0
    while at < len(column):
        end = at + 8 + int.from_bytes(column[at + 4 : at + 8], "little")
        found[int.from_bytes(column[at : at + 4], "little")] = unpack_headers(column, at + 8, end)
        at = end
    return found


def join_headers(headers: Iterable[Headers]) -> bytes:
    """The headers column."""
    parts: list[bytes] = []
    for row, pairs in enumerate(headers):
        if pairs:
            entry = pack_headers(pairs if isinstance(pairs, Headers) else Headers.of(pairs))
            parts += (row.to_bytes(4, "little"), len(entry).to_bytes(4, "little"), entry)
    return b"".join(parts)


class Given(NamedTuple):
    """A batch that came in, in both forms, so that what was not changed is not given again."""

    columns: Columns
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]

    def has_at(self, rows: Sequence[int], entries: list[bytes | None], own: list[bytes | None]) -> bool:
        """Whether entries are those of `own`, its keys or its values, at these rows."""
        # Bytes never change, so the same object is enough; and this ends at the first that is another.
        return all(map(is_, entries, map(own.__getitem__, rows)))


_key, _value, _timestamp, _headers = map(itemgetter, range(4))


def pack_records(
    records: Sequence[Record], given: Given | None = None, rows: Sequence[int] | None = None
) -> OwnColumns:
    """Records as columns. Of those that descend from rows of `given`, keys or values that are all those of their rows
    are not given again; no `rows` are all rows in their order."""
    keys, values = list(map(_key, records)), list(map(_value, records))
    timestamps, headers = list(map(_timestamp, records)), list(map(_headers, records))
    length = len(keys)
    if given is None:
        keeps_keys = keeps_values = keeps_times = False
    elif rows is None:
        # Lists are compared by identity first: this is quick where nothing has changed, and where the first entry has.
        keeps_keys, keeps_values = keys == given.keys, values == given.values
        keeps_times = timestamps == given.timestamps
    else:
        keeps_keys, keeps_values = given.has_at(rows, keys, given.keys), given.has_at(rows, values, given.values)
        keeps_times = False
    key_bits = KEY_IS_OF_ROW if keeps_keys else null_bits(keys, KEY_IS_NULL)
    value_bits = VALUE_IS_OF_ROW if keeps_values else null_bits(values, VALUE_IS_NULL)
    return OwnColumns(
        *(of_rows(length) if keeps_keys else _join_any(keys)),
        *(of_rows(length) if keeps_values else _join_any(values)),
        given.columns.timestamps if given is not None and keeps_times else _pack_times_of(timestamps),
        join_null_bits(length, key_bits, value_bits),
        join_headers(headers) if headers.count(NO_HEADERS) != len(headers) else b"",
    )


def _join_any(pieces: Sequence[bytes | None]) -> tuple[bytes, bytes]:
    try:
        return join(pieces)  # type: ignore[arg-type]
    except TypeError:
        return join_with_nulls(pieces)


def _pack_times_of(timestamps: list[int]) -> bytes:
    if timestamps and min(timestamps) < 0:
        raise ValueError(f"a record was forwarded with the timestamp {min(timestamps)}: it must not be negative")
    return pack_times(timestamps)
