//! Which record is next, and what time it is then (reference §4.1).

use std::time::Duration;

use millstream_core::id::{Offset, TaskId};
use millstream_core::offset_metadata;
use millstream_core::port::Lag;
use millstream_core::topology::{Source, SourceTopics, TimestampExtractor, Topology};
use millstream_tests::driver::declare::{Draft, source};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 0 };

/// Says of each record its value and stream time when it was processed.
fn watch() -> NativePlugins {
    NativePlugins::default().processor("watch", |_| {
        NativeProcessor::saying(|context, record, index| {
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            format!("{value} t{} s{}", record.timestamp, context.stream_time_at(index))
        })
    })
}

fn two_sources() -> Topology {
    Draft::new().source("a").source("b").plugin("watch", &["a", "b"], &[]).sink("out", &["watch"]).build()
}

fn one_source(extractor: TimestampExtractor) -> Topology {
    let source = Source { timestamp_extractor: extractor, ..source(&["a"]) };
    Draft::new().source_of("a", source).plugin("watch", &["a"], &[]).sink("out", &["watch"]).build()
}

fn driver(topology: Topology, idle_max: Option<Duration>) -> TopologyDriver {
    let mut options = DriverOptions::default();
    options.settings.task_idle_max = idle_max;
    TopologyDriver::new(topology, Box::new(watch()), options)
}

fn write(driver: &mut TopologyDriver, topic: &str, value: &str, timestamp: i64) {
    driver.write(topic, None, &TestRecord::new("k", value, timestamp));
}

#[test]
fn the_queue_whose_head_has_the_lowest_timestamp_is_next() {
    // Timestamps in topic `a`, in topic `b`, and the order in which they are processed.
    let cases: &[(&[i64], &[i64], &[i64])] = &[
        (&[1, 4, 9], &[2, 3, 10], &[1, 2, 3, 4, 9, 10]),
        (&[1, 2, 3], &[], &[1, 2, 3]),
        // Within a queue records stay in the order of their offsets: only heads are compared.
        (&[5, 1, 2], &[3, 4], &[3, 4, 5, 1, 2]),
        (&[5, 1, 6], &[3, 7, 2], &[3, 5, 1, 6, 7, 2]),
        (&[0], &[i64::MAX], &[0, i64::MAX]),
    ];
    for (a, b, expected) in cases {
        for run_records_max in [1, 2, 1000] {
            let mut options = DriverOptions::default();
            options.settings.run_records_max = run_records_max;
            let mut driver = TopologyDriver::new(two_sources(), Box::new(watch()), options);
            a.iter().for_each(|time| write(&mut driver, "a", "a", *time));
            b.iter().for_each(|time| write(&mut driver, "b", "b", *time));
            driver.run_until_caught_up().expect("runs");
            let found: Vec<i64> = driver.read_output("out").iter().map(|record| record.timestamp).collect();
            assert_eq!(&found, expected, "{a:?} and {b:?} in runs of {run_records_max}");
        }
    }
}

#[test]
fn stream_time_is_the_highest_timestamp_dequeued_and_is_advanced_before_the_record_is_processed() {
    let mut driver = driver(two_sources(), Some(Duration::ZERO));
    for (topic, time) in [("a", 5), ("a", 3), ("b", 4), ("b", 20), ("a", 10)] {
        write(&mut driver, topic, topic, time);
    }
    driver.run_until_caught_up().expect("runs");
    let expected = ["b t4 s4", "a t5 s5", "a t3 s5", "a t10 s10", "b t20 s20"];
    assert_eq!(driver.read_texts("out"), expected);
    driver.pipe_input("a", &TestRecord::new("k", "late", 1)).expect("runs");
    assert_eq!(driver.read_texts("out"), ["late t1 s20"]);
}

#[test]
fn stream_time_begins_unknown_and_after_a_restart_with_the_highest_committed_partition_time() {
    let mut first = driver(two_sources(), Some(Duration::ZERO));
    first.run_until_caught_up().expect("runs");
    assert_eq!(first.thread.task_mut(TASK).expect("is open").stream_time(), -1);
    for (topic, time) in [("a", 7), ("b", 90), ("b", 30)] {
        first.pipe_input(topic, &TestRecord::new("k", topic, time)).expect("runs");
    }
    let partition_time = |topic| offset_metadata::decode(&first.committed(topic, 0).expect("is committed").metadata);
    assert_eq!([partition_time("a"), partition_time("b")], [7, 90]);
    let options = DriverOptions { log: first.log.clone(), ..DriverOptions::default() };
    drop(first);
    let mut second = TopologyDriver::new(two_sources(), Box::new(watch()), options);
    second.run_until_caught_up().expect("runs");
    assert_eq!(second.thread.task_mut(TASK).expect("is open").stream_time(), 90);
    second.pipe_input("a", &TestRecord::new("k", "again", 8)).expect("runs");
    assert_eq!(second.read_texts("out").last().expect("there are some"), "again t8 s90");
    let metadata = second.committed("a", 0).expect("is committed").metadata;
    assert_eq!(offset_metadata::decode(&metadata), 8, "the partition time of `a` was 7");
}

