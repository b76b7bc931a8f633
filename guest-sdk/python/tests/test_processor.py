"""Processors as their authors test them: forwarding, state, time and errors, without Wasm."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeAlias
from unittest import mock

from millstream import (
    Batch,
    Context,
    DeadLetter,
    Error,
    Fatal,
    Headers,
    KeyValueStore,
    Order,
    Processor,
    Punctuation,
    PunctuationType,
    Record,
    Retry,
    Setup,
    Skip,
    key_selector,
    predicate,
    processor,
    serdes,
)
from millstream.columns import Columns
from millstream.stand_in import StandIn
from millstream.testing import TestProcessor, ask_key_selector, ask_predicate


class Script(Processor):
    """Does what the words of the value say, one after the other."""

    def __init__(self, setup: Setup) -> None:
        self.store = setup.store("store", values=serdes.text).read_ahead()
        self.texts: KeyValueStore[str, str] = setup.store("store", keys=serdes.text, values=serdes.text)
        self.other = setup.child("other") if "other" in setup.children else None

    def process(self, record: Record, context: Context) -> None:
        for word in record.value_as(serdes.text).split(" "):
            name, is_pair, value = word.partition("=")
            match name:
                case "put":
                    self.store.put(record.key or b"", value)
                case "fail":
                    raise Skip(value)
                case "stop":
                    raise Retry(value)
                case _ if is_pair:
                    self.store.put(name, value)
                case "delete":
                    self.store.delete(record.key or b"")
                case "all":
                    found = ",".join(key + value for key, value, _ in self.texts.all())
                    context.forward(record.with_value(found))
                case "other":
                    assert self.other is not None
                    context.forward_to(self.other, record)
                case _:
                    context.forward(record.with_value(self.store.get(name) or "none"))


def script() -> TestProcessor:
    return TestProcessor(Script, stores=["store"], children=["child", "other"])


def scripted(key: str, value: str) -> Record:
    return Record(key.encode(), value.encode(), 5)


def values(test: TestProcessor) -> list[str]:
    return [record.value_as(serdes.text) for record in test.take_forwarded()]


class AProcessor(unittest.TestCase):
    def test_does_the_same_with_a_batch_and_with_single_records(self) -> None:
        scripts = [
            ("a", "put=1 a b"),
            ("b", "a put=2 all"),
            ("a", "delete all b c=3"),
            ("c", "c a all"),
            ("a", "put=4 all"),
        ]
        single = script()
        for key, value in scripts:
            single.process(scripted(key, value))
        expected = values(single)
        self.assertEqual(expected, ["1", "none", "1", "a1,b2", "b2", "2", "3", "none", "b2,c3", "a4,b2,c3"])
        batch = script()
        self.assertEqual(batch.process_batch([scripted(key, value) for key, value in scripts]), [])
        self.assertEqual(values(batch), expected)
        for key in "abc":
            self.assertEqual(batch.stored("store", key), single.stored("store", key))

    def test_takes_back_what_a_failed_record_wrote_and_forwarded_even_after_a_scan(self) -> None:
        for spoiler in ["a=9 new=9 a fail=no", "a=9 new=9 all fail=no", "a=9 all a=8 all new=7 fail=no", "a=9 fail=no"]:
            with self.subTest(spoiler):
                test = script()
                failures = test.process_batch(
                    [
                        scripted("a", "put=1 b=2"),
                        scripted("b", spoiler),
                        scripted("b", "delete all fail=no"),
                        scripted("c", "a all"),
                    ]
                )
                self.assertEqual([row for row, _ in failures], [1, 2])
                self.assertEqual(values(test), ["1", "a1,b2"])
                self.assertEqual(test.stored("store", "a"), b"1")
                self.assertIsNone(test.stored("store", "new"))
                self.assertEqual(test.stored("store", "b"), b"2")

    def test_processes_no_other_record_after_one_that_must_be_tried_again(self) -> None:
        test = script()
        failures = test.process_batch(
            [scripted("a", "put=1"), scripted("b", "put=2 stop=later"), scripted("c", "put=3")]
        )
        self.assertEqual([(row, error.reaction, error.reason) for row, error in failures], [(1, "retry", "later")])
        self.assertEqual([test.stored("store", key) is not None for key in "abc"], [True, False, False])

    def test_reads_ahead_and_writes_back_once_a_batch(self) -> None:
        test = script()
        test.process_batch([scripted("a", "put=1 a")] * 100)
        self.assertEqual(test.host_calls, 3, "get-many, put-many, forward")
        single = script()
        single.process(scripted("a", "put=1 a"))
        self.assertEqual(single.host_calls, 2, "put-many, forward")

    def test_keeps_the_order_of_records_for_one_child_and_for_all(self) -> None:
        test = script()
        test.process_batch(
            [scripted("1", "other"), scripted("2", "nothing"), scripted("3", "other other"), scripted("4", "nothing")]
        )
        keys = [record.key for record, child in test.take_forwarded_to() if child in (None, "other")]
        self.assertEqual(keys, [b"1", b"2", b"3", b"3", b"4"])

    def test_passes_headers_timestamp_and_key_along(self) -> None:
        test = script()
        trace = Headers.of([("trace", "1")])
        test.process(Record(b"k", b"nothing", 9, trace))
        self.assertEqual(test.take_forwarded(), [Record(b"k", b"none", 9, trace)])
        changed = trace.with_header("trace", "2").with_header("null", None)
        self.assertEqual((changed.last("trace"), changed.last("null", "?"), changed.last("no", "?")), (b"2", None, "?"))
        self.assertEqual(changed.without("trace").without("null"), Headers())

    def test_logs_what_is_no_error_of_its_own_with_its_traceback(self) -> None:
        class Bug(Processor):
            def process(self, record: Record, context: Context) -> None:
                record.headers[0]

        test = TestProcessor(Bug)
        [(row, error)] = test.process_batch([scripted("a", "x"), scripted("b", "y")])
        self.assertEqual((row, error.reaction, error.reason), (0, "fatal", "IndexError: tuple index out of range"))
        self.assertEqual(test.logged[0], "error: Traceback (most recent call last):")
        self.assertIn("test_processor.py", test.logged[1])
        self.assertEqual(test.logged[-1], "error: IndexError: tuple index out of range")

    def test_says_what_is_missing_when_it_cannot_begin(self) -> None:
        class Picky(Processor):
            def __init__(self, setup: Setup) -> None:
                for wanted in (
                    lambda: setup.required("limit"),
                    lambda: setup.store("none"),
                    lambda: setup.child("other"),
                ):
                    try:
                        wanted()
                    except Error as error:
                        reasons.append(error.reason)

        reasons: list[str] = []
        TestProcessor(Picky)
        self.assertEqual(
            reasons,
            [
                "the node's setting `limit` is missing: give it in `config`",
                "there is no store `none`: declare it in the manifest",
                "there is no child `other`, but ['child']: name one of them as input",
            ],
        )

    def test_hands_over_between_records_when_it_has_forwarded_much(self) -> None:
        class Flood(Processor):
            def process(self, record: Record, context: Context) -> None:
                for number in range(3000):
                    context.forward(record.with_value(str(number)))
                if record.key == b"bad":
                    raise Skip("bad")

        test = TestProcessor(Flood)
        failures = test.process_batch([Record(key) for key in (b"a", b"bad", b"b", b"c", b"bad")])
        self.assertEqual([row for row, _ in failures], [1, 4])
        self.assertEqual(
            [record.key for record in test.take_forwarded()], [b"a"] * 3000 + [b"b"] * 3000 + [b"c"] * 3000
        )


#: A key and a value.
Parts: TypeAlias = tuple[bytes | None, bytes | None]


class Reforward(Processor):
    """Forwards what the value says."""

    def __init__(self, setup: Setup) -> None:
        self.kept = Record()
        setup.schedule(
            timedelta(seconds=1), PunctuationType.WALL_CLOCK_TIME, lambda _, context: context.forward(self.kept)
        )

    def process(self, record: Record, context: Context) -> None:
        match record.value:
            case b"key":
                context.forward(record.with_key("new"))
            case b"value":
                context.forward(record._replace(value=b"new"))
            case b"no-key":
                context.forward(record.with_key(None))
            case b"no-value":
                context.forward(record.with_value(None))
            case b"text":
                context.forward(Record("k", "text", 5))  # type: ignore[arg-type]
            case b"drop":
                pass
            case b"keep":
                self.kept = record
            case b"kept":
                context.forward(self.kept)
            case _:
                context.forward(record.with_timestamp(9))


class WhatIsForwardedAsItCame(unittest.TestCase):
    def copied(self, work: Callable[[], object]) -> tuple[int, int]:
        """How many bytes of keys and of values the work copies to the host."""
        seen: list[Columns] = []
        forward = StandIn.forward

        def spy(host: StandIn, child: int | None, columns: Columns, rows: bytes) -> None:
            seen.append(columns)
            forward(host, child, columns, rows)

        with mock.patch.object(StandIn, "forward", spy):
            work()
        return sum(len(columns.keys) for columns in seen), sum(len(columns.values) for columns in seen)

    def test_is_not_copied(self) -> None:
        cases: list[tuple[list[Parts], list[Parts] | None, tuple[int, int]]] = [
            ([(b"k", b"as it came")], [(b"k", b"as it came")], (0, 0)),
            ([(b"k", b"x"), (None, b"y"), (b"k", None), (None, None), (b"", b"")], None, (0, 0)),
            ([(b"k", b"key")], [(b"new", b"key")], (3, 0)),
            ([(None, b"key"), (b"k", b"x")], [(b"new", b"key"), (b"k", b"x")], (4, 0)),
            ([(b"k", b"value"), (None, None)], [(b"k", b"new"), (None, None)], (0, 3)),
            ([(b"k", b"no-key"), (b"", b"no-key")], [(None, b"no-key"), (None, b"no-key")], (0, 0)),
            ([(b"k", b"no-value"), (None, b"x")], [(b"k", None), (None, b"x")], (0, 1)),
            ([(b"k", b"text")], [(b"k", b"text")], (1, 4)),
            ([(b"k", b"drop"), (b"l", b"x"), (None, b"y")], [(b"l", b"x"), (None, b"y")], (0, 0)),
            ([(b"k", b"drop"), (b"l", b"x"), (b"m", b"value")], [(b"l", b"x"), (b"m", b"new")], (0, 4)),
            ([(b"k", b"drop"), (b"l", b"key"), (b"m", None)], [(b"new", b"key"), (b"m", None)], (4, 0)),
        ]
        for given, expected, copied in cases:
            with self.subTest(given):
                test = TestProcessor(Reforward)
                records = [Record(key, value, 5) for key, value in given]
                self.assertEqual(self.copied(lambda: test.process_batch(records)), copied)
                self.assertEqual([record[:2] for record in test.take_forwarded()], expected or given)

    def test_is_copied_if_it_is_of_another_row_or_of_none(self) -> None:
        test = TestProcessor(Reforward)
        batch = [scripted("first", "keep"), scripted("second", "kept"), scripted("third", "x")]
        self.assertEqual(self.copied(lambda: test.process_batch(batch)), (10, 5))
        self.assertEqual(self.copied(lambda: test.process(scripted("later", "kept"))), (5, 4))
        self.assertEqual(self.copied(lambda: test.advance_wall_clock_time(timedelta(seconds=1))), (5, 4))
        self.assertEqual(values(test), ["keep", "x", "keep", "keep"])

    def test_is_not_copied_with_its_batch_either(self) -> None:
        class Reselect(Processor):
            def process_batch(self, batch: Batch, context: Context) -> None:
                context.forward_batch(change(batch))

        changes: list[tuple[Callable[[Batch], Batch], list[Parts], tuple[int, int]]] = [
            (lambda batch: batch, [(b"a", b"1"), (None, b"2"), (b"c", None)], (0, 0)),
            (lambda batch: batch.select([2, 0]), [(b"c", None), (b"a", b"1")], (0, 0)),
            (lambda batch: batch.with_keys(["x", None, ""]), [(b"x", b"1"), (None, b"2"), (b"", None)], (1, 0)),
            (lambda batch: batch.select([1, 2]).with_values([None, "new"]), [(None, None), (b"c", b"new")], (0, 3)),
            (lambda batch: batch.with_keys(["x", "y", "z"]).select([1]), [(b"y", b"2")], (1, 0)),
        ]
        for change, expected, copied in changes:
            test = TestProcessor(Reselect)
            records = [Record(b"a", b"1"), Record(None, b"2"), Record(b"c", None)]
            self.assertEqual(self.copied(lambda: test.process_batch(records)), copied)
            self.assertEqual([record[:2] for record in test.take_forwarded()], expected)


class ARecord(unittest.TestCase):
    short = Record(b"key", b"\xff")

    def reason(self, record: Record, serde: serdes.Serde[Any]) -> str:
        with self.assertRaises(Error) as raised:
            record.value_as(serde)
        return raised.exception.reason

    def test_says_what_is_wrong_with_a_value_of_another_form(self) -> None:
        self.assertEqual(self.reason(self.short, serdes.long), "the value has 1 bytes where 8 are expected")
        self.assertRegex(self.reason(self.short, serdes.text), "^the value is not UTF-8: ")
        self.assertEqual(self.reason(self.short.with_value(None), serdes.text), "the value is null")
        self.assertIsNone(self.short.with_value(None).value_as(serdes.optional(serdes.text)))
        self.assertRegex(
            self.reason(self.short.with_value("{"), serdes.json), "^the value is not the JSON that is expected: "
        )
        self.assertEqual(self.short.with_value("[1, 2]").value_as(serdes.json), [1, 2])

    def test_reads_what_it_writes_at_the_limits(self) -> None:
        cases: list[tuple[serdes.Serde[Any], object]] = [
            (serdes.long, 2**63 - 1), (serdes.long, -(2**63)), (serdes.integer, -(2**31)), (serdes.double, -0.1),
            (serdes.json, {"a": ["é", None]}), (serdes.text, "é\U0001f600"), (serdes.optional(serdes.text), None),
        ]  # fmt: skip
        for serde, value in cases:
            self.assertEqual(self.short.with_value(value, serde).value_as(serde), value)
        self.assertEqual(self.short.with_value(-2, serdes.long).value, bytes.fromhex("fffffffffffffffe"))
        with self.assertRaises(ValueError):
            self.short.with_value(2**63, serdes.long)
        with self.assertRaisesRegex(TypeError, "name a serde"):
            self.short.with_value(7)  # type: ignore[call-overload]
        with self.assertRaises(ValueError):
            self.short.with_timestamp(-1)

    def test_keeps_null_empty_and_what_is_no_text_apart_in_a_batch(self) -> None:
        class Echo(Processor):
            def process(self, record: Record, context: Context) -> None:
                context.forward(record)

        odd = [None, b"", b"\xff\xfe", "é".encode(), b"ascii"]
        pairs = [(key, value) for key in odd for value in odd]
        records = [Record(key, value, 3, Headers.of([("h", value), ("h", None)])) for key, value in pairs]
        test = TestProcessor(Echo)
        test.process_batch([*records, Record()])
        self.assertEqual(test.take_forwarded(), [*records, Record()])


class ABatch(unittest.TestCase):
    def test_is_changed_as_columns_and_forwarded_as_a_whole(self) -> None:
        class Capitals(Processor):
            def process_batch(self, batch: Batch, context: Context) -> None:
                context.forward_batch(batch.with_values([value.upper() for value in batch.values_as(serdes.text)]))
                context.forward_batch(batch.select([1]).with_keys(["picked"]))
                context.forward_batch(batch.with_values([7, 8], serdes.long))

        header = Headers.of([("h", "1")])
        test = TestProcessor(Capitals)
        test.process_batch([Record(b"a", b"x", 1), Record(None, "é".encode(), 2, header)])
        self.assertEqual(
            test.take_forwarded(),
            [
                Record(b"a", b"X", 1),
                Record(None, "É".encode(), 2, header),
                Record(b"picked", "é".encode(), 2, header),
                Record(b"a", bytes([0, 0, 0, 0, 0, 0, 0, 7]), 1),
                Record(None, bytes([0, 0, 0, 0, 0, 0, 0, 8]), 2, header),
            ],
        )

    def test_reads_columns_as_it_reads_records(self) -> None:
        seen: list[object] = []

        class Reader(Processor):
            def process_batch(self, batch: Batch, context: Context) -> None:
                all_serdes: list[serdes.Serde[Any]] = [
                    serdes.text, serdes.long, serdes.json, serdes.optional(serdes.text)
                ]  # fmt: skip
                for serde in all_serdes:
                    try:
                        seen.append(batch.values_as(serde))
                    except Error as error:
                        seen.append(error.reason)

        test = TestProcessor(Reader)
        test.process_batch([Record(value=b"12345678"), Record(value=b"87654321")])
        self.assertEqual(seen[0], ["12345678", "87654321"])
        self.assertEqual(seen[1], [0x3132333435363738, 0x3837363534333231])
        self.assertEqual(seen[2], [12345678, 87654321])
        seen.clear()
        test.process_batch([Record(value=b"1234567"), Record(value=b"987654321"), Record()])
        self.assertEqual(seen[0], "the value is null")
        self.assertEqual(seen[1], "the value has 7 bytes where 8 are expected")
        self.assertEqual(seen[3], ["1234567", "987654321", None])

    def test_blames_the_one_record_and_leaves_larger_ones_to_the_host(self) -> None:
        class Failing(Processor):
            def process_batch(self, batch: Batch, context: Context) -> None:
                context.forward_batch(batch)
                raise DeadLetter("bad")

        test = TestProcessor(Failing)
        [(row, error)] = test.process_batch([Record(value=b"x")])
        self.assertEqual((row, error.reaction), (0, "dead-letter"))
        self.assertEqual(test.take_forwarded(), [])
        with self.assertRaises(DeadLetter):
            test.process_batch([Record(), Record()])

    def test_has_rows_whose_failure_is_their_own(self) -> None:
        case = self

        class Odd(Processor):
            def __init__(self, setup: Setup) -> None:
                self.store = setup.store("store")

            def process_batch(self, batch: Batch, context: Context) -> None:
                with case.assertRaisesRegex(TypeError, "put_at"):
                    self.store.put("k", "v".encode())
                for row, record in enumerate(batch):

                    def work(context: Context) -> None:
                        self.store.put(f"k{row}", b"v")
                        context.forward(record)
                        if row % 2 == 1:
                            raise Skip("odd")

                    if not context.row(row, work):
                        break

        test = TestProcessor(Odd, stores=["store"])
        failures = test.process_batch([Record(value=str(n).encode(), timestamp=n) for n in (1, 2, 3, 4)])
        self.assertEqual([row for row, _ in failures], [1, 3])
        self.assertEqual(values(test), ["1", "3"])
        self.assertEqual([test.stored("store", f"k{n}") is not None for n in range(3)], [True, False, True])


class APunctuation(unittest.TestCase):
    def test_fires_when_it_is_due_and_ends_when_it_is_cancelled(self) -> None:
        case = self

        class Clock(Processor):
            def __init__(self, setup: Setup) -> None:
                self.strikes = 0
                setup.schedule(timedelta(milliseconds=100), PunctuationType.STREAM_TIME)
                setup.schedule(timedelta(seconds=1), PunctuationType.WALL_CLOCK_TIME, self.strike)
                with case.assertRaisesRegex(Error, "1 ms or more"):
                    setup.schedule(timedelta(0), PunctuationType.STREAM_TIME)
                with case.assertRaisesRegex(Error, "negative"):
                    setup.schedule_at(-1, timedelta(seconds=1), PunctuationType.STREAM_TIME)

            def strike(self, now: int, context: Context) -> None:
                context.forward(Record(b"wall", timestamp=now))
                context.commit()

            def process(self, record: Record, context: Context) -> None:
                context.forward(record.with_key("record").with_timestamp(context.stream_time()))

            def punctuate(
                self, punctuation: Punctuation, kind: PunctuationType, timestamp: int, context: Context
            ) -> None:
                self.strikes += 1
                context.forward(Record(b"stream", timestamp=timestamp))
                if self.strikes == 2:
                    context.cancel(punctuation)

        test = TestProcessor(Clock)
        for timestamp in (7, 99, 100, 350, 400):
            test.process(Record(timestamp=timestamp))
        test.advance_wall_clock_time(timedelta(milliseconds=999))
        test.advance_wall_clock_time(timedelta(milliseconds=1))
        seen = [(record.key, record.timestamp) for record in test.take_forwarded()]
        self.assertEqual(
            seen,
            [
                (b"record", 7), (b"stream", 7), (b"record", 99), (b"record", 100), (b"stream", 100),
                (b"record", 350), (b"record", 400), (b"wall", 1000),
            ],
        )  # fmt: skip
        self.assertEqual(test.commits_requested, 1)


class AStore(unittest.TestCase):
    def test_walks_in_the_order_of_bytes_both_ways_while_it_is_written_to(self) -> None:
        class Walker(Processor):
            def __init__(self, setup: Setup) -> None:
                self.store = setup.store("store", keys=serdes.text, values=serdes.long)

            def process(self, record: Record, context: Context) -> None:
                store = self.store
                store.put_many([("a", 1), ("b", 2), ("ba", 3), ("c", 4), ("é", 5)])
                walks = [
                    store.all(), store.range("b", "c", Order.DESCENDING), store.range("c", "b"),
                    store.prefix("b"), store.prefix("b", Order.DESCENDING),
                ]  # fmt: skip
                seen: list[object] = [" ".join(f"{key}{value}" for key, value, _ in walk) for walk in walks]
                seen += [store.get_many(["c", "none", "a"]), store.put_if_absent("a", 9), store.put_if_absent("d", 9)]
                for key, _, _ in store.all():
                    store.delete(key)
                seen.append(store.approximate_entries())
                store.put_at("x", 1, 77)
                seen.append(store.get_with_timestamp("x"))
                found.extend(seen)

        found: list[object] = []
        TestProcessor(Walker, stores=["store"]).process(Record())
        self.assertEqual(
            found,
            ["a1 b2 ba3 c4 é5", "c4 ba3 b2", "", "b2 ba3", "ba3 b2", [4, None, 1], 1, None, 0, (1, 77)],
        )

    def test_takes_text_where_it_has_no_serde_and_type_checkers_agree(self) -> None:
        class Raw(Processor):
            def __init__(self, setup: Setup) -> None:
                self.raw: KeyValueStore[bytes | str, bytes] = setup.store("store")

            def process(self, record: Record, context: Context) -> None:
                raw = self.raw
                raw.put("a", "1")
                raw.put(b"b", b"2")
                raw.put_at("c", "3", 9)
                raw.put_many([("d", "4"), (b"e", b"5"), ("gone", None)])
                raw.put_columns(["f"], ["6"], [1])
                before: bytes | None = raw.put_if_absent("g", "7")
                case.assertIsNone(before)

        case = self
        test = TestProcessor(Raw, stores=["store"])
        test.process(Record())
        self.assertEqual([test.stored("store", key) for key in "abcdefg"], [b"1", b"2", b"3", b"4", b"5", b"6", b"7"])

    def test_takes_columns(self) -> None:
        class Count(Processor):
            def __init__(self, setup: Setup) -> None:
                self.counts = setup.store("counts", keys=serdes.raw, values=serdes.long)

            def process_batch(self, batch: Batch, context: Context) -> None:
                keys = [key or b"" for key in batch.keys]
                known = dict(zip(keys, self.counts.get_many(keys)))
                counts = []
                for key in keys:
                    known[key] = count = (known[key] or 0) + 1
                    counts.append(count)
                self.counts.put_columns(keys, counts, batch.timestamps)
                context.forward_batch(batch.with_values(counts, serdes.long))

        test = TestProcessor(Count, stores=["counts"])
        test.process_batch([Record(key, timestamp=3) for key in (b"a", b"b", b"a", b"a")])
        self.assertEqual([record.value_as(serdes.long) for record in test.take_forwarded()], [1, 1, 2, 3])
        self.assertEqual((test.stored("counts", "a", serdes.long), test.host_calls), (3, 3))


class WhatIsUnfinished(unittest.TestCase):
    """Coroutines and generators: what they would do after the call, nobody does."""

    def test_is_refused_where_it_is_named(self) -> None:
        class Async(Processor):
            async def process(self, record: Record, context: Context) -> None:  # type: ignore[override]
                context.forward(record)

        class Generating(Processor):
            def process_batch(self, batch: Batch, context: Context) -> Iterator[None]:  # type: ignore[override]
                context.forward_batch(batch)
                yield

        async def ask(record: Record) -> bool:
            return True

        def choose(record: Record) -> Iterator[bytes]:
            yield b"key"

        cases: list[tuple[Callable[[], object], str]] = [
            (lambda: processor("async")(Async), "`process` of `Async` must not be async: a record's work ends with"),
            (lambda: TestProcessor(Async), "`process` of `Async` must not be async"),
            (lambda: processor("generating")(Generating), "`process_batch` of `Generating` must not contain `yield`"),
            (lambda: predicate("async")(ask),  # type: ignore[type-var]
                "the predicate `async` must not be async"),
            (lambda: key_selector("generating")(choose),  # type: ignore[type-var]
                "the key selector `generating` must not contain `yield`"),
        ]
        for name, expected in cases:
            with self.assertRaisesRegex(TypeError, expected):
                name()

    def test_is_refused_when_it_comes_back(self) -> None:
        async def later(*given: object) -> None: ...

        def slowly(*given: object) -> Iterator[None]:
            yield

        for unfinished in (later, slowly):
            for method in ("process", "process_batch", "punctuate", "punctuator", "close", "row"):
                with self.subTest(f"{unfinished.__name__} {method}"):
                    self.check_refused(method, lambda *given: unfinished(*given))

    def check_refused(self, method: str, give: Callable[..., Any]) -> None:
        class Giving(Processor):
            def __init__(self, setup: Setup) -> None:
                self.strike = give
                if method == "punctuate":
                    setup.schedule(timedelta(seconds=1), PunctuationType.WALL_CLOCK_TIME)
                if method == "punctuator":
                    setup.schedule(timedelta(seconds=1), PunctuationType.WALL_CLOCK_TIME, give)

        def in_a_row(self: Giving, batch: Batch, context: Context) -> None:
            context.row(0, give)

        if method == "row":
            Giving.process_batch = in_a_row  # type: ignore[method-assign, assignment]
        elif method != "punctuator":
            setattr(Giving, method, give)
        test = TestProcessor(Giving)
        with self.assertRaisesRegex(Error, "must not (be async|give a generator): a record's work ends with the call"):
            if method in ("punctuate", "punctuator"):
                test.advance_wall_clock_time(timedelta(seconds=1))
            elif method == "close":
                test.close()
            else:
                test.process(Record(b"k"))

    def test_is_no_answer_of_a_function_but_may_choose_keys(self) -> None:
        async def later(record: Record) -> bool:
            return True

        predicate("later")(lambda record: later(record))  # type: ignore[type-var]
        key_selector("later")(lambda record: later(record))  # type: ignore[type-var]
        with self.assertRaisesRegex(Error, "the predicate `later` must not be async"):
            ask_predicate("later", [Record(), Record()])
        with self.assertRaisesRegex(Error, "the key selector `later` must not be async"):
            ask_key_selector("later", [Record(), Record()])

        class Choosing(Processor):
            def __init__(self, setup: Setup) -> None:
                with case.assertRaisesRegex(TypeError, "what chooses the keys to read ahead must not be async"):
                    setup.store("store").read_ahead(later)  # type: ignore[arg-type]
                self.store = setup.store("store").read_ahead(self.keys)

            def keys(self, record: Record) -> Iterator[bytes]:
                yield record.key or b""

            def process(self, record: Record, context: Context) -> None:
                self.store.get(record.key or b"")

        case = self
        test = TestProcessor(Choosing, stores=["store"])
        self.assertEqual(test.process_batch([Record(b"a"), Record(b"b")]), [])
        self.assertEqual(test.host_calls, 1, "get-many")


class ReadingAhead(unittest.TestCase):
    class Picky(Processor):
        def __init__(self, setup: Setup) -> None:
            self.store = setup.store("store", keys=serdes.text, values=serdes.text).read_ahead(self.keys)

        def keys(self, record: Record) -> list[str]:
            if record.key == b"bad":
                raise Skip("no keys")
            return [record.key_as(serdes.text), "other"]

        def process(self, record: Record, context: Context) -> None:
            context.forward(record.with_value(self.store.put_if_absent(record.key_as(serdes.text), "v")))

    class Together(Picky):
        def process_batch(self, batch: Batch, context: Context) -> None:
            context.forward_batch(batch)

    def test_fails_the_one_record_whose_keys_cannot_be_chosen(self) -> None:
        records = [Record(key) for key in (b"a", b"bad", b"b", b"bad", b"a")]
        together = TestProcessor(self.Picky, stores=["store"])
        failures = together.process_batch(records)
        self.assertEqual(
            [(row, error.reaction, error.reason) for row, error in failures],
            [(1, "skip", "no keys"), (3, "skip", "no keys")],
        )
        self.assertEqual(together.host_calls, 3, "get-many, put-many, forward")
        single = TestProcessor(self.Picky, stores=["store"])
        for record in records:
            if record.key == b"bad":
                with self.assertRaisesRegex(Skip, "no keys"):
                    single.process(record)
            else:
                single.process(record)
        self.assertEqual(single.take_forwarded(), together.take_forwarded())

    def test_ends_the_call_of_a_whole_batch_and_fails_the_one_record(self) -> None:
        test = TestProcessor(self.Together, stores=["store"])
        with self.assertRaises(Skip):
            test.process_batch([Record(b"a"), Record(b"bad")])
        [(row, error)] = test.process_batch([Record(b"bad")])
        self.assertEqual((row, error.reason), (0, "no keys"))


class Text(unittest.TestCase):
    """What goes to the host is UTF-8, whatever it was made from."""

    def test_has_a_question_mark_for_half_a_character_wherever_it_goes_to_the_host(self) -> None:
        class Halves(Processor):
            def __init__(self, setup: Setup) -> None:
                for wanted in (setup.required, setup.child, setup.store):
                    try:
                        wanted("a\ud800b")
                    except Error as error:
                        case.assertIn("`a?b`", error.reason)
                    else:
                        case.fail("there is none of that name")

            def process(self, record: Record, context: Context) -> None:
                match record.key:
                    case b"skip":
                        raise Skip("\ud800 é")
                    case b"other":
                        raise ValueError("\ud800 é")
                    case b"caused":
                        raise Fatal("a") from ValueError("\udfff")
                    case _:
                        context.forward(record.with_headers([("\ud800 é", b"v")]))

        case = self
        test = TestProcessor(Halves, stores=["store"])
        for key, reaction, reason in [
            (b"skip", "skip", "? é"),
            (b"other", "fatal", "ValueError: ? é"),
            (b"caused", "fatal", "a: ValueError: ?"),
        ]:
            [(_, error)] = test.process_batch([Record(key)])
            self.assertEqual((error.reaction, error.reason), (reaction, reason))
        test.process(Record(b"header"))
        [record] = test.take_forwarded()
        self.assertEqual(record.headers, (("? é", b"v"),))

    def test_names_nothing_if_it_has_half_a_character(self) -> None:
        names: list[Callable[[str], Any]] = [processor, predicate, key_selector]
        for name in names:
            with self.assertRaisesRegex(ValueError, "it has half a character in it"):
                name("\ud800")(Script)

    def test_says_what_to_do_when_a_component_lacks_a_module_or_an_encoding(self) -> None:
        class Importing(Processor):
            def process(self, record: Record, context: Context) -> None:
                if record.key is None:
                    import no_such_module  # type: ignore[import-not-found] # noqa: F401
                b"x".decode("no-such-encoding")

        for platform in ("wasi", "linux"):
            with mock.patch("sys.platform", platform):
                test = TestProcessor(Importing)
                failures = [test.process_batch([Record(key)]) for key in (None, b"k")]
            [[(_, module)], [(_, encoding)]] = failures
            hint = "; import {} at the top of {}: what is not imported when the component is built is not in it"
            is_wasi = platform == "wasi"
            self.assertEqual(
                module.reason,
                "ModuleNotFoundError: No module named 'no_such_module'"
                + (hint.format("it", "the module") if is_wasi else ""),
            )
            self.assertEqual(
                encoding.reason,
                "LookupError: unknown encoding: no-such-encoding"
                + (hint.format("its module (`encodings.no_such_encoding`, say)", "yours") if is_wasi else ""),
            )


@predicate("is-even")
def is_even(record: Record) -> bool:
    return record.value is not None and record.value_as(serdes.long) % 2 == 0


@key_selector("by-value")
def by_value(record: Record) -> bytes | None:
    return record.value


class AFunction(unittest.TestCase):
    def test_answers_for_each_record_or_says_why_it_cannot(self) -> None:
        records = [Record(), *(Record().with_value(value, serdes.long) for value in (2, 3))]
        self.assertEqual(ask_predicate("is-even", records), [False, True, False])
        with self.assertRaisesRegex(Error, "the value has 1 bytes where 8 are expected"):
            ask_predicate("is-even", [Record(value=b"x")])
        self.assertEqual(
            ask_key_selector("by-value", [Record(value=b""), Record(), Record(value=b"x")]), [b"", None, b"x"]
        )
        with self.assertRaisesRegex(Error, "there is no predicate `none` in this plugin, but .*'is-even'"):
            ask_predicate("none", [])


if __name__ == "__main__":
    unittest.main()
