//! What a commit holds, and when there is one (reference §4.3, §4.5).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use millstream_core::Result;
use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::{Offset, SubTopologyId, TaskId, TopicPartition};
use millstream_core::offset_metadata;
use millstream_core::port::{Broker, CommittedOffset, GroupMetadata, Producer, ProducerRecord};
use millstream_core::record::{Headers, Record};
use millstream_core::record_collector::RecordCollector;
use millstream_core::topology::{StoreKind, Topology};
use millstream_embedded::{EmbeddedBroker, Isolation};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::kept_state::KeptState;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const HOUR: Duration = Duration::from_secs(3_600);

fn counting() -> Topology {
    Draft::new()
        .source("in")
        .count("counts", "in", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["counts"])
        .build()
}

fn passing() -> Topology {
    Draft::new().source("in").plugin("pass", &["in"], &[]).sink("out", &["pass"]).build()
}

/// Forwards; asks for a commit when the value is `commit`; swallows the value `quiet`.
fn plugins() -> NativePlugins {
    NativePlugins::default().processor("pass", |_| {
        NativeProcessor::of(|context, record, index| {
            context.commit_requested |= record.value == Some(b"commit");
            if record.value != Some(b"quiet") {
                context.forward_record(record, index);
            }
            Ok(())
        })
    })
}

fn every(interval: Duration) -> DriverOptions {
    let mut options = DriverOptions::default();
    options.settings.commit_interval = interval;
    options
}

fn driver(topology: Topology, options: DriverOptions) -> TopologyDriver {
    TopologyDriver::new(topology, Box::new(plugins()), options)
}

fn write(driver: &mut TopologyDriver, key: &str, value: &str, timestamp: i64) {
    driver.write("in", None, &TestRecord::new(key, value, timestamp));
}

/// Writes records to `topic` in a transaction of somebody else, and ends it.
fn write_in_transaction(driver: &TopologyDriver, topic: &str, values: &[&str], commit: bool) {
    let mut producer = EmbeddedBroker::new(&driver.log, Some("somebody")).producer(&[]).expect("registered");
    producer.begin_transaction().expect("begins");
    for value in values {
        let (key, value, headers) = (Some(&b"k"[..]), Some(value.as_bytes()), Headers::EMPTY);
        let record = ProducerRecord { topic: &topic.into(), partition: Some(0), key, value, timestamp: 1, headers };
        producer.send(record).expect("is sent");
    }
    producer.flush().expect("is flushed");
    if commit { producer.commit_transaction() } else { producer.abort_transaction() }.expect("ends");
}

#[test]
fn nothing_is_visible_before_the_interval_is_over_and_all_of_it_after() {
    let mut driver = driver(counting(), every(Duration::from_millis(100)));
    for time in [5, 9, 7] {
        write(&mut driver, "k", "v", time);
    }
    driver.run_rounds(5).expect("runs");
    driver.clock.advance(Duration::from_millis(99));
    assert!(!driver.run_rounds(5).expect("runs").committed);
    assert_eq!((driver.read_output("out"), driver.committed("in", 0)), (vec![], None));
    driver.clock.advance(Duration::from_millis(1));
    assert!(driver.run_rounds(1).expect("runs").committed);
    let count = |count: i64, time| TestRecord::new("k", count.to_be_bytes(), time);
    assert_eq!(driver.read_output("out"), [count(1, 5), count(2, 9), count(3, 9)]);
    let changelog = driver.read_output("app-counts-store-changelog");
    assert_eq!(changelog, [count(3, 9)], "one record a key, with the timestamp of the last value");
    assert_eq!(driver.committed("in", 0).map(|committed| committed.offset), Some(Offset(3)));
}

#[test]
fn a_processor_that_asks_for_a_commit_commits_all_tasks_of_the_thread_at_once() {
    // "Only a request: thread commits *all* its tasks at the next loop check"
    let mut options = every(HOUR);
    options.partitions = [("in".to_owned(), 2), ("out".to_owned(), 1)].into();
    let mut driver = driver(passing(), options);
    driver.write("in", Some(1), &TestRecord::new("k", "v", 1));
    assert!(!driver.run_rounds(5).expect("runs").committed);
    driver.write("in", Some(0), &TestRecord::new("k", "commit", 2));
    assert!(driver.run_rounds(5).expect("runs").committed);
    assert_eq!(driver.thread.totals().commits, 1);
    let position = |partition| driver.committed("in", partition).map(|committed| committed.offset);
    assert_eq!([position(0), position(1)], [Some(Offset(1)), Some(Offset(1))]);
    driver.write("in", Some(0), &TestRecord::new("k", "v", 3));
    assert!(!driver.run_rounds(5).expect("runs").committed, "a request is for one commit");
}

