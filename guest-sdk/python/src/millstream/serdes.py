"""How values become bytes and back: what Kafka's serializers of the same names write.

A serde of your own needs no more than `decode` and `encode`. Those here read and write whole columns at once, too, which
costs a tenth of what it costs one by one.
"""

from __future__ import annotations

import json as _json
import struct
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, compress
from operator import not_
from typing import Any, Generic, Protocol, TypeVar, cast

from .errors import Error, Fatal, reason_of

T = TypeVar("T")


class Problem(Exception):
    """Why bytes can't be read. Reads after "the key" or "the value"."""


class Serde(Protocol[T]):
    """Writes values of a type as bytes, and reads them."""

    def decode(self, data: bytes, /) -> T:
        """Reads bytes; what it raises becomes the reason why the record can't be processed."""
        ...

    def encode(self, value: T, /) -> bytes:
        """Writes bytes."""
        ...


class _Raw:
    """The bytes themselves; text is taken, too, and written as UTF-8."""

    def decode(self, data: bytes) -> bytes:
        return data

    def encode(self, value: bytes) -> bytes:
        return as_bytes(value)


class _Text:
    """UTF-8, as Kafka's StringSerializer writes it."""

    def decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Problem(f"is not UTF-8: {error}") from None

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode_column(self, data: bytes, ends: bytes) -> list[str] | None:
        """The values of a column without nulls, if all of it is ASCII."""
        if not data.isascii():
            return None
        text = data.decode("ascii")
        numbers = array("I")
        numbers.frombytes(ends)
        start = 0
        return [text[start : (start := end)] for end in numbers]

    def encode_column(self, values: Sequence[str]) -> tuple[bytes, bytes] | None:
        """The column of values, if all of it is ASCII."""
        joined = "".join(values)
        if not joined.isascii():
            return None
        return joined.encode("ascii"), array("I", accumulate(map(len, values))).tobytes()


class _Json:
    """JSON; the type checker takes your word for its type."""

    def decode(self, data: bytes) -> Any:
        try:
            return _json.loads(data)
        except ValueError as error:
            raise Problem(f"is not the JSON that is expected: {error}") from None

    def encode(self, value: Any) -> bytes:
        return _json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class _Number(Generic[T]):
    """A number of a fixed width, big-endian."""

    def __init__(self, code: str) -> None:
        self._code = code
        form = struct.Struct(">" + code)
        self._width = form.size
        self._unpack = form.unpack
        self._pack = form.pack

    def decode(self, data: bytes) -> T:
        try:
            return cast(T, self._unpack(data)[0])
        except struct.error:
            raise Problem(f"has {len(data)} bytes where {self._width} are expected") from None

    def encode(self, value: T) -> bytes:
        try:
            return self._pack(value)
        except struct.error as error:
            raise ValueError(f"{value!r} doesn't fit {self._width} bytes: {error}") from None

    def decode_column(self, data: bytes, ends: bytes) -> list[T] | None:
        """The values of a column without nulls, if each has the right width."""
        count = len(ends) // 4
        if len(data) != count * self._width or ends != _regular_ends(count, self._width):
            return None
        return list(struct.unpack(f">{count}{self._code}", data))

    def encode_column(self, values: Sequence[T]) -> tuple[bytes, bytes] | None:
        """The column of values, if all of them fit."""
        try:
            data = struct.pack(f">{len(values)}{self._code}", *values)
        except struct.error:
            return None
        return data, _regular_ends(len(values), self._width)


@lru_cache(maxsize=4)
def _regular_ends(count: int, width: int) -> bytes:
    """The ends of a column whose entries have the same width; batches often have the same size."""
    return array("I", range(width, count * width + 1, width)).tobytes()


class _Optional(Generic[T]):
    """As a serde, and None where there is nothing."""

    def __init__(self, serde: Serde[T]) -> None:
        self.decode = serde.decode
        self._encode = serde.encode
        self.is_optional = True

    def encode(self, value: T | None) -> bytes | None:
        return None if value is None else self._encode(value)


#: The bytes themselves.
raw: Serde[bytes] = _Raw()
#: UTF-8, as Kafka's StringSerializer writes it.
text: Serde[str] = _Text()
#: JSON.
json: Serde[Any] = _Json()
#: As Kafka's LongSerializer writes it: 8 bytes, big-endian.
long: Serde[int] = _Number[int]("q")
#: As Kafka's IntegerSerializer writes it: 4 bytes, big-endian.
integer: Serde[int] = _Number[int]("i")
#: As Kafka's ShortSerializer writes it: 2 bytes, big-endian.
short: Serde[int] = _Number[int]("h")
#: As Kafka's DoubleSerializer writes it: 8 bytes, big-endian.
double: Serde[float] = _Number[float]("d")
#: As Kafka's FloatSerializer writes it: 4 bytes, big-endian.
float_: Serde[float] = _Number[float]("f")


def optional(serde: Serde[T]) -> Serde[T | None]:
    """As `serde`, and None where there is nothing."""
    return cast("Serde[T | None]", _Optional(serde))


def as_bytes(value: bytes | str) -> bytes:
    """Bytes as they are, text as UTF-8."""
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"bytes or text are expected, not {type(value).__name__}: name a serde, such as `serdes.json`")


def encode(value: Any, serde: Serde[Any] | None) -> bytes | None:
    """Encodes with `serde`; without one, bytes, text and None are taken as they are."""
    if serde is not None:
        return serde.encode(value)
    return None if value is None else as_bytes(value)


def decode(data: bytes | None, serde: Serde[T], what: str) -> T:
    """Decodes; `what` is "the key", "the value" or the like."""
    if data is None:
        if getattr(serde, "is_optional", False):
            return cast(T, None)
        raise Fatal(f"{what} is null")
    try:
        return serde.decode(data)
    except Exception as error:
        raise unreadable(error, what) from None


def unreadable(error: Exception, what: str) -> Error:
    """The error of a reading that failed."""
    if isinstance(error, Error):
        return error
    return Fatal(f"{what} {error}" if isinstance(error, Problem) else f"{what} can't be read: {reason_of(error)}")


def decode_all(pieces: Sequence[bytes | None], serde: Serde[T], what: str) -> list[T]:
    """Decodes many."""
    return [decode(piece, serde, what) for piece in pieces]


def read_with_nulls(data: bytes, ends: bytes, nulls: bytes, serde: Serde[T]) -> list[T | None] | None:
    """The values of a column, None where there is none, if the serde can read a column."""
    read_column = column_reader(serde)
    if read_column is None:
        return None
    if not any(nulls):
        return cast("list[T | None] | None", read_column(data, ends))
    numbers = array("I")
    numbers.frombytes(ends)
    present = array("I", compress(numbers, map(not_, nulls))).tobytes()
    found = read_column(data, present)
    if found is None:
        return None
    values = iter(found)
    return [None if is_null else next(values) for is_null in nulls]


def column_reader(serde: Serde[T]) -> Callable[[bytes, bytes], list[T] | None] | None:
    """How a serde reads a whole column, if it can."""
    return getattr(serde, "decode_column", None)


def column_writer(serde: Serde[T]) -> Callable[[Sequence[T]], tuple[bytes, bytes] | None] | None:
    """How a serde writes a whole column, if it can."""
    return getattr(serde, "encode_column", None)
