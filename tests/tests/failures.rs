//! What follows when a record, a plugin, the producer or the state is bad (design §11, reference §3.15, §4.5, §4.17).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::error::{FailureCause, ProcessorFailure};
use millstream_core::id::{Offset, TaskId, TopicPartition};
use millstream_core::processor::{PunctuationType, Reaction};
use millstream_core::stream_thread::OnError;
use millstream_core::topology::{StoreKind, Topology};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::kept_state::KeptState;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 0 };
const HOUR: Duration = Duration::from_secs(3_600);

fn trap() -> ProcessorFailure {
    let (cause, digest) = (FailureCause::Trap, "sha256:beef".to_owned());
    ProcessorFailure { cause, index: None, reason: "unreachable executed".to_owned(), digest }
}

fn topology() -> Topology {
    Draft::new()
        .source("in")
        .plugin("fussy", &["in"], &[])
        .count("counts", "fussy", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["fussy"])
        .build()
}

/// Traps on the value `bad`.
fn fussy() -> NativePlugins {
    NativePlugins::default().processor("fussy", |_| {
        NativeProcessor::of(|context, record, index| {
            if record.value == Some(b"bad") {
                return Err(trap());
            }
            context.forward_record(record, index);
            Ok(())
        })
    })
}

fn options(policy: OnError) -> DriverOptions {
    let mut options = DriverOptions::default();
    options.settings.on_error = [("fussy".to_owned(), policy)].into();
    if policy == OnError::DeadLetter {
        options.settings.dead_letter_topics = [("fussy".to_owned(), "dead".into())].into();
    }
    options.partitions = [("dead".to_owned(), 1)].into();
    options
}

fn write_all(driver: &mut TopologyDriver, values: &[&str]) {
    for (time, value) in values.iter().enumerate() {
        driver.write("in", None, &TestRecord::new("k", value, time as i64).header("h", Some(b"x")));
    }
}

fn counted(driver: &mut TopologyDriver) -> i64 {
    let entries = driver.store(TASK, "counts-store");
    entries.first().map_or(0, |(_, value)| i64::from_be_bytes(value.as_slice().try_into().expect("a count")))
}

#[test]
fn by_default_the_task_stops_and_says_which_record_which_node_and_which_plugin() {
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options(OnError::Fail));
    write_all(&mut driver, &["0", "1", "bad", "3"]);
    driver.run_until_caught_up().expect("the thread goes on");
    let failed = &driver.thread.failed_tasks()[&TASK];
    let expected = "task 0_0: node `fussy` at record in-0 offset 2 trapped: unreachable executed (plugin sha256:beef)";
    assert_eq!(failed, expected);
    assert_eq!(driver.thread.task_mut(TASK).map(|task| task.id()), None);
    let committed = driver.committed("in", 0).map_or(0, |committed| committed.offset.0);
    assert_eq!(driver.read_texts("out").len() as i64, committed, "what is committed is visible, and nothing else");
    assert!(committed <= 2);
    driver.advance_wall_clock(HOUR).expect("the thread goes on");
    assert!(driver.thread.failed_tasks().contains_key(&TASK), "it does not come back by itself");
}

#[test]
fn other_tasks_go_on_when_one_has_failed() {
    let mut options = options(OnError::Fail);
    options.partitions.insert("in".to_owned(), 3);
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options);
    for (partition, value) in [(0, "a"), (1, "bad"), (2, "b"), (1, "never"), (0, "c"), (2, "d")] {
        driver.write("in", Some(partition), &TestRecord::new("k", value, 1));
    }
    driver.run_until_caught_up().expect("the thread goes on");
    let mut found = driver.read_texts("out");
    found.sort();
    assert_eq!(found, ["a", "b", "c", "d"]);
    let failed: Vec<_> = driver.thread.failed_tasks().keys().copied().collect();
    assert_eq!(failed, [TaskId::new(0, 1)]);
    driver.write("in", Some(0), &TestRecord::new("k", "later", 1));
    driver.run_until_caught_up().expect("the thread goes on");
    assert_eq!(driver.read_texts("out"), ["later"]);
}

