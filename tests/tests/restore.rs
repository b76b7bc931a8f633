//! Stores come back from their changelogs (reference §3.4, §4.5, §4.6).

use std::cell::RefCell;
use std::rc::Rc;

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{Broker, Lag, ProducerRecord};
use millstream_core::record::Headers;
use millstream_core::task::TaskPhase;
use millstream_core::topology::{StoreDeclaration, StoreKind, Topology};
use millstream_embedded::{EmbeddedBroker, EmbeddedLog};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::kept_state::KeptState;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 0 };
const CHANGELOG: &str = "app-kept-changelog";

fn topology_with(declaration: StoreDeclaration) -> Topology {
    Draft::new().source("in").plugin("put", &["in"], &["kept"]).store_of("kept", declaration).build()
}

fn topology(kind: StoreKind) -> Topology {
    topology_with(store(kind))
}

/// Puts each record; the value `delete` deletes.
fn plugins() -> NativePlugins {
    NativePlugins::default().processor("put", |_| {
        NativeProcessor::of(|context, record, _| {
            let value = record.value.filter(|value| *value != b"delete");
            context.stores.put(0, record.key.expect("has a key"), value, record.timestamp).expect("within limits");
            Ok(())
        })
    })
}

fn start_with(topology: Topology, log: &EmbeddedLog, state: &KeptState) -> TopologyDriver {
    let options = DriverOptions { log: log.clone(), state: Box::new(state.clone()), ..DriverOptions::default() };
    let mut driver = TopologyDriver::new(topology, Box::new(plugins()), options);
    driver.run_until_caught_up().expect("runs");
    driver
}

fn start(log: &EmbeddedLog, state: &KeptState) -> TopologyDriver {
    start_with(topology(StoreKind::KeyValue), log, state)
}

fn pipe(driver: &mut TopologyDriver, records: &[(&str, &str, i64)]) {
    for (key, value, time) in records {
        driver.pipe_input("in", &TestRecord::new(key, value, *time)).expect("runs");
    }
}

const RECORDS: &[(&str, &str, i64)] = &[
    ("a", "1", 10),
    ("b", "1", 20),
    ("a", "2", 15),
    ("c", "1", 30),
    ("b", "delete", 40),
    ("", "empty key", 50),
    ("d", "", 60),
];

#[test]
fn an_empty_directory_gets_the_same_state_and_the_same_bytes() {
    for kind in [StoreKind::KeyValue, StoreKind::TimestampedKeyValue] {
        let (log, old, new) = (EmbeddedLog::new(), KeptState::default(), KeptState::default());
        let mut first = start_with(topology(kind), &log, &old);
        pipe(&mut first, RECORDS);
        let expected = first.store(TASK, "kept");
        drop(first);
        let mut second = start_with(topology(kind), &log, &new);
        assert_eq!(second.store(TASK, "kept"), expected);
        assert_eq!(expected.iter().map(|(key, _)| key.as_slice()).collect::<Vec<_>>(), [&b""[..], b"a", b"c", b"d"]);
        assert_eq!(second.thread.totals().records_restored, RECORDS.len() as u64);
        assert_eq!(second.thread.totals().records_processed, 0);
        for key in ["", "a", "b", "c", "d"] {
            let bytes = |state: &KeptState| state.kept(TASK, 0, key.as_bytes());
            assert_eq!(bytes(&new), bytes(&old), "{kind:?} {key}");
        }
    }
}

#[test]
fn a_timestamped_store_keeps_the_timestamp_of_the_record_before_its_value() {
    // "for timestamped non-versioned stores a RecordConverter prepends `ts8` = record timestamp to non-null values"
    let (log, state) = (EmbeddedLog::new(), KeptState::default());
    pipe(&mut start_with(topology(StoreKind::TimestampedKeyValue), &log, &KeptState::default()), &[("k", "v", 258)]);
    let mut restored = start_with(topology(StoreKind::TimestampedKeyValue), &log, &state);
    assert_eq!(restored.read_output(CHANGELOG), [TestRecord::new("k", "v", 258)], "plain value without timestamp");
    assert_eq!(state.kept(TASK, 0, b"k"), Some(b"\0\0\0\0\0\0\x01\x02v".to_vec()));
}

