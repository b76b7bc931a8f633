"""The processor `do`: carries out the command in a record's key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from millstream import (
    Context,
    DeadLetter,
    Entry,
    Error,
    Fatal,
    Order,
    Processor,
    Punctuation,
    PunctuationType,
    Record,
    Retry,
    Setup,
    Skip,
    log,
    processor,
    serdes,
)

REACTIONS: dict[str, type[Error]] = {"skip": Skip, "dead-letter": DeadLetter, "retry": Retry, "fatal": Fatal}


@processor("do")
class Commands(Processor):
    def __init__(self, setup: Setup) -> None:
        if text := setup.config.get("panic-init"):
            raise RuntimeError(f"boom: {text}")
        if reason := setup.config.get("fail-init"):
            raise Fatal(reason)
        self.setup = setup
        self.stores = {name: setup.store(name) for name in setup.stores}
        self.texts = {name: setup.store(name, keys=serdes.text, values=serdes.text) for name in setup.stores}
        if other := setup.config.get("open"):
            setup.store(other)
        if child := setup.config.get("child"):
            setup.child(child)
        self.punctuations: dict[str, Punctuation] = {}
        self.remembered = 0
        self.hoard: list[bytearray] = []
        if words := setup.config.get("schedule"):
            self.do_schedule(Record(), setup, *words.split(" "))

    def process(self, record: Record, context: Context) -> None:
        command = record.key_as(serdes.optional(serdes.text))
        if command is None:
            context.forward(record)
            return
        word, *operands = command.split(" ")
        do: Callable[..., None] | None = getattr(self, "do_" + word.replace("-", "_"), None)
        if do is None:
            raise Fatal(f"unknown command `{command}`")
        if word in ("text", "long", "long-text", "double", "json") and record.value is None:
            context.forward(record)
            return
        try:
            do(record, context, *operands)
        except TypeError as error:
            raise Fatal(f"`{command}`: {error}") from error

    # === Values and records ===

    def do_text(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(record.value_as(serdes.text) + "!"))

    def do_long(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(~record.value_as(serdes.long), serdes.long))

    def do_long_text(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(str(record.value_as(serdes.long))))

    def do_double(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(-record.value_as(serdes.double), serdes.double))

    def do_json(self, record: Record, context: Context) -> None:
        members = record.value_as(serdes.json)
        if not isinstance(members, dict):
            raise Fatal("the value is no JSON object")
        context.forward(record.with_value(members | {"seen": True}, serdes.json))

    def do_key(self, record: Record, context: Context, key: str) -> None:
        context.forward(record.with_key(key))

    def do_null_key(self, record: Record, context: Context) -> None:
        context.forward(record.with_key(None))

    def do_null_value(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(None))

    def do_at(self, record: Record, context: Context, timestamp: str) -> None:
        context.forward(record.with_timestamp(int(timestamp)))

    def do_headers(self, record: Record, context: Context) -> None:
        headers = record.headers.without("drop").with_header("count", str(len(record.headers)))
        context.forward(record.with_headers(headers.with_header("nothing", None)))

    def do_header(self, record: Record, context: Context, name: str) -> None:
        context.forward(record.with_value(record.headers.last(name, "none")))

    def do_bare(self, record: Record, context: Context) -> None:
        context.forward(record.with_headers(()))

    def do_to(self, record: Record, context: Context, name: str) -> None:
        context.forward_to(self.setup.child(name), record)

    def do_mixed(self, record: Record, context: Context) -> None:
        first, last = self.setup.children[0], self.setup.children[-1]
        context.forward_to(self.setup.child(first), record.with_value("1"))
        context.forward(record.with_value("2"))
        context.forward_to(self.setup.child(last), record.with_value("3"))

    def do_flood(self, record: Record, context: Context, count: str) -> None:
        for number in range(int(count)):
            context.forward(record.with_value(str(number)))

    def do_nothing(self, record: Record, context: Context) -> None:
        pass

    # === Where and when, and the log ===

    def do_metadata(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(metadata_of(context)))

    def do_times(self, record: Record, context: Context) -> None:
        context.forward(record.with_value(f"{context.stream_time()} {context.wall_clock_time()}"))

    def do_setup(self, record: Record, context: Context) -> None:
        setup = self.setup
        settings = [f"{key}={value}" for key, value in sorted(setup.config.items())]
        lists = (",".join(names) or "-" for names in (setup.children, setup.stores, settings))
        context.forward(record.with_value(" ".join([setup.processor, setup.node, setup.task, *lists])))

    def do_remember(self, record: Record, context: Context) -> None:
        self.remembered += 1
        context.forward(record.with_value(str(self.remembered)))

    def do_commit(self, record: Record, context: Context) -> None:
        context.commit()
        context.forward(record.with_value("ok"))

    def do_log(self, record: Record, context: Context, level: str) -> None:
        getattr(log, level)(record.value_as(serdes.text))

    def do_log_many(self, record: Record, context: Context, count: str) -> None:
        for _ in range(int(count)):
            log.info(record.value_as(serdes.text))

    def do_print(self, record: Record, context: Context) -> None:
        print(record.value_as(serdes.text))

    def do_print_error(self, record: Record, context: Context) -> None:
        print(record.value_as(serdes.text), file=sys.stderr)

    # === Stores ===

    def store(self, name: str) -> Any:
        if name not in self.stores:
            raise Fatal(f"there is no store `{name}`")
        return self.stores[name]

    def do_put(self, record: Record, context: Context, name: str, key: str) -> None:
        self.store(name).put(key, record.value)

    def do_put_at(self, record: Record, context: Context, name: str, key: str, timestamp: str) -> None:
        self.store(name).put_at(key, record.value, int(timestamp))

    def do_put_self(self, record: Record, context: Context, name: str) -> None:
        self.store(name).put(record.value, record.value)

    def do_get(self, record: Record, context: Context, name: str, key: str) -> None:
        context.forward(record.with_value(self.store(name).get(key)))

    def do_get_self(self, record: Record, context: Context, name: str) -> None:
        context.forward(record.with_value(self.store(name).get(record.value)))

    def do_stamped(self, record: Record, context: Context, name: str, key: str) -> None:
        found = self.texts[name].get_with_timestamp(key)
        context.forward(record.with_value("none" if found is None else f"{found[1]} {found[0]}"))

    def do_put_if_absent(self, record: Record, context: Context, name: str, key: str) -> None:
        context.forward(record.with_value(self.store(name).put_if_absent(key, record.value)))

    def do_delete(self, record: Record, context: Context, name: str, key: str) -> None:
        before = self.store(name).get(key)
        self.store(name).delete(key)
        context.forward(record.with_value(before))

    def do_get_many(self, record: Record, context: Context, name: str, *keys: str) -> None:
        found = self.texts[name].get_many(keys)
        context.forward(record.with_value(",".join("-" if value is None else value for value in found)))

    def do_put_many(self, record: Record, context: Context, name: str, *keys: str) -> None:
        self.store(name).put_many((key, record.value) for key in keys)

    def do_range(
        self, record: Record, context: Context, name: str, *bounds: str, order: Order = Order.ASCENDING
    ) -> None:
        lowest, highest = (None if key == "-" else key for key in bounds)
        context.forward(record.with_value(shown(self.texts[name].range(lowest, highest, order))))

    def do_reverse_range(self, record: Record, context: Context, name: str, *bounds: str) -> None:
        self.do_range(record, context, name, *bounds, order=Order.DESCENDING)

    def do_prefix(self, record: Record, context: Context, name: str, prefix: str = "") -> None:
        context.forward(record.with_value(shown(self.texts[name].prefix(prefix))))

    def do_reverse_prefix(self, record: Record, context: Context, name: str, prefix: str = "") -> None:
        context.forward(record.with_value(shown(self.texts[name].prefix(prefix, Order.DESCENDING))))

    def do_entries(self, record: Record, context: Context, name: str) -> None:
        context.forward(record.with_value(str(self.store(name).approximate_entries())))

    def do_clear(self, record: Record, context: Context, name: str) -> None:
        count = 0
        for entry in self.store(name).all():
            self.store(name).delete(entry.key)
            count += 1
        context.forward(record.with_value(str(count)))

    def do_cursors(self, record: Record, context: Context, name: str, count: str) -> None:
        walks = []
        for _ in range(int(count)):
            walks.append(self.store(name).all())
            next(walks[-1], None)
        context.forward(record.with_value("ok"))

    def do_put_sized(self, record: Record, context: Context, name: str, key_bytes: str, value_bytes: str) -> None:
        self.store(name).put(b"x" * int(key_bytes), b"x" * int(value_bytes))

    # === Punctuations ===

    def do_schedule(self, record: Record, context: Context | Setup, name: str, kind: str, interval_ms: str) -> None:
        interval = timedelta(milliseconds=int(interval_ms))
        self.punctuations[name] = context.schedule(interval, PunctuationType(kind))

    def do_schedule_at(
        self, record: Record, context: Context, name: str, kind: str, start: str, interval_ms: str
    ) -> None:
        interval = timedelta(milliseconds=int(interval_ms))
        self.punctuations[name] = context.schedule_at(int(start), interval, PunctuationType(kind))

    def do_cancel(self, record: Record, context: Context, name: str) -> None:
        context.cancel(self.punctuations[name])

    def punctuate(self, punctuation: Punctuation, kind: PunctuationType, timestamp: int, context: Context) -> None:
        name = next(name for name, other in self.punctuations.items() if other == punctuation)
        if name.startswith("once"):
            context.cancel(punctuation)
        if "plain" in self.texts:
            self.texts["plain"].put_at(name, str(timestamp), timestamp)
        value = f"{kind.value} {timestamp} {metadata_of(context)}"
        context.forward(Record(name.encode(), value.encode(), timestamp))
        if name.startswith("panic"):
            raise RuntimeError(f"boom: {name}")
        for prefix, reaction in REACTIONS.items():
            if name.startswith(prefix):
                raise reaction(name)

    # === Failures ===

    def begin_to_fail(self, record: Record, context: Context) -> None:
        context.forward(record)
        if "plain" in self.stores:
            self.stores["plain"].put("failed", b"1")

    def do_fail(self, record: Record, context: Context, reaction: str) -> None:
        self.begin_to_fail(record, context)
        raise REACTIONS[reaction](record.value_as(serdes.text))

    def do_retry_until(self, record: Record, context: Context, timestamp: str) -> None:
        self.begin_to_fail(record, context)
        if context.wall_clock_time() < int(timestamp):
            raise Retry("not yet")

    def do_panic(self, record: Record, context: Context) -> None:
        self.begin_to_fail(record, context)
        raise RuntimeError(f"boom: {record.value_as(serdes.text)}")

    def do_spin(self, record: Record, context: Context) -> None:
        self.begin_to_fail(record, context)
        while True:
            pass

    def do_recurse(self, record: Record, context: Context) -> None:
        self.begin_to_fail(record, context)
        context.forward(record.with_value(str(deeper(0))))

    def do_hog(self, record: Record, context: Context, mebibytes: str) -> None:
        self.begin_to_fail(record, context)
        self.hoard.append(bytearray(b"x") * (int(mebibytes) << 20))
        context.forward(record.with_value("ok"))

    def close(self) -> None:
        log.info("closed")


def deeper(level: int) -> int:
    return deeper(level + 1) + 1


def metadata_of(context: Context) -> str:
    metadata = context.metadata()
    assert metadata is not None
    return f"{metadata.topic}/{metadata.partition}/{metadata.offset}"


def shown(entries: Iterable[Entry[str, str]]) -> str:
    return " ".join(f"{key}={value}@{timestamp}" for key, value, timestamp in entries)