#[test]
fn skipped_records_leave_no_trace_and_the_rest_has_its_effect_once() {
    for values in [&["bad"][..], &["0", "bad", "2"], &["bad", "bad", "2", "bad"], &["0", "1", "2", "bad"]] {
        let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options(OnError::Skip));
        write_all(&mut driver, values);
        driver.run_until_caught_up().expect("the thread goes on");
        let good: Vec<&str> = values.iter().copied().filter(|value| *value != "bad").collect();
        assert_eq!(driver.read_texts("out"), good, "{values:?}");
        assert_eq!(counted(&mut driver), good.len() as i64, "{values:?}");
        assert_eq!(driver.committed("in", 0).expect("is committed").offset, Offset(values.len() as i64));
        assert!(driver.thread.failed_tasks().is_empty());
    }
}

#[test]
fn a_skipped_record_advances_stream_time_for_it_was_dequeued() {
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options(OnError::Skip));
    driver.write("in", None, &TestRecord::new("k", "bad", 99));
    driver.run_until_caught_up().expect("the thread goes on");
    assert_eq!(driver.thread.task_mut(TASK).expect("is open").stream_time(), 99);
    let metadata = driver.committed("in", 0).expect("is committed").metadata;
    assert_eq!(millstream_core::offset_metadata::decode(&metadata), 99);
}

fn error_headers(record: &TestRecord) -> Vec<(&str, String)> {
    let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or(b"null")).into_owned();
    record.headers.iter().map(|(key, value)| (key.as_str(), text(value))).collect()
}

#[test]
fn a_dead_letter_is_the_source_record_with_the_headers_of_kip_1034_in_order() {
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options(OnError::DeadLetter));
    write_all(&mut driver, &["0", "bad", "2"]);
    driver.run_until_caught_up().expect("the thread goes on");
    assert_eq!(driver.read_texts("out"), ["0", "2"]);
    let dead = driver.read_output("dead");
    assert_eq!(dead.len(), 1);
    let TestRecord { key, value, timestamp, .. } = dead[0].clone();
    assert_eq!((key, value, timestamp), (Some(b"k".to_vec()), Some(b"bad".to_vec()), 1));
    let headers = error_headers(&dead[0]);
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let prefixed = ["exception", "message", "stacktrace", "topic", "partition", "offset"];
    let expected: Vec<String> = prefixed.iter().map(|name| format!("__streams.errors.{name}")).collect();
    assert_eq!(names[0], "h", "the record's own come first");
    assert_eq!(names[1..], expected);
    assert!(headers[2].1.contains("node `fussy`") && headers[2].1.contains("unreachable executed"), "{headers:?}");
    assert_eq!([&headers[4].1, &headers[5].1, &headers[6].1], ["in", "0", "1"]);
}

#[test]
fn a_dead_letter_is_in_the_transaction_of_the_rest() {
    // Fenced after the letter was sent and before it was committed: it must be there once, all the same.
    let mut options = options(OnError::DeadLetter);
    options.settings.run_records_max = 1;
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options);
    write_all(&mut driver, &["0", "bad", "2", "bad", "4"]);
    for _ in 0..20 {
        driver.run_rounds(1).expect("the thread goes on");
        driver.fence_producer();
    }
    driver.run_until_caught_up().expect("the thread goes on");
    assert_eq!(driver.read_texts("out"), ["0", "2", "4"]);
    assert_eq!(driver.read_texts("dead"), ["bad", "bad"]);
    assert_eq!(counted(&mut driver), 3);
}

/// Answers by the value: `skip`, `dead-letter`, `fatal`.
fn answering() -> NativePlugins {
    NativePlugins::default().processor("fussy", |_| {
        NativeProcessor::answering(|context, record, index| {
            let reason = "by the value".to_owned();
            match record.value {
                Some(b"skip") => return Err(Reaction::Skip(reason)),
                Some(b"dead-letter") => return Err(Reaction::DeadLetter(reason)),
                Some(b"fatal") => return Err(Reaction::Fatal(reason)),
                _ => context.forward_record(record, index),
            }
            Ok(())
        })
    })
}

#[test]
fn a_processor_that_answers_skip_or_dead_letter_needs_no_policy_and_no_restart() {
    let mut options = options(OnError::Fail);
    options.settings.dead_letter_topics = [("fussy".to_owned(), "dead".into())].into();
    let mut driver = TopologyDriver::new(topology(), Box::new(answering()), options);
    write_all(&mut driver, &["0", "skip", "dead-letter", "3", "skip", "dead-letter"]);
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["0", "3"]);
    let dead = driver.read_output("dead");
    let offsets: Vec<String> = dead.iter().map(|record| error_headers(record)[6].1.clone()).collect();
    assert_eq!(offsets, ["2", "5"]);
    assert_eq!(driver.thread.totals().restarts, 0);
    assert_eq!(driver.thread.totals().records_dropped, 4);
}

