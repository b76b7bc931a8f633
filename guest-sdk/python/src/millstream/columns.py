"""Records in packed columns, as they cross to the host and back: see `wit/types.wit`."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple, Protocol, cast

from .record import NO_HEADERS, Headers, Record, pack_headers, unpack_headers
from .serdes import as_bytes

KEY_IS_NULL = 1
VALUE_IS_NULL = 2

_NULLS_OF = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}


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


def nulls_of(keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> bytes:
    """The column of nulls; empty when there is none."""
    if None not in keys and None not in values:
        return b""
    return bytes(_NULLS_OF[key is None, value is None] for key, value in zip(keys, values))


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
    """A batch that came in, in both forms, so that what was not changed goes back as it came."""

    columns: Columns
    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]


_key, _value, _timestamp, _headers = map(itemgetter, range(4))


def pack_records(records: Sequence[Record], given: Given | None = None) -> OwnColumns:
    """Records as columns; those of `given` where they are the same."""
    keys, values = list(map(_key, records)), list(map(_value, records))
    timestamps, headers = list(map(_timestamp, records)), list(map(_headers, records))
    own = given.columns if given is not None else None
    # Lists are compared by identity first, so this is quick where nothing has changed, and where the first entry has.
    keeps_keys = given is not None and keys == given.keys
    keeps_values = given is not None and values == given.values
    keeps_times = given is not None and timestamps == given.timestamps
    key_columns = (own.keys, own.key_ends) if own is not None and keeps_keys else _join_any(keys)
    value_columns = (own.values, own.value_ends) if own is not None and keeps_values else _join_any(values)
    return OwnColumns(
        *key_columns,
        *value_columns,
        own.timestamps if own is not None and keeps_times else _pack_times_of(timestamps),
        own.nulls if own is not None and keeps_keys and keeps_values else nulls_of(keys, values),
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
