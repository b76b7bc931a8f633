//! What the native operators, sinks and repartition topics do with each kind of record (reference §1.2, §4.3, §4.8).

use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicPartition};
use millstream_core::partitioner::partition_for_key;
use millstream_core::record::Record;
use millstream_core::topology::{RepartitionOptions, SinkTopic, Step, StoreKind, Topology};
use millstream_tests::driver::declare::{Draft, function, source, store};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const TIMESTAMPED: StoreKind = StoreKind::TimestampedKeyValue;

fn driver(topology: Topology, plugins: NativePlugins) -> TopologyDriver {
    TopologyDriver::new(topology, Box::new(plugins), DriverOptions::default())
}

fn run(driver: &mut TopologyDriver, records: &[TestRecord]) -> Vec<TestRecord> {
    records.iter().for_each(|record| driver.write("in", None, record));
    driver.run_until_caught_up().expect("runs");
    driver.read_output("out")
}

/// One record for each combination of null and not null.
fn with_nulls() -> [TestRecord; 4] {
    let record = |key: Option<&str>, value: Option<&str>, time| {
        TestRecord::with(key.map(str::as_bytes), value.map(str::as_bytes), time).header("h", Some(b"x"))
    };
    [record(Some("k"), Some("v"), 1), record(None, Some("v"), 2), record(Some("k"), None, 3), record(None, None, 4)]
}

fn stateless(step: Step) -> Topology {
    Draft::new().source("in").step("node", step, &["in"], &[]).sink("out", &["node"]).build()
}

fn counting() -> Topology {
    let draft = Draft::new().source("in").count("counts", "in", "counts-store");
    draft.store_of("counts-store", store(TIMESTAMPED)).sink("out", &["counts"]).build()
}

fn count(key: &str, count: i64, timestamp: i64) -> TestRecord {
    TestRecord::new(key, count.to_be_bytes(), timestamp)
}

#[test]
fn count_drops_null_keys_and_null_values() {
    let mut driver = driver(counting(), NativePlugins::default());
    assert_eq!(run(&mut driver, &with_nulls()), [count("k", 1, 1).header("h", Some(b"x"))]);
    assert_eq!(driver.thread.totals().records_dropped, 3);
    assert_eq!(driver.committed("in", 0).expect("is committed").offset, Offset(4));
}