#[test]
fn fatal_stops_the_task_at_its_record() {
    let mut driver = TopologyDriver::new(topology(), Box::new(answering()), options(OnError::Fail));
    write_all(&mut driver, &["0", "fatal", "2"]);
    driver.run_until_caught_up().expect("the thread goes on");
    let expected = "task 0_0: node `fussy` at record in-0 offset 1 refused a record: by the value";
    assert_eq!(driver.thread.failed_tasks()[&TASK], expected);
}

#[test]
fn retry_waits_with_back_off_and_loses_nothing() {
    let (is_down, attempts) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
    let (down, tried) = (Rc::clone(&is_down), Rc::clone(&attempts));
    let plugins = NativePlugins::default().processor("fussy", move |_| {
        let (down, tried) = (Rc::clone(&down), Rc::clone(&tried));
        NativeProcessor::answering(move |context, record, index| {
            if record.value == Some(b"needs it") {
                tried.set(tried.get() + 1);
                if down.get() {
                    return Err(Reaction::Retry("the service is away".into()));
                }
            }
            context.forward_record(record, index);
            Ok(())
        })
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options(OnError::Fail));
    write_all(&mut driver, &["0", "needs it", "2"]);
    // A wait of 100 ms, which doubles up to 30 s.
    for (wait, expected) in [(0, 1), (99, 1), (1, 2), (199, 2), (1, 3), (399, 3), (1, 4)] {
        driver.clock.advance(Duration::from_millis(wait));
        driver.run_rounds(10).expect("the thread goes on");
        assert_eq!(attempts.get(), expected);
    }
    for _ in 0..20 {
        driver.clock.advance(Duration::from_secs(30));
        driver.run_rounds(10).expect("the thread goes on");
    }
    assert_eq!(attempts.get(), 24, "never longer than 30 s");
    is_down.set(false);
    driver.clock.advance(Duration::from_secs(30));
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["0", "needs it", "2"]);
    assert_eq!(counted(&mut driver), 3);
    assert!(driver.thread.failed_tasks().is_empty());
}

#[test]
fn what_other_tasks_did_is_not_repeated_when_a_record_fails_again() {
    let processed = Rc::new(Cell::new(0));
    let seen = Rc::clone(&processed);
    let plugins = NativePlugins::default().processor("fussy", move |_| {
        let seen = Rc::clone(&seen);
        NativeProcessor::answering(move |context, record, index| {
            if record.value == Some(b"never") {
                return Err(Reaction::Retry("the service is away".into()));
            }
            seen.set(seen.get() + 1);
            context.forward_record(record, index);
            Ok(())
        })
    });
    let mut options = options(OnError::Fail);
    // Nobody would commit in time, but for the next try.
    options.settings.commit_interval = Duration::from_secs(3_600);
    options.partitions.insert("in".to_owned(), 2);
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options);
    driver.write("in", Some(0), &TestRecord::new("k", "never", 0));
    driver.run_rounds(5).expect("the thread goes on");
    for number in 0..10 {
        driver.write("in", Some(1), &TestRecord::new("k", number.to_string(), 0));
        driver.run_rounds(5).expect("the thread goes on");
        driver.clock.advance(Duration::from_secs(30));
        driver.run_rounds(5).expect("the thread goes on");
    }
    assert_eq!(processed.get(), 10, "each record of the other task is processed once");
    assert_eq!(driver.read_texts("out").len(), 10);
}

#[test]
fn a_task_that_waits_to_try_again_does_not_hold_up_the_others() {
    let plugins = NativePlugins::default().processor("fussy", move |_| {
        NativeProcessor::answering(move |context, record, index| {
            if record.value == Some(b"never") {
                return Err(Reaction::Retry("the service is away".into()));
            }
            context.forward_record(record, index);
            Ok(())
        })
    });
    let mut options = options(OnError::Fail);
    options.partitions.insert("in".to_owned(), 2);
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options);
    driver.write("in", Some(0), &TestRecord::new("k", "never", 1));
    driver.write("in", Some(1), &TestRecord::new("k", "goes on", 1));
    driver.run_rounds(10).expect("the thread goes on");
    assert_eq!(driver.read_texts("out"), ["goes on"]);
    assert_eq!(driver.committed("in", 0), None);
}