#[test]
fn a_commit_does_not_wait_for_the_turns_of_all_tasks_and_those_that_had_none_are_the_next() {
    let mut options = every(Duration::from_millis(100));
    options.partitions = [("in".to_owned(), 4), ("out".to_owned(), 1)].into();
    let clock = options.clock.clone();
    let slow = NativePlugins::default().processor("pass", move |_| {
        let clock = clock.clone();
        NativeProcessor::of(move |context, record, index| {
            clock.advance(Duration::from_millis(60));
            context.forward_record(record, index);
            Ok(())
        })
    });
    let mut driver = TopologyDriver::new(passing(), Box::new(slow), options);
    driver.run_rounds(5).expect("opens its tasks");
    let write = |driver: &mut TopologyDriver, partitions: &[i32]| {
        for partition in partitions {
            driver.write("in", Some(*partition), &TestRecord::new("k", "v", 1));
        }
    };
    let positions = |driver: &TopologyDriver| {
        [0, 1, 2, 3].map(|partition| driver.committed("in", partition).map(|committed| committed.offset.0))
    };
    write(&mut driver, &[0, 1, 2, 3]);
    driver.thread.run_once().expect("runs");
    assert_eq!(positions(&driver), [Some(1), Some(1), None, None]);
    write(&mut driver, &[0, 1]);
    driver.thread.run_once().expect("runs");
    assert_eq!(positions(&driver), [Some(1), Some(1), Some(1), Some(1)]);
    driver.thread.run_once().expect("runs");
    assert_eq!(positions(&driver), [Some(2), Some(2), Some(1), Some(1)]);
    assert_eq!(driver.thread.totals().commits, 3);
}

#[test]
fn of_many_changes_a_commit_applies_those_of_one_task_and_the_next_those_of_another() {
    let tasks = [0, 1].map(|partition| TaskId { sub_topology: SubTopologyId(0), partition });
    let kept = KeptState::default();
    let mut options = every(Duration::from_secs(1));
    let settings = &mut options.settings;
    (settings.apply_interval, settings.rest_after, settings.cache_bytes_max) = (Duration::ZERO, HOUR, 1 << 30);
    options.partitions = [("in".to_owned(), 2), ("out".to_owned(), 1)].into();
    options.state = Box::new(kept.clone());
    let mut driver = driver(counting(), options);
    let write = |driver: &mut TopologyDriver, partition, count: usize| {
        for number in 0..count {
            driver.write("in", Some(partition), &TestRecord::new(number.to_string().repeat(30_000), "v", 1));
        }
    };
    let commit = |driver: &mut TopologyDriver| {
        driver.clock.advance(Duration::from_secs(1));
        assert!(driver.run_rounds(1).expect("runs").committed);
        tasks.map(|task| kept.changelog_offset(task, 0).is_some_and(|offset| offset.0 > 0))
    };
    [0, 1].into_iter().for_each(|partition| write(&mut driver, partition, 100));
    driver.run_rounds(50).expect("runs");
    assert_eq!(commit(&mut driver), [true, false]);
    [0, 1].into_iter().for_each(|partition| write(&mut driver, partition, 1));
    driver.run_rounds(5).expect("runs");
    assert_eq!(commit(&mut driver), [true, true], "few changes wait for nobody");
}

#[test]
fn a_thread_with_nothing_to_do_gives_its_states_what_was_committed() {
    const TASK: TaskId = TaskId { sub_topology: SubTopologyId(0), partition: 0 };
    let kept = KeptState::default();
    let mut options = every(Duration::ZERO);
    (options.settings.apply_interval, options.settings.rest_after) = (HOUR, Duration::from_secs(5));
    options.state = Box::new(kept.clone());
    let mut driver = driver(counting(), options);
    driver.run_until_caught_up().expect("runs");
    let steps = [(4, None), (4, None), (5, Some(Offset(5)))]; // records and markers take turns;
    for (index, (quiet_seconds, reached)) in steps.into_iter().enumerate() {
        write(&mut driver, "k", "v", 1);
        driver.run_until_caught_up().expect("runs");
        driver.advance_wall_clock(Duration::from_secs(quiet_seconds)).expect("runs");
        let offset = kept.changelog_offset(TASK, 0).filter(|offset| offset.0 > 0);
        assert_eq!(offset, reached, "record {index}");
    }
    assert_eq!(driver.store(TASK, "counts-store").len(), 1);
}

