//! Processors as their authors test them: forwarding, state, time and errors, without Wasm.

use std::time::{Duration, SystemTime};

use millstream_sdk::prelude::*;
use millstream_sdk::testing::{TestProcessor, headers};

/// Does what the words of the value say, one after the other.
struct Script {
    store: KeyValueStore,
    other: Option<Child>,
}

impl Processor for Script {
    fn init(setup: &mut Setup) -> Result<Self> {
        Ok(Self { store: setup.store("store")?.read_ahead(), other: setup.child("other").ok() })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        for word in record.value_as::<&str>()?.split(' ') {
            match word.split_once('=') {
                Some(("put", value)) => self.store.put(record.key_as::<&str>()?, value),
                Some(("fail", reason)) => return Err(Error::skip(reason)),
                Some(("stop", reason)) => return Err(Error::retry(reason)),
                Some((key, value)) => self.store.put(key, value),
                None if word == "delete" => self.store.delete(record.key_as::<&str>()?),
                None if word == "all" => {
                    let entries: Vec<String> =
                        self.store.all().map(|entry| text(&entry.key) + &text(&entry.value)).collect();
                    context.forward(record.with_value(&entries.join(",")));
                }
                None if word == "other" => context.forward_to(self.other.expect("a child `other`"), record),
                None => {
                    let found = self.store.get(word).map(|value| text(&value));
                    context.forward(record.with_value(&found.unwrap_or_else(|| "none".to_owned())));
                }
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn script() -> TestProcessor<Script> {
    TestProcessor::new().with_store("store").with_children(&["child", "other"]).begin().expect("init")
}

fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
    Record::new(Some(key.as_bytes()), Some(value.as_bytes()), 5)
}

fn values(test: &mut TestProcessor<Script>) -> Vec<String> {
    test.take_forwarded().iter().map(|forwarded| forwarded.value::<&str>().to_owned()).collect()
}

#[test]
fn a_batch_and_single_records_give_the_same() {
    let scripts =
        [("a", "put=1 a b"), ("b", "a put=2 all"), ("a", "delete all b c=3"), ("c", "c a all"), ("a", "put=4 all")];
    let mut single = script();
    for (key, value) in scripts {
        single.process(record(key, value)).expect("processed");
    }
    let expected = values(&mut single);
    assert_eq!(expected, ["1", "none", "1", "a1,b2", "b2", "2", "3", "none", "b2,c3", "a4,b2,c3"]);
    let mut batch = script();
    let records = scripts.map(|(key, value)| record(key, value));
    assert_eq!(batch.process_batch(&records), Ok(Vec::new()));
    assert_eq!(values(&mut batch), expected);
    for key in ["a", "b", "c"] {
        assert_eq!(batch.stored("store", key), single.stored("store", key), "{key}");
    }
}

#[test]
fn what_a_failed_record_wrote_and_forwarded_is_taken_back_even_after_a_scan() {
    // Each record fails after it has overwritten, added and deleted; with `all` the host has seen its writes already.
    for spoiler in ["a=9 new=9 a fail=no", "a=9 new=9 all fail=no", "a=9 all a=8 all new=7 fail=no", "a=9 fail=no"] {
        let mut test = script();
        let records =
            [record("a", "put=1 b=2"), record("b", spoiler), record("b", "delete all fail=no"), record("c", "a all")];
        let failures = test.process_batch(&records).expect("no punctuations");
        assert_eq!(failures.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2], "{spoiler}");
        assert_eq!(values(&mut test), ["1", "a1,b2"], "{spoiler}");
        assert_eq!(test.stored("store", "a"), Some(b"1".to_vec()), "{spoiler}");
        assert_eq!(test.stored("store", "new"), None, "{spoiler}");
        assert_eq!(test.stored("store", "b"), Some(b"2".to_vec()), "{spoiler}");
    }
}

#[test]
fn after_a_record_that_must_be_tried_again_no_other_is_processed() {
    let mut test = script();
    let records = [record("a", "put=1"), record("b", "put=2 stop=later"), record("c", "put=3")];
    let failures = test.process_batch(&records).expect("no punctuations");
    assert_eq!(failures, [(1, Error::retry("later"))]);
    let stored = ["a", "b", "c"].map(|key| test.stored("store", key).is_some());
    assert_eq!(stored, [true, false, false]);
}

#[test]
fn a_batch_reads_ahead_and_writes_back_once() {
    let mut test = script();
    let records: Vec<_> = (0..100).map(|_| record("a", "put=1 a")).collect();
    test.process_batch(&records).expect("processed");
    assert_eq!(test.host_calls(), 3, "get-many, put-many, forward");
}

#[test]
fn records_for_one_child_and_for_all_keep_their_order() {
    let mut test = script();
    let records = [record("1", "other"), record("2", "nothing"), record("3", "other other"), record("4", "nothing")];
    test.process_batch(&records).expect("processed");
    let keys: Vec<String> = test
        .take_forwarded()
        .iter()
        .filter(|forwarded| forwarded.child.as_deref().is_none_or(|child| child == "other"))
        .map(|forwarded| forwarded.key::<&str>().to_owned())
        .collect();
    assert_eq!(keys, ["1", "2", "3", "3", "4"]);
}

#[test]
fn headers_timestamp_and_key_are_passed_along() {
    let mut test = script();
    let trace = headers(&[("trace", "1")]);
    test.process(record("k", "nothing").with_headers(trace.headers()).with_timestamp(9)).expect("processed");
    let forwarded = test.take_forwarded().remove(0);
    assert_eq!((forwarded.key::<&str>(), forwarded.timestamp), ("k", 9));
    assert_eq!(forwarded.headers, [("trace".to_owned(), Some(b"1".to_vec()))]);
    let changed = trace.with("trace", Some(b"2")).with("null", None);
    assert_eq!(changed.headers().last("trace"), Some(Some(&b"2"[..])));
    assert_eq!(changed.headers().last("null"), Some(None));
    assert!(changed.without("trace").without("null").headers().is_empty());
}

#[test]
fn values_of_another_form_say_what_they_are() {
    let short = Record::new(Some(b"key"), Some(b"\xff"), 1);
    let reason = |result: Result<()>| result.expect_err("another form").to_string();
    assert_eq!(reason(short.value_as::<i64>().map(drop)), "the value has 1 bytes where 8 are expected");
    assert!(reason(short.value_as::<&str>().map(drop)).starts_with("the value is not UTF-8: "));
    assert_eq!(reason(short.with_null_key().key_as::<&str>().map(drop)), "the key is null");
    assert_eq!(short.with_null_value().value_as::<Option<&str>>(), Ok(None));
    assert!(reason(short.value_as::<Json<u8>>().map(drop)).starts_with("the value is not the JSON that is expected: "));
    let Json(numbers) = short.with_value("[1, 2]").value_as::<Json<Vec<u8>>>().expect("JSON");
    assert_eq!((numbers, to_json(&3).expect("JSON")), (vec![1, 2], b"3".to_vec()));
}

/// Strikes by stream time, and once by the wall clock.
struct Clock {
    strikes: u32,
}

impl Processor for Clock {
    fn init(setup: &mut Setup) -> Result<Self> {
        setup.schedule(Duration::from_millis(100), PunctuationType::StreamTime)?;
        setup.schedule_with(Duration::from_secs(1), PunctuationType::WallClockTime, |now, context| {
            context.forward(Record::default().with_key("wall").with_timestamp(now));
            context.commit();
            Ok(())
        })?;
        assert!(setup.schedule(Duration::ZERO, PunctuationType::StreamTime).is_err());
        Ok(Self { strikes: 0 })
    }

    fn process(&mut self, _: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(Record::default().with_key("record").with_timestamp(context.stream_time()));
        Ok(())
    }

    fn punctuate(&mut self, id: Punctuation, _: PunctuationType, now: Timestamp, context: &mut Context) -> Result<()> {
        self.strikes += 1;
        context.forward(Record::default().with_key("stream").with_timestamp(now));
        if self.strikes == 2 {
            context.cancel(id);
        }
        Ok(())
    }
}

#[test]
fn punctuations_fire_when_they_are_due_and_end_when_cancelled() {
    let mut test = TestProcessor::<Clock>::new().begin().expect("init");
    for timestamp in [7, 99, 100, 350, 400] {
        test.process(Record::default().with_timestamp(timestamp)).expect("processed");
    }
    test.advance_wall_clock_time(Duration::from_millis(999)).expect("nothing is due");
    test.advance_wall_clock_time(Duration::from_millis(1)).expect("punctuated");
    let seen: Vec<(String, i64)> = test
        .take_forwarded()
        .iter()
        .map(|forwarded| (forwarded.key::<&str>().to_owned(), forwarded.timestamp))
        .collect();
    let expected = [
        ("record", 7),
        ("stream", 7),
        ("record", 99),
        ("record", 100),
        ("stream", 100),
        ("record", 350),
        ("record", 400),
        ("wall", 1_000),
    ];
    assert_eq!(seen, expected.map(|(key, time)| (key.to_owned(), time)));
    assert_eq!(test.commits_requested(), 1);
}

/// Reads several keys at once, and knows what it was granted.
struct Many {
    store: KeyValueStore,
}

impl Processor for Many {
    fn init(setup: &mut Setup) -> Result<Self> {
        assert_eq!(setup.stores(), ["many"]);
        assert_eq!(setup.settings().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        Ok(Self { store: setup.store("many")? })
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        self.store.put("written", "here");
        let found = self.store.get_many(&["x", "written", "nothing", "x"]);
        let texts: Vec<_> =
            found.iter().map(|value| value.as_deref().map_or("-".into(), String::from_utf8_lossy)).collect();
        context.forward(record.with_value(&texts.join(",")));
        Ok(())
    }
}

#[test]
fn many_keys_are_read_in_one_call_and_see_what_was_written() {
    let processor = TestProcessor::<Many>::new().with_store("many").with_config("a", "1").with_config("b", "2");
    let mut test = processor.begin().expect("init");
    test.process(Record::default().with_key("k")).expect("processed");
    assert_eq!(test.take_forwarded()[0].value::<&str>(), "-,here,-,-");
    assert_eq!(test.host_calls(), 3, "get-many, put-many, forward");
}

struct Parity {
    store: KeyValueStore,
}

impl Processor for Parity {
    fn init(setup: &mut Setup) -> Result<Self> {
        setup.schedule_at_with(25, Duration::from_millis(10), PunctuationType::WallClockTime, |now, context| {
            let seen = millstream_sdk::time::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
            context.forward(Record::default().with_value(&format!("{now} {seen}")));
            Ok(())
        })?;
        Ok(Self { store: setup.store("s")? })
    }

    fn process(&mut self, record: Record<'_>, _context: &mut Context) -> Result<()> {
        self.store.put_many([("a", Some("1")), ("b", record.value_as::<Option<&str>>()?), ("a", Some("2"))]);
        if record.key().is_some() { Err(Error::skip("taken back")) } else { Ok(()) }
    }
}

#[test]
fn many_entries_are_written_in_their_order_and_taken_back_together() {
    let mut test = TestProcessor::<Parity>::new().with_store("s").begin().expect("begins");
    test.put("s", "b", "before");
    test.process(Record::default().with_key("k").with_value("new")).expect_err("skipped");
    assert_eq!((test.stored("s", "a"), test.stored("s", "b")), (None, Some(b"before".to_vec())));
    test.process(Record::default()).expect("is processed");
    assert_eq!((test.stored("s", "a"), test.stored("s", "b")), (Some(b"2".to_vec()), None));
}

#[test]
fn a_punctuator_begins_at_its_start_and_sees_the_same_time_by_the_sdk_s_clock() {
    let mut test = TestProcessor::<Parity>::new().with_store("s").begin().expect("begins");
    for milliseconds in [24, 1, 10] {
        test.advance_wall_clock_time(Duration::from_millis(milliseconds)).expect("no punctuation fails");
    }
    let texts: Vec<String> = test.take_forwarded().iter().map(|record| record.value::<&str>().to_owned()).collect();
    assert_eq!(texts, ["25 25", "35 35"]);
}