#[test]
fn a_failure_in_init_stops_only_the_task_it_is_in() {
    for policy in [OnError::Fail, OnError::Skip] {
        let plugins = NativePlugins::default().processor("fussy", |task| {
            NativeProcessor::forwarding().on_init(move |_| if task.partition == 0 { Err(trap()) } else { Ok(()) })
        });
        let mut options = options(policy);
        options.partitions.insert("in".to_owned(), 2);
        let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options);
        driver.write("in", Some(0), &TestRecord::new("k", "never", 1));
        driver.write("in", Some(1), &TestRecord::new("k", "goes on", 1));
        driver.run_until_caught_up().expect("the thread goes on");
        assert_eq!(driver.read_texts("out"), ["goes on"]);
        let expected = "task 0_0: node `fussy` trapped: unreachable executed (plugin sha256:beef)";
        assert_eq!(driver.thread.failed_tasks()[&TASK], expected);
    }
}

#[test]
fn a_plugin_that_is_not_there_stops_the_task() {
    let mut driver = TopologyDriver::new(topology(), Box::new(NativePlugins::default()), options(OnError::Fail));
    driver.run_until_caught_up().expect("the thread goes on");
    let failed = &driver.thread.failed_tasks()[&TASK];
    assert!(failed.contains("node `fussy`") && failed.contains("has no plugin `fussy`"), "{failed}");
}

#[test]
fn a_failure_in_a_punctuation_stops_the_task_and_names_no_record() {
    let plugins = NativePlugins::default().processor("fussy", |_| {
        NativeProcessor::forwarding()
            .on_init(|context| {
                context.schedule(PunctuationType::WallClockTime, None, 10).expect("allowed");
                Ok(())
            })
            .on_punctuate(|_, _, _, _| Err(trap()))
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options(OnError::Fail));
    write_all(&mut driver, &["0"]);
    driver.run_until_caught_up().expect("runs");
    driver.advance_wall_clock(Duration::from_millis(10)).expect("the thread goes on");
    let expected = "task 0_0: node `fussy` trapped: unreachable executed (plugin sha256:beef)";
    assert_eq!(driver.thread.failed_tasks()[&TASK], expected);
    assert_eq!(driver.read_texts("out"), ["0"]);
}

#[test]
fn what_a_punctuation_forwards_and_a_processor_refuses_is_a_dead_letter_without_a_source_record() {
    // "key/value = raw source key/value of the record in context (null in punctuation)"
    let topology = Draft::new().source("in").plugin("clock", &["in"], &[]).plugin("fussy", &["clock"], &[]);
    let topology = topology.sink("out", &["fussy"]).build();
    let plugins = answering().processor("clock", |_| {
        NativeProcessor::forwarding()
            .on_init(|context| {
                context.schedule(PunctuationType::WallClockTime, None, 10).expect("allowed");
                Ok(())
            })
            .on_punctuate(|context, _, _, timestamp| {
                let headers = millstream_core::record::Headers::EMPTY;
                let (key, value) = (Some(&b"p"[..]), Some(&b"dead-letter"[..]));
                context.forward_record(millstream_core::record::Record { key, value, timestamp, headers }, 0);
                Ok(())
            })
    });
    let mut options = options(OnError::DeadLetter);
    options.settings.on_error.clear();
    let mut driver = TopologyDriver::new(topology, Box::new(plugins), options);
    write_all(&mut driver, &["0", "1"]);
    driver.run_until_caught_up().expect("runs");
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    let dead = driver.read_output("dead");
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0].key, &dead[0].value), (&None, &None));
    let headers = error_headers(&dead[0]);
    assert_eq!([&headers[3].1, &headers[4].1, &headers[5].1], ["null", "-1", "-1"]);
    assert_eq!(driver.read_texts("out"), ["0", "1"]);
}

#[test]
fn a_fenced_producer_restarts_all_tasks_from_committed_state_and_nothing_is_lost_or_twice() {
    // "ProducerFenced: TaskMigrated: close all tasks as lost (dirty), rejoin"
    let mut options = options(OnError::Fail);
    options.settings.commit_interval = Duration::from_millis(10);
    options.settings.run_records_max = 1;
    let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options);
    let values: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    write_all(&mut driver, &values.iter().map(String::as_str).collect::<Vec<_>>());
    for round in 0..60 {
        driver.run_rounds(1).expect("the thread goes on");
        driver.clock.advance(Duration::from_millis(3));
        if round % 7 == 3 {
            driver.fence_producer();
        }
    }
    driver.clock.advance(Duration::from_millis(10));
    for _ in 0..100 {
        driver.run_rounds(1).expect("the thread goes on");
        driver.clock.advance(Duration::from_millis(3));
    }
    assert!(driver.thread.totals().restarts >= 5, "{:?}", driver.thread.totals());
    assert_eq!(driver.read_texts("out"), values);
    assert_eq!(counted(&mut driver), 30);
    assert_eq!(driver.committed("in", 0).expect("is committed").offset, Offset(30));
}