#[test]
fn a_directory_that_survived_replays_nothing_and_one_that_is_behind_only_the_tail() {
    let (log, survived) = (EmbeddedLog::new(), KeptState::default());
    let mut first = start(&log, &survived);
    pipe(&mut first, &RECORDS[..4]);
    drop(first);
    let again = start(&log, &survived);
    assert_eq!(again.thread.totals().records_restored, 0);
    drop(again);
    // Meanwhile another machine has the task.
    let mut elsewhere = start(&log, &KeptState::default());
    assert_eq!(elsewhere.thread.totals().records_restored, 4);
    pipe(&mut elsewhere, &RECORDS[4..]);
    let expected = elsewhere.store(TASK, "kept");
    drop(elsewhere);
    let mut back = start(&log, &survived);
    assert_eq!(back.thread.totals().records_restored, RECORDS.len() as u64 - 4);
    assert_eq!(back.store(TASK, "kept"), expected);
    assert_eq!(survived.wiped(), [], "no wipe, no full restore, ever");
}

#[test]
fn a_task_that_died_before_its_commit_has_what_was_committed() {
    let (log, state) = (EmbeddedLog::new(), KeptState::default());
    let mut options = DriverOptions { log: log.clone(), state: Box::new(state.clone()), ..DriverOptions::default() };
    options.settings.commit_interval = std::time::Duration::from_secs(3_600);
    let mut first = TopologyDriver::new(topology(StoreKind::KeyValue), Box::new(plugins()), options);
    first.write("in", None, &TestRecord::new("a", "uncommitted", 1));
    first.run_rounds(5).expect("runs");
    assert_eq!(first.store(TASK, "kept").len(), 1, "its own processors see it");
    assert_eq!(state.kept(TASK, 0, b"a"), None, "the state holds nothing that is not committed");
    drop(first);
    let second = start(&log, &state);
    assert_eq!(second.thread.totals().records_processed, 1);
    assert_eq!(state.kept(TASK, 0, b"a"), Some(b"uncommitted".to_vec()));
}

#[test]
fn records_of_a_changelog_without_a_key_are_passed_over() {
    let delete = [("cleanup.policy".to_owned(), "delete".to_owned())].into();
    let foreign = StoreDeclaration { changelog_config: delete, ..store(StoreKind::KeyValue) };
    let log = EmbeddedLog::new();
    let mut first = start_with(topology_with(foreign.clone()), &log, &KeptState::default());
    pipe(&mut first, &[("a", "1", 1)]);
    first.write(CHANGELOG, Some(0), &TestRecord::with(None, Some(b"foreign"), 2));
    pipe(&mut first, &[("b", "1", 3)]);
    drop(first);
    let mut second = start_with(topology_with(foreign), &log, &KeptState::default());
    let keys: Vec<_> = second.store(TASK, "kept").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"a", b"b"]);
}

#[test]
fn a_store_without_a_changelog_starts_empty_on_another_machine() {
    let unlogged = StoreDeclaration { logged: false, ..store(StoreKind::KeyValue) };
    let (log, state) = (EmbeddedLog::new(), KeptState::default());
    pipe(&mut start_with(topology_with(unlogged.clone()), &log, &state), RECORDS);
    assert!(!start_with(topology_with(unlogged.clone()), &log, &state).store(TASK, "kept").is_empty());
    assert_eq!(start_with(topology_with(unlogged), &log, &KeptState::default()).store(TASK, "kept"), []);
    assert_eq!(log.partitions(&CHANGELOG.into()), None);
}

