"""One record, and its headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar, overload

from . import serdes
from .serdes import Serde
from .text import well_formed

T = TypeVar("T")

#: The length that stands for a null value among packed headers.
_NULL_LENGTH = 0xFFFFFFFF


class Headers(tuple[tuple[str, "bytes | None"], ...]):
    """Headers: keys and values in their order; a key may occur again, a value may be None. They never change."""

    __slots__ = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, bytes | str | None]]) -> Headers:
        """Headers of pairs; text is written as UTF-8."""
        return cls((key, None if value is None else serdes.as_bytes(value)) for key, value in pairs)

    def last(self, key: str, default: T | None = None) -> bytes | None | T:
        """The value of the last header with this key, which may be None; `default` when there is no such header."""
        for name, value in reversed(self):
            if name == key:
                return value
        return default

    def with_header(self, key: str, value: bytes | str | None) -> Headers:
        """With one more header; others with the same key stay."""
        return Headers((*self, (key, None if value is None else serdes.as_bytes(value))))

    def without(self, key: str) -> Headers:
        """Without all headers of this key."""
        return Headers(pair for pair in self if pair[0] != key)


NO_HEADERS = Headers()


class Record(NamedTuple):
    """A record. The `with_...` methods give a changed one, and what they don't change is passed along: timestamp and
    headers too, as in Kafka Streams."""

    #: The key's bytes, or None.
    key: bytes | None = None
    #: The value's bytes; None is a tombstone.
    value: bytes | None = None
    #: Milliseconds since the epoch.
    timestamp: int = 0
    headers: Headers = NO_HEADERS

    def key_as(self, serde: Serde[T]) -> T:
        """The key, read by a serde; `Fatal` when it is None (unless the serde is `optional`) or has another form."""
        return serdes.decode(self[0], serde, "the key")

    def value_as(self, serde: Serde[T]) -> T:
        """The value, as `key_as`."""
        return serdes.decode(self[1], serde, "the value")

    @overload
    def with_key(self, key: bytes | str | None) -> Record: ...
    @overload
    def with_key(self, key: T, serde: Serde[T]) -> Record: ...
    def with_key(self, key: object, serde: Serde[T] | None = None) -> Record:
        """With another key: bytes, text, None, or what `serde` writes."""
        data = serdes.encode(key, None) if serde is None else serde.encode(key)  # type: ignore[arg-type]
        return _record(Record, (data, self[1], self[2], self[3]))

    @overload
    def with_value(self, value: bytes | str | None) -> Record: ...
    @overload
    def with_value(self, value: T, serde: Serde[T]) -> Record: ...
    def with_value(self, value: object, serde: Serde[T] | None = None) -> Record:
        """With another value, as `with_key`."""
        data = serdes.encode(value, None) if serde is None else serde.encode(value)  # type: ignore[arg-type]
        return _record(Record, (self[0], data, self[2], self[3]))

    def with_timestamp(self, timestamp: int) -> Record:
        """With another timestamp; it must not be negative."""
        return _record(Record, (self[0], self[1], checked_timestamp(timestamp), self[3]))

    def with_headers(self, headers: Iterable[tuple[str, bytes | str | None]]) -> Record:
        """With other headers."""
        return _record(Record, (self[0], self[1], self[2], Headers.of(headers)))


_record = tuple.__new__


def checked_timestamp(timestamp: int) -> int:
    """The timestamp, if it is one."""
    if not isinstance(timestamp, int) or not 0 <= timestamp < 2**63:
        raise ValueError(f"a timestamp is a whole number of milliseconds, not negative; {timestamp!r} is none")
    return timestamp


def unpack_headers(packed: bytes, start: int, end: int) -> Headers:
    """Headers as `wit/types.wit` packs them."""
    pairs = []
    at = start
    while at < end:
        key, at = _field(packed, at)
        value, at = _field(packed, at)
        pairs.append(((key or b"").decode(errors="replace"), value))
    return Headers(pairs)


def _field(packed: bytes, at: int) -> tuple[bytes | None, int]:
    length = int.from_bytes(packed[at : at + 4], "little")
    at += 4
    if length == _NULL_LENGTH:
        return None, at
    return packed[at : at + length], at + length


def pack_headers(headers: Headers) -> bytes:
    """Headers, packed as in `wit/types.wit`."""
    parts: list[bytes] = []
    for key, value in headers:
        name = well_formed(key).encode()
        parts += (len(name).to_bytes(4, "little"), name)
        parts.append((_NULL_LENGTH if value is None else len(value)).to_bytes(4, "little"))
        parts.append(value or b"")
    return b"".join(parts)