#[test]
fn a_member_that_is_no_longer_current_commits_nothing_more() {
    // "broker rejects stale: CommitFailed: TaskMigrated"
    for guarantee in [ProcessingGuarantee::ExactlyOnce, ProcessingGuarantee::AtLeastOnce] {
        let mut options = options(OnError::Fail);
        options.settings.guarantee = guarantee;
        let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options);
        driver.run_until_caught_up().expect("runs");
        driver.log.fence_members("app", 7);
        write_all(&mut driver, &["0"]);
        driver.run_rounds(20).expect("the thread goes on");
        assert_eq!(driver.committed("in", 0), None);
        assert!(driver.thread.totals().restarts > 0);
        if guarantee == ProcessingGuarantee::ExactlyOnce {
            assert_eq!(driver.read_texts("out"), [""; 0]);
        }
    }
}

#[test]
fn state_that_its_changelog_does_not_reach_back_to_is_wiped_and_restored() {
    // "OffsetOutOfRange: TaskCorrupted: wipe and restart from the beginning"
    let state = KeptState::default();
    let with = |log: &millstream_embedded::EmbeddedLog, state: &KeptState| {
        let options = DriverOptions { log: log.clone(), state: Box::new(state.clone()), ..options(OnError::Fail) };
        let mut driver = TopologyDriver::new(topology(), Box::new(fussy()), options);
        driver.run_until_caught_up().expect("runs");
        driver
    };
    let log = millstream_embedded::EmbeddedLog::new();
    let mut first = with(&log, &state);
    write_all(&mut first, &["0"]);
    first.run_until_caught_up().expect("runs");
    drop(first);
    // Meanwhile another machine has the task, and the part of the changelog that this one lacks is deleted.
    let mut elsewhere = with(&log, &KeptState::default());
    for value in ["1", "2", "3"] {
        elsewhere.pipe_input("in", &TestRecord::new("k", value, 5)).expect("runs");
    }
    drop(elsewhere);
    let changelog = TopicPartition::new("app-counts-store-changelog", 0);
    let last = log.end_offset(&changelog).expect("is there").0 - 2;
    log.delete_records(&changelog, Offset(last)).expect("are deleted");
    let mut back = with(&log, &state);
    assert_eq!(state.wiped(), [TASK]);
    assert_eq!(counted(&mut back), 4);
    back.pipe_input("in", &TestRecord::new("k", "4", 6)).expect("runs");
    assert_eq!(counted(&mut back), 5);
}

#[test]
fn a_position_that_nobody_committed_and_no_rule_to_reset_it_ends_the_thread_and_says_what_to_do() {
    let source =
        millstream_core::topology::Source { reset: None, ..millstream_tests::driver::declare::source(&["in"]) };
    let topology = Draft::new().source_of("in", source).sink("out", &["in"]).build();
    let mut driver = TopologyDriver::new(topology, Box::new(fussy()), DriverOptions::default());
    let error = driver.run_until_caught_up().expect_err("there is no position");
    assert!(error.to_string().contains("partition in-0 has no committed offset"), "{error}");
    driver.thread.close_dirty(true);
}

#[test]
fn processors_are_closed_only_where_their_task_ends_clean() {
    let closed = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&closed);
    let plugins = NativePlugins::default().processor("fussy", move |task| {
        let seen = Rc::clone(&seen);
        NativeProcessor::of(|_, record, _| if record.value == Some(b"bad") { Err(trap()) } else { Ok(()) })
            .on_close(move |_| seen.borrow_mut().push(task))
    });
    let mut options = options(OnError::Fail);
    options.partitions.insert("in".to_owned(), 2);
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options);
    driver.write("in", Some(0), &TestRecord::new("k", "bad", 1));
    driver.run_until_caught_up().expect("the thread goes on");
    assert!(closed.borrow().is_empty(), "a task that failed is closed dirty, and its processors are not called again");
    driver.thread.close(true).expect("closes");
    assert_eq!(closed.take(), [TaskId::new(0, 1)]);
}