#[test]
fn a_pending_transaction_on_the_changelog_is_waited_for_and_counts_only_if_it_commits() {
    // "with a dangling transaction of a dead producer the restore waits until that transaction is aborted, and completes
    // atomically consistent with the committed offsets"
    for commits in [true, false] {
        let log = EmbeddedLog::new();
        pipe(&mut start(&log, &KeptState::default()), &[("a", "1", 1)]);
        let mut dead = EmbeddedBroker::new(&log, Some("somebody")).producer(&[]).expect("is registered");
        dead.begin_transaction().expect("begins");
        let (topic, key, value) = (CHANGELOG.into(), Some(&b"b"[..]), Some(&b"1"[..]));
        let record =
            ProducerRecord { topic: &topic, partition: Some(0), key, value, timestamp: 1, headers: Headers::EMPTY };
        dead.send(record).expect("is sent");
        dead.flush().expect("is flushed");
        let options = DriverOptions { log: log.clone(), ..DriverOptions::default() };
        let mut driver = TopologyDriver::new(topology(StoreKind::KeyValue), Box::new(plugins()), options);
        driver.run_rounds(10).expect("runs");
        let phase =
            |driver: &TopologyDriver| driver.thread.tasks().next().map(millstream_core::task::ActiveTask::phase);
        assert_eq!(phase(&driver), Some(TaskPhase::Restoring));
        if commits { dead.commit_transaction() } else { dead.abort_transaction() }.expect("ends");
        driver.run_until_caught_up().expect("runs");
        assert_eq!(phase(&driver), Some(TaskPhase::Running));
        assert_eq!(driver.store(TASK, "kept").len(), if commits { 2 } else { 1 });
    }
}

#[test]
fn a_task_that_restores_does_not_hold_up_the_others_of_its_thread() {
    let topology = || {
        Draft::new()
            .source("in")
            .plugin("put", &["in"], &["kept"])
            .store("kept")
            .source("other-in")
            .plugin("pass", &["other-in"], &[])
            .sink("other-out", &["pass"])
            .build()
    };
    let plugins = || plugins().processor("pass", |_| NativeProcessor::forwarding());
    let log = EmbeddedLog::new();
    let options = DriverOptions { log: log.clone(), ..DriverOptions::default() };
    pipe(&mut TopologyDriver::new(topology(), Box::new(plugins()), options), RECORDS);
    let options = DriverOptions { log, ..DriverOptions::default() };
    let corks = options.corks.clone();
    corks.cork(CHANGELOG, 0, Lag::Behind);
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins()), options);
    driver.write("other-in", None, &TestRecord::new("k", "goes on", 1));
    driver.write("in", None, &TestRecord::new("k", "waits", 1));
    driver.run_rounds(10).expect("runs");
    assert_eq!(driver.read_texts("other-out"), ["goes on"], "committed, too");
    assert_eq!(driver.thread.task_mut(TASK).expect("is open").phase(), TaskPhase::Restoring);
    assert_eq!(driver.committed("in", 0).expect("is committed").offset, Offset(RECORDS.len() as i64));
    corks.pull(CHANGELOG, 0);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.committed("in", 0).expect("is committed").offset, Offset(RECORDS.len() as i64 + 1));
}

#[test]
fn a_processor_is_initialised_when_its_stores_are_complete() {
    let log = EmbeddedLog::new();
    pipe(&mut start(&log, &KeptState::default()), RECORDS);
    let found = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&found);
    let plugins = NativePlugins::default().processor("put", move |_| {
        let seen = Rc::clone(&seen);
        NativeProcessor::forwarding().on_init(move |context| {
            let mut value = Vec::new();
            assert!(context.stores.get(0, b"a", &mut value).expect("can be read").is_some());
            seen.borrow_mut().push(value);
            Ok(())
        })
    });
    let options = DriverOptions { log, ..DriverOptions::default() };
    let mut driver = TopologyDriver::new(topology(StoreKind::KeyValue), Box::new(plugins), options);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(found.take(), [b"2"]);
}

#[test]
fn each_partition_has_its_own_changelog_partition() {
    let options = DriverOptions { partitions: [("in".to_owned(), 3)].into(), ..DriverOptions::default() };
    let log = options.log.clone();
    let mut first = TopologyDriver::new(topology(StoreKind::KeyValue), Box::new(plugins()), options);
    for partition in 0..3 {
        let value = format!("of {partition}");
        first.write("in", Some(partition), &TestRecord::new("same key", value, 1));
    }
    first.run_until_caught_up().expect("runs");
    drop(first);
    let options = DriverOptions { log, partitions: [("in".to_owned(), 3)].into(), ..DriverOptions::default() };
    let mut second = TopologyDriver::new(topology(StoreKind::KeyValue), Box::new(plugins()), options);
    second.run_until_caught_up().expect("runs");
    for partition in 0..3 {
        let entry = (b"same key".to_vec(), format!("of {partition}").into_bytes());
        assert_eq!(second.store(TaskId::new(0, partition), "kept"), [entry]);
    }
}