#[test]
fn nothing_is_committed_when_nothing_was_processed() {
    let mut driver = driver(passing(), DriverOptions::default());
    write(&mut driver, "k", "v", 1);
    driver.run_until_caught_up().expect("runs");
    let (commits, changes) = (driver.thread.totals().commits, driver.log.changes());
    for _ in 0..10 {
        driver.advance_wall_clock(Duration::from_secs(1)).expect("runs");
    }
    assert_eq!((driver.thread.totals().commits, driver.log.changes()), (commits, changes));
}

#[test]
fn records_without_output_are_committed_too() {
    let mut driver = driver(passing(), DriverOptions::default());
    write(&mut driver, "k", "quiet", 77);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_output("out"), []);
    // Base64 of: version 2, partition time, 8 bytes, big-endian (reference §3.15).
    let expected = CommittedOffset { offset: Offset(1), metadata: "AgAAAAAAAABN".to_owned() };
    assert_eq!(driver.committed("in", 0), Some(expected));
}

#[test]
fn the_position_is_the_head_of_the_queue_or_else_what_the_consumer_has_passed() {
    // "offset of the head record in the queue if any (i.e. next unprocessed), else consumer position after last poll. Thus offsets
    // skip over aborted-transaction markers/filtered records."
    let mut options = DriverOptions::default();
    options.settings.run_records_max = 1;
    let mut driver = driver(passing(), options);
    write(&mut driver, "k", "0", 1);
    write_in_transaction(&driver, "in", &["aborted", "aborted"], false); // 1, 2, and the marker 3
    write(&mut driver, "k", "4", 1);
    write(&mut driver, "k", "5", 1);
    write_in_transaction(&driver, "in", &["6"], true); // and the marker 7
    let mut positions = Vec::new();
    for _ in 0..5 {
        driver.run_rounds(1).expect("runs");
        positions.push(driver.committed("in", 0).map_or(-1, |committed| committed.offset.0));
    }
    assert_eq!(positions, [4, 5, 6, 8, 8]);
    assert_eq!(driver.read_texts("out"), ["0", "4", "5", "6"]);
}

#[test]
fn a_position_that_passed_markers_only_is_committed_once() {
    // As `StreamTask.commitNeeded` of Kafka Streams: a position beyond the last record is committed although nothing was processed.
    let mut driver = driver(passing(), DriverOptions::default());
    write(&mut driver, "k", "0", 1);
    driver.run_until_caught_up().expect("runs");
    write_in_transaction(&driver, "in", &["aborted"], false); // 1, and the marker 2
    driver.run_rounds(5).expect("runs");
    assert_eq!(driver.committed("in", 0).map(|committed| committed.offset), Some(Offset(3)));
    let commits = driver.thread.totals().commits;
    driver.run_rounds(5).expect("runs");
    assert_eq!(driver.thread.totals().commits, commits);
}

#[test]
fn the_partition_time_beside_the_position_is_that_of_what_was_processed() {
    let mut options = DriverOptions::default();
    options.settings.run_records_max = 1;
    let mut driver = driver(passing(), options);
    for time in [30, 10, 40] {
        write(&mut driver, "k", "v", time);
    }
    let mut times = Vec::new();
    for _ in 0..3 {
        driver.run_rounds(1).expect("runs");
        times.push(offset_metadata::decode(&driver.committed("in", 0).expect("is committed").metadata));
    }
    assert_eq!(times, [30, 30, 40]);
}

#[test]
fn a_delete_is_a_tombstone_in_the_changelog_and_only_the_last_change_of_a_key_is_there() {
    let topology = Draft::new().source("in").plugin("put", &["in"], &["kept"]).store("kept").build();
    let plugins = NativePlugins::default().processor("put", |_| {
        NativeProcessor::of(|context, record, _| {
            let key = record.key.expect("the test has keys");
            let value = record.value.filter(|value| *value != b"delete");
            context.stores.put(0, key, value, record.timestamp).expect("within limits");
            Ok(())
        })
    });
    let mut driver = TopologyDriver::new(topology, Box::new(plugins), every(HOUR));
    let changes = [("b", "1", 9), ("a", "1", 2), ("b", "2", 3), ("c", "1", 4), ("c", "delete", 5), ("d", "delete", 6)];
    for (key, value, time) in changes {
        write(&mut driver, key, value, time);
    }
    driver.run_rounds(3).expect("runs");
    driver.clock.advance(HOUR);
    driver.run_until_caught_up().expect("runs");
    let tombstone = |key: &str, time| TestRecord::with(Some(key.as_bytes()), None, time);
    let expected = [TestRecord::new("a", "1", 2), TestRecord::new("b", "2", 3), tombstone("c", 5), tombstone("d", 6)];
    assert_eq!(driver.read_output("app-kept-changelog"), expected);
}