#[test]
fn an_empty_input_is_waited_for_as_long_as_the_rule_says() {
    // "max.task.idle.ms = -1: ready; lag unknown: not ready; lag > 0: not ready; lag = 0: not ready until the deadline has passed"
    let second = Some(Duration::from_secs(1));
    let cases = [
        ("off, nothing known", None, Some(Lag::Unknown), 0, 1),
        ("off, behind", None, Some(Lag::Behind), 0, 1),
        ("zero, nothing known", Some(Duration::ZERO), Some(Lag::Unknown), 100_000, 0),
        ("zero, behind", Some(Duration::ZERO), Some(Lag::Behind), 100_000, 0),
        ("zero, caught up", Some(Duration::ZERO), Some(Lag::CaughtUp), 0, 1),
        ("a second, nothing known", second, Some(Lag::Unknown), 100_000, 0),
        ("a second, behind", second, Some(Lag::Behind), 100_000, 0),
        ("a second, caught up, not over", second, Some(Lag::CaughtUp), 999, 0),
        ("a second, caught up, over", second, Some(Lag::CaughtUp), 1_000, 1),
        ("a second, truly empty, over", second, None, 1_000, 1),
    ];
    for (name, idle_max, lag, wait, expected) in cases {
        let mut options = DriverOptions::default();
        options.settings.task_idle_max = idle_max;
        let corks = options.corks.clone();
        let mut driver = TopologyDriver::new(two_sources(), Box::new(watch()), options);
        if let Some(lag) = lag {
            corks.cork("b", 0, lag);
        }
        write(&mut driver, "a", "a", 5);
        let mut records = driver.run_rounds(10).expect("runs").records;
        driver.clock.advance(Duration::from_millis(wait));
        records += driver.run_rounds(10).expect("runs").records;
        assert_eq!(records, expected, "{name}");
    }
}

#[test]
fn a_record_known_to_exist_is_processed_before_a_later_one_that_is_there() {
    let options = DriverOptions::default();
    let corks = options.corks.clone();
    let mut driver = TopologyDriver::new(two_sources(), Box::new(watch()), options);
    write(&mut driver, "a", "a", 5);
    write(&mut driver, "b", "b", 3);
    corks.cork("b", 0, Lag::Behind);
    assert_eq!(driver.run_rounds(10).expect("runs").records, 0);
    corks.pull("b", 0);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["b t3 s3", "a t5 s5"]);
}

#[test]
fn the_deadline_of_idling_is_set_once_and_again_after_records_came() {
    let mut driver = driver(two_sources(), Some(Duration::from_millis(100)));
    write(&mut driver, "a", "a1", 1);
    driver.run_rounds(3).expect("runs");
    driver.clock.advance(Duration::from_millis(60));
    write(&mut driver, "a", "a2", 2);
    driver.run_rounds(3).expect("runs");
    driver.clock.advance(Duration::from_millis(60));
    let round = driver.run_rounds(3).expect("runs");
    assert_eq!(round.records, 2, "the second record has not moved the deadline");
    // Enforced once, the empty input is not waited for again until it has had a record.
    write(&mut driver, "a", "a3", 3);
    assert_eq!(driver.run_rounds(3).expect("runs").records, 1);
    write(&mut driver, "b", "b4", 4);
    write(&mut driver, "a", "a5", 5);
    assert_eq!(driver.run_rounds(1).expect("runs").records, 1, "`b4`, and then `b` is empty again");
    assert_eq!(driver.run_rounds(5).expect("runs").records, 0);
    driver.clock.advance(Duration::from_millis(100));
    assert_eq!(driver.run_rounds(5).expect("runs").records, 1);
}

