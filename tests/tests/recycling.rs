//! Processors whose memory has passed its mark are replaced after a commit, and nobody can tell.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::TaskId;
use millstream_core::processor::PunctuationType::{StreamTime, WallClockTime};
use millstream_core::record::Record;
use millstream_core::topology::{StoreKind, Topology};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

/// What happened, in order.
type Calls = Rc<RefCell<Vec<String>>>;

const HOUR: Duration = Duration::from_secs(3_600);

fn topology() -> Topology {
    let draft = Draft::new().source("in").plugin("node", &["in"], &["kept"]);
    draft.store_of("kept", store(StoreKind::KeyValue)).sink("out", &["node"]).build()
}

/// A plugin that counts the records of a key in its store, notes its life, and wants to be replaced after `life` records. Its
/// number `doomed`, from 1 on, can't begin.
fn plugins(calls: &Calls, life: u32, doomed: u32) -> NativePlugins {
    let (calls, made) = (Rc::clone(calls), Rc::new(Cell::new(0)));
    NativePlugins::default().processor("node", move |_| {
        made.set(made.get() + 1);
        let (number, records) = (made.get(), Rc::new(Cell::new(0)));
        let calls = Rc::clone(&calls);
        let note = move |what: &str| calls.borrow_mut().push(format!("{what} {number}"));
        let (begun, fired, closed) = (note.clone(), note.clone(), note);
        let seen = Rc::clone(&records);
        NativeProcessor::of(move |context, record, index| {
            seen.set(seen.get() + 1);
            let (key, mut value) = (record.key.unwrap_or_default(), Vec::new());
            context.stores.get(0, key, &mut value).expect("memory can be read");
            value.push(b'|');
            context.stores.put(0, key, Some(&value), record.timestamp).expect("memory takes it");
            context.forward_record(Record { value: Some(&value), ..record }, index);
            Ok(())
        })
        .on_init(move |context| {
            begun("begin");
            context.schedule(WallClockTime, None, 1_000).expect("allowed");
            context.schedule(StreamTime, None, 1_000).expect("allowed");
            let failure = ProcessorFailure::native(FailureCause::Answer, "it can't begin");
            if number == doomed { Err(failure) } else { Ok(()) }
        })
        .on_punctuate(move |_, _, kind, _| {
            fired(if kind == WallClockTime { "strike" } else { "fire" });
            Ok(())
        })
        .on_close(move |_| closed("close"))
        .recycled_when(move || records.get() >= life)
    })
}

fn driver(calls: &Calls, life: u32, doomed: u32, commit_interval: Duration) -> TopologyDriver {
    let mut options = DriverOptions::default();
    options.settings.commit_interval = commit_interval;
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins(calls, life, doomed)), options);
    driver.run_until_caught_up().expect("runs");
    driver
}

fn record(timestamp: i64) -> TestRecord {
    TestRecord::new("k", "v", timestamp)
}

#[test]
fn a_processor_is_closed_and_its_successor_begins_after_the_commit_and_with_the_same_state() {
    let calls = Calls::default();
    let mut driver = driver(&calls, 2, 0, Duration::ZERO);
    for timestamp in 0..5 {
        driver.pipe_input("in", &record(timestamp)).expect("runs");
    }
    assert_eq!(driver.read_texts("out"), ["|", "||", "|||", "||||", "|||||"]);
    // By stream time each instance is asked once at most: the successor goes on in the rhythm.
    assert_eq!(*calls.borrow(), ["begin 1", "fire 1", "close 1", "begin 2", "close 2", "begin 3"]);
    assert_eq!(driver.thread.totals().processors_replaced, 2);
    assert_eq!(driver.thread.totals().restarts, 0);
}

#[test]
fn memory_that_has_passed_its_mark_does_not_wait_for_the_commit_interval() {
    let calls = Calls::default();
    let mut driver = driver(&calls, 3, 0, HOUR);
    for timestamp in 0..8 {
        driver.write("in", None, &record(timestamp));
        driver.run_rounds(2).expect("runs");
    }
    let totals = driver.thread.totals();
    assert_eq!((totals.processors_replaced, totals.commits), (2, 2));
    assert_eq!(driver.committed("in", 0).expect("committed").offset.0, 6, "the rest has time");
}

#[test]
fn an_interval_that_is_longer_than_any_life_still_passes() {
    let calls = Calls::default();
    let mut driver = driver(&calls, 1, 0, Duration::ZERO);
    for _ in 0..10 {
        driver.advance_wall_clock(Duration::from_millis(250)).expect("runs");
        driver.pipe_input("in", &record(5)).expect("runs");
    }
    let fired = calls.borrow().iter().filter(|call| call.starts_with("strike")).count();
    assert_eq!(fired, 2, "after 1000 and 2000 of 2500 ms: {:?}", calls.borrow());
}

#[test]
fn a_successor_that_can_t_begin_stops_its_task_and_loses_nothing() {
    let calls = Calls::default();
    let mut driver = driver(&calls, 3, 2, Duration::ZERO);
    for timestamp in 0..5 {
        driver.write("in", None, &record(timestamp));
        driver.run_rounds(2).expect("the host stays up");
    }
    driver.run_until_caught_up().expect("the host stays up");
    let task = TaskId::new(0, 0);
    let reason = driver.thread.failed_tasks().get(&task).expect("the task has stopped").clone();
    assert!(reason.contains("node `node` refused a record: it can't begin"), "{reason}");
    assert_eq!(driver.read_texts("out"), ["|", "||", "|||"]);
    assert_eq!(driver.committed("in", 0).expect("committed").offset.0, 3);
}