#[test]
fn outputs_changelogs_and_positions_are_in_one_transaction_and_a_death_before_the_commit_leaves_nothing() {
    let mut first = driver(counting(), every(HOUR));
    write(&mut first, "k", "v", 1);
    first.run_rounds(5).expect("runs");
    let options = DriverOptions { log: first.log.clone(), ..DriverOptions::default() };
    drop(first);
    let mut second = driver(counting(), options);
    second.run_until_caught_up().expect("runs");
    let one = TestRecord::new("k", 1_i64.to_be_bytes(), 1);
    assert_eq!(second.read_output("out"), std::slice::from_ref(&one));
    assert_eq!(second.read_output("app-counts-store-changelog"), [one]);
}

#[test]
fn at_least_once_commits_positions_after_outputs_and_a_death_between_repeats_them() {
    let at_least_once = |mut options: DriverOptions| {
        options.settings.guarantee = ProcessingGuarantee::AtLeastOnce;
        options
    };
    let mut first = driver(passing(), at_least_once(every(HOUR)));
    write(&mut first, "k", "v", 1);
    first.run_rounds(5).expect("runs");
    assert_eq!((first.read_texts("out"), first.committed("in", 0)), (vec!["v".to_owned()], None));
    let options = at_least_once(DriverOptions { log: first.log.clone(), ..DriverOptions::default() });
    drop(first);
    let mut second = driver(passing(), options);
    second.run_until_caught_up().expect("runs");
    assert_eq!(second.read_texts("out"), ["v", "v"], "at least once");
    assert_eq!(second.committed("in", 0).map(|committed| committed.offset), Some(Offset(1)));
}

#[test]
fn readers_of_uncommitted_records_may_see_more_than_readers_of_committed_ones() {
    let mut driver = driver(passing(), every(HOUR));
    // Enough to be sent before the commit.
    for _ in 0..40 {
        write(&mut driver, "k", &"x".repeat(100_000), 1);
    }
    driver.run_rounds(50).expect("runs");
    let out = TopicPartition::new("out", 0);
    let (stable, end) = (driver.log.stable_offset(&out), driver.log.end_offset(&out));
    assert_eq!(stable.expect("is there"), Offset(0));
    assert!(end.expect("is there") > Offset(0));
    let mut seen = millstream_core::port::Fetched::default();
    driver.log.read(&out, Offset(0), Isolation::ReadCommitted, 10, &mut seen).expect("is there");
    assert_eq!(seen.offsets, []);
}

type Calls = Rc<RefCell<Vec<&'static str>>>;

struct CountingProducer(Calls);

impl CountingProducer {
    fn note(&self, call: &'static str) -> Result<()> {
        self.0.borrow_mut().push(call);
        Ok(())
    }
}

impl Producer for CountingProducer {
    fn begin_transaction(&mut self) -> Result<()> {
        self.note("begin")
    }

    fn send(&mut self, _record: ProducerRecord<'_>) -> Result<()> {
        self.note("send")
    }

    fn flush(&mut self) -> Result<()> {
        self.note("flush")
    }

    fn last_offset(&self, _partition: &TopicPartition) -> Option<Offset> {
        None
    }

    fn send_offsets(&mut self, _offsets: &[(TopicPartition, CommittedOffset)], _group: &GroupMetadata) -> Result<()> {
        self.note("offsets")
    }

    fn commit_transaction(&mut self) -> Result<()> {
        self.note("commit")
    }

    fn abort_transaction(&mut self) -> Result<()> {
        self.note("abort")
    }
}

#[test]
fn a_transaction_begins_with_the_first_send_and_not_before() {
    // "`beginTransaction` lazily before the first send"
    let calls = Calls::default();
    let mut collector = RecordCollector::new(true);
    collector.set_producer(Box::new(CountingProducer(Rc::clone(&calls))));
    let record = Record { key: None, value: None, timestamp: 0, headers: Headers::EMPTY };
    let send = |collector: &mut RecordCollector| {
        let Record { key, value, timestamp, headers } = record;
        let record = ProducerRecord { topic: &"out".into(), partition: None, key, value, timestamp, headers };
        collector.send(record).expect("is sent");
    };
    collector.abort_transaction();
    collector.commit_transaction().expect("there is none");
    assert_eq!(calls.take(), [""; 0]);
    send(&mut collector);
    send(&mut collector);
    collector.flush().expect("is flushed");
    collector.send_offsets(&[], &GroupMetadata::default()).expect("are sent");
    collector.commit_transaction().expect("commits");
    collector.commit_transaction().expect("there is none");
    assert_eq!(calls.take(), ["begin", "send", "send", "flush", "offsets", "commit"]);
    collector.send_offsets(&[], &GroupMetadata::default()).expect("are sent");
    collector.abort_transaction();
    assert_eq!(calls.take(), ["begin", "offsets", "abort"]);
}