#[test]
fn negative_timestamps_are_handled_by_the_extractor_of_the_source() {
    let run = |extractor, times: &[i64]| {
        let mut driver = driver(one_source(extractor), Some(Duration::ZERO));
        driver.clock.advance(Duration::from_millis(1_234));
        for (number, time) in times.iter().enumerate() {
            write(&mut driver, "a", &format!("v{number}"), *time);
        }
        driver.run_until_caught_up().expect("runs");
        let failed = driver.thread.failed_tasks().values().next().cloned();
        (driver.read_texts("out"), driver.thread.totals().records_dropped, failed, driver)
    };
    let (texts, dropped, failed, _) = run(TimestampExtractor::LogAndSkip, &[-1, 5, -7, 4, -1]);
    assert_eq!((texts, dropped, failed), (vec!["v1 t5 s5".to_owned(), "v3 t4 s5".to_owned()], 3, None));

    // "partitionTime = max(timestamp of polled records); passed to the TimestampExtractor"
    let (texts, dropped, failed, _) = run(TimestampExtractor::UsePartitionTime, &[5, 3, -1, 9, -1]);
    assert_eq!(texts, ["v0 t5 s5", "v1 t3 s5", "v2 t5 s5", "v3 t9 s9", "v4 t9 s9"]);
    assert_eq!((dropped, failed), (0, None));

    let (texts, _, failed, _) = run(TimestampExtractor::UsePartitionTime, &[-1]);
    assert_eq!(texts, [""; 0]);
    assert!(failed.expect("there is no partition time yet").contains("a-0 offset 0"));

    let (texts, dropped, failed, _) = run(TimestampExtractor::WallClock, &[-1, 99]);
    assert_eq!((texts, dropped, failed), (vec!["v0 t1234 s1234".to_owned(), "v1 t1234 s1234".to_owned()], 0, None));

    let (texts, _, failed, mut driver) = run(TimestampExtractor::FailOnInvalid, &[5, -1, 6]);
    let failed = failed.expect("the task has failed");
    assert!(failed.starts_with("task 0_0: node `a` at record a-0 offset 1"), "{failed}");
    assert!(failed.contains("invalid timestamp -1"), "{failed}");
    assert_eq!(texts.len() as i64, driver.committed("a", 0).map_or(0, |committed| committed.offset.0));
    assert_eq!(driver.run_rounds(5).expect("the thread goes on").records, 0);
}

#[test]
fn a_queue_of_nothing_but_bad_records_is_committed() {
    // "If everything left in the queue is bad, a CorruptedRecord placeholder becomes the head so that its offset can be committed."
    let mut driver = driver(one_source(TimestampExtractor::LogAndSkip), Some(Duration::ZERO));
    for _ in 0..3 {
        write(&mut driver, "a", "bad", -1);
    }
    driver.run_until_caught_up().expect("runs");
    let committed = driver.committed("a", 0).expect("the position has moved");
    assert_eq!((committed.offset, offset_metadata::decode(&committed.metadata)), (Offset(3), -1));
}

#[test]
fn a_bad_head_does_not_hide_the_lowest_timestamp_of_what_follows() {
    let bad = Source { timestamp_extractor: TimestampExtractor::LogAndSkip, ..source(&["a"]) };
    let topology = Draft::new().source_of("a", bad).source("b").plugin("watch", &["a", "b"], &[]);
    let mut driver = driver(topology.sink("out", &["watch"]).build(), Some(Duration::ZERO));
    for (topic, time) in [("a", -1), ("a", 10), ("b", 5)] {
        write(&mut driver, topic, topic, time);
    }
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["b t5 s5", "a t10 s10"]);
}

#[test]
fn a_source_of_several_topics_chooses_among_them_by_timestamp_too() {
    let topology = Draft::new().source_of("in", source(&["a", "b", "c"])).plugin("watch", &["in"], &[]);
    let mut driver = driver(topology.sink("out", &["watch"]).build(), Some(Duration::ZERO));
    for (topic, time) in [("c", 1), ("b", 2), ("a", 3), ("c", 4)] {
        write(&mut driver, topic, topic, time);
    }
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["c t1 s1", "b t2 s2", "a t3 s3", "c t4 s4"]);
}

#[test]
fn a_pattern_reads_every_topic_that_it_matches_as_a_whole() {
    let pattern = Source { topics: SourceTopics::Pattern("orders-.*".into()), ..source(&[]) };
    let topology = Draft::new().source_of("in", pattern).plugin("watch", &["in"], &[]).sink("out", &["watch"]);
    let partitions = ["orders-eu", "orders-us", "my-orders-eu"].map(|topic| (topic.to_owned(), 1)).into();
    let options = DriverOptions { partitions, ..DriverOptions::default() };
    let mut driver = TopologyDriver::new(topology.build(), Box::new(watch()), options);
    for (topic, time) in [("orders-us", 2), ("my-orders-eu", 1), ("orders-eu", 1)] {
        write(&mut driver, topic, topic, time);
    }
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["orders-eu t1 s1", "orders-us t2 s2"]);
}