#[test]
fn a_count_has_the_higher_timestamp_and_the_headers_of_the_record() {
    // "result ts = max(record ts, old agg ts)"; "last input record wins when an operator derives a record"
    let mut driver = driver(counting(), NativePlugins::default());
    let of = |time: i64, header: &[u8]| TestRecord::new("k", "v", time).header("from", Some(header));
    let found = run(&mut driver, &[of(10, b"1"), of(5, b"2"), TestRecord::new("k", "v", 7), of(20, b"4")]);
    let expected = [
        count("k", 1, 10).header("from", Some(b"1")),
        count("k", 2, 10).header("from", Some(b"2")),
        count("k", 3, 10),
        count("k", 4, 20).header("from", Some(b"4")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_empty_key_and_an_empty_value_are_not_null() {
    let mut driver = driver(counting(), NativePlugins::default());
    assert_eq!(
        run(&mut driver, &[TestRecord::new("", "", 1), TestRecord::new("", "", 2)]),
        [count("", 1, 1), count("", 2, 2)]
    );
    assert_eq!(driver.store(TaskId::new(0, 0), "counts-store"), [(b"".to_vec(), 2_i64.to_be_bytes().to_vec())]);
}

#[test]
fn filter_gives_null_keys_and_values_to_its_predicate() {
    let plugins = || NativePlugins::default().predicate("has-key", |record| record.key.is_some());
    let all = with_nulls();
    for (negated, expected) in [(false, [all[0].clone(), all[2].clone()]), (true, [all[1].clone(), all[3].clone()])] {
        let mut driver = driver(stateless(Step::Filter { predicate: function("has-key"), negated }), plugins());
        assert_eq!(run(&mut driver, &all), expected, "negated: {negated}");
        assert_eq!(driver.thread.totals().records_dropped, 0, "what a filter holds back is not dropped");
    }
}

#[test]
fn group_by_gives_the_selected_key_and_leaves_the_rest_as_it_is() {
    let plugins = NativePlugins::default().key_selector("by-value", |record| record.value.map(<[u8]>::to_vec));
    let mut driver = driver(stateless(Step::GroupBy { selector: function("by-value") }), plugins);
    let rekeyed = |record: &TestRecord| TestRecord { key: record.value.clone(), ..record.clone() };
    let expected: Vec<_> = with_nulls().iter().map(rekeyed).collect();
    assert_eq!(run(&mut driver, &with_nulls()), expected);
}

#[test]
fn merge_passes_everything_of_all_inputs() {
    let draft = Draft::new().source("in").source("too").step("both", Step::Merge, &["in", "too"], &[]);
    let mut driver = driver(draft.sink("out", &["both"]).build(), NativePlugins::default());
    driver.write("too", None, &TestRecord::new("k", "too", 2));
    let found = run(&mut driver, &with_nulls());
    let times: Vec<_> = found.iter().map(|record| record.timestamp).collect();
    assert_eq!(times.len(), 5);
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn records_without_a_key_do_not_pass_a_repartition_and_those_without_a_value_do() {
    // "a `key != null` filter is put before the repartition sink"
    let topology = stateless(Step::Repartition(RepartitionOptions::default()));
    let mut driver = driver(topology, NativePlugins::default());
    let all = with_nulls();
    assert_eq!(run(&mut driver, &all), [all[0].clone(), all[2].clone()]);
    assert_eq!(driver.thread.totals().records_dropped, 2);
    assert_eq!(driver.read_output("app-node-repartition").len(), 2);
}

#[test]
fn a_repartition_sends_each_key_to_the_partition_where_java_sends_it() {
    let repartition = RepartitionOptions { name: Some("spread".into()), partitions: Some(4) };
    let mut driver = driver(stateless(Step::Repartition(repartition)), NativePlugins::default());
    let keys: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
    let records: Vec<_> = keys.iter().map(|key| TestRecord::new(key, "v", 1)).collect();
    run(&mut driver, &records);
    for partition in 0..4 {
        let mut fetched = millstream_core::port::Fetched::default();
        let at = TopicPartition::new("app-spread-repartition", partition);
        let isolation = millstream_embedded::Isolation::ReadCommitted;
        driver.log.read(&at, Offset(0), isolation, 100, &mut fetched).expect("is there");
        assert!(!fetched.records.is_empty());
        for record in fetched.records.iter() {
            assert_eq!(partition_for_key(record.key.expect("has a key"), 4), partition);
        }
    }
}

#[test]
fn a_count_of_a_changed_key_goes_through_a_repartition_topic_named_after_its_store() {
    let draft = Draft::new()
        .source("in")
        .step("by-value", Step::GroupBy { selector: function("by-value") }, &["in"], &[])
        .count("counts", "by-value", "counts-store")
        .store_of("counts-store", store(TIMESTAMPED))
        .sink("out", &["counts"]);
    let plugins = NativePlugins::default().key_selector("by-value", |record| record.value.map(<[u8]>::to_vec));
    let mut driver = driver(draft.build(), plugins);
    let found = run(&mut driver, &[TestRecord::with(None, Some(b"a"), 1), TestRecord::new("x", "a", 2)]);
    assert_eq!(found, [count("a", 1, 1), count("a", 2, 2)]);
    assert_eq!(driver.read_output("app-counts-store-repartition").len(), 2);
}

#[test]
fn words_are_counted_through_a_repartition_topic() {
    let mut draft = Draft::new().source("in").plugin_with_new_keys("split", &["in"]);
    draft = draft.count("counts", "split", "counts-store").store_of("counts-store", store(TIMESTAMPED));
    let plugins = NativePlugins::default().processor("split", |_| {
        NativeProcessor::of(|context, record, index| {
            let text = String::from_utf8_lossy(record.value.unwrap_or_default()).to_lowercase();
            for word in text.split_whitespace() {
                context.forward_record(Record { key: Some(word.as_bytes()), ..record }, index);
            }
            Ok(())
        })
    });
    let mut driver = driver(draft.sink("out", &["counts"]).build(), plugins);
    let found = run(&mut driver, &[TestRecord::with(None, Some(b"Hello world hello"), 5)]);
    assert_eq!(found, [count("hello", 1, 5), count("world", 1, 5), count("hello", 2, 5)]);
    let found = run(&mut driver, &[TestRecord::with(None, Some(b"world"), 3)]);
    assert_eq!(found, [count("world", 2, 5)], "the higher timestamp wins");
    assert_eq!(driver.read_output("app-counts-store-changelog").len(), 3, "each key once a commit");
    assert_eq!(driver.thread.totals().restarts, 0);
}

#[test]
fn children_are_called_in_the_order_they_were_attached_each_with_its_whole_subtree() {
    let draft = Draft::new()
        .source("in")
        .plugin("left", &["in"], &[])
        .plugin("right", &["in"], &[])
        .plugin("below-left", &["left"], &[])
        .sink("out", &["below-left", "right", "left"]);
    let say = |name: &'static str| {
        move |_| {
            NativeProcessor::saying(move |_, record, _| {
                format!("{}/{name}", String::from_utf8_lossy(record.value.unwrap_or_default()))
            })
        }
    };
    let plugins = NativePlugins::default()
        .processor("left", say("l"))
        .processor("right", say("r"))
        .processor("below-left", say("b"));
    let mut driver = driver(draft.build(), plugins);
    for value in ["1", "2"] {
        driver.write("in", None, &TestRecord::new("k", value, 1));
    }
    driver.run_until_caught_up().expect("runs");
    // `left` forwards to `below-left` first, which was attached first, and then to the sink.
    assert_eq!(driver.read_texts("out"), ["1/l/b", "1/l", "1/r", "2/l/b", "2/l", "2/r"]);
}

#[test]
fn a_sink_passes_nulls_and_takes_its_topic_from_the_record() {
    let partitions = [("one".to_owned(), 1), ("two".to_owned(), 1)].into();
    let options = DriverOptions { partitions, ..DriverOptions::default() };
    let topology = Draft::new().source("in").sink_to("sink", SinkTopic::FromHeader("to".into()), &["in"]).build();
    let mut by_header = TopologyDriver::new(topology, Box::new(NativePlugins::default()), options);
    let to = |topic: &str, time| TestRecord::with(None, None, time).header("to", Some(topic.as_bytes()));
    let last_wins = to("one", 3).header("to", Some(b"two"));
    for record in [to("one", 1), to("two", 2), last_wins.clone()] {
        by_header.pipe_input("in", &record).expect("runs");
    }
    assert_eq!(by_header.read_output("one"), [to("one", 1)]);
    assert_eq!(by_header.read_output("two"), [to("two", 2), last_wins]);

    let options = DriverOptions { partitions: [("one".to_owned(), 1)].into(), ..DriverOptions::default() };
    let topology = Draft::new().source("in").sink_to("sink", SinkTopic::FromKey, &["in"]).build();
    let mut by_key = TopologyDriver::new(topology, Box::new(NativePlugins::default()), options);
    by_key.pipe_input("in", &TestRecord::new("one", "v", 1)).expect("runs");
    assert_eq!(by_key.read_texts("one"), ["v"]);
}

#[test]
fn a_record_that_names_no_legal_topic_fails_its_task_and_says_which() {
    let long = "x".repeat(250);
    let cases: &[(SinkTopic, Option<&str>, &str)] = &[
        (SinkTopic::FromHeader("to".into()), None, "the record has no header `to`"),
        (SinkTopic::FromKey, None, "the record has no key"),
        (SinkTopic::FromKey, Some(""), "not a legal name"),
        (SinkTopic::FromKey, Some("a b"), "names the topic `a b`, which is not a legal name"),
        (SinkTopic::FromKey, Some(".."), "not a legal name"),
        (SinkTopic::FromKey, Some("../up"), "not a legal name"),
        (SinkTopic::FromKey, Some(&long), "not a legal name"),
    ];
    for (topic, key, expected) in cases {
        let topology = Draft::new().source("in").sink_to("sink", topic.clone(), &["in"]).build();
        let mut driver = driver(topology, NativePlugins::default());
        driver.pipe_input("in", &TestRecord::with(key.map(str::as_bytes), Some(b"v"), 1)).expect("the thread goes on");
        let failed = driver.thread.failed_tasks().values().next().expect("the task has failed");
        assert!(failed.starts_with("task 0_0: node `sink` at record in-0 offset 0 "), "{failed}");
        assert!(failed.contains(expected), "{failed}");
        assert_eq!(driver.committed("in", 0), None);
    }
}

#[test]
fn a_topic_that_a_record_names_must_exist() {
    // "dynamic: topic must exist, no auto-create"
    let topology = Draft::new().source("in").sink_to("sink", SinkTopic::FromKey, &["in"]).build();
    let mut driver = driver(topology, NativePlugins::default());
    driver.pipe_input("in", &TestRecord::new("nowhere", "v", 1)).expect("the thread goes on");
    let failed = driver.thread.failed_tasks().values().next().expect("the task has failed");
    assert!(failed.contains("`nowhere`"), "{failed}");
    assert_eq!(driver.log.partitions(&"nowhere".into()), None);
}

#[test]
fn only_consumed_records_of_only_repartition_topics_are_purged_and_only_now_and_then() {
    // "Purge: after committing, DeleteRecords up to the committed offsets on *repartition* source partitions only"
    let draft = Draft::new()
        .source_of("in", source(&["in"]))
        .step("again", Step::Repartition(RepartitionOptions::default()), &["in"], &[])
        .count("counts", "again", "counts-store")
        .store_of("counts-store", store(TIMESTAMPED))
        .sink("out", &["counts"]);
    let mut driver = driver(draft.build(), NativePlugins::default());
    let start = |driver: &TopologyDriver, topic: &str| {
        driver.log.start_offset(&TopicPartition::new(topic, 0)).expect("is there").0
    };
    let repartition = "app-again-repartition";
    let ten: Vec<_> = (0..10).map(|time| TestRecord::new("k", "v", time)).collect();
    run(&mut driver, &ten);
    assert_eq!(start(&driver, repartition), 0, "the interval is not over");
    driver.clock.advance(Duration::from_secs(30));
    run(&mut driver, &ten[..1]);
    let purged = start(&driver, repartition);
    assert!(purged >= 10, "{purged}");
    let committed = driver.committed(repartition, 0).expect("is committed").offset.0;
    assert!(purged <= committed, "never more than what is committed: {purged} of {committed}");
    for topic in ["in", "out", "app-counts-store-changelog"] {
        assert_eq!(start(&driver, topic), 0, "{topic}");
    }
    run(&mut driver, &ten);
    assert_eq!(start(&driver, repartition), purged, "the next interval is not over");
}
