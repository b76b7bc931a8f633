//! When punctuations fire, and what they see and do (reference §4.7).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use millstream_core::context::TaskContext;
use millstream_core::processor::PunctuationType::{self, StreamTime, WallClockTime};
use millstream_core::record::{Headers, Record};
use millstream_core::topology::{StoreKind, Topology};
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

type Fired = Rc<RefCell<Vec<(u32, i64)>>>;

fn topology() -> Topology {
    Draft::new().source("in").plugin("clock", &["in"], &[]).sink("out", &["clock"]).build()
}

/// A driver whose plugin schedules `schedules` in `init`; what fired, with the timestamps passed.
fn driver(schedules: Vec<(PunctuationType, Option<i64>, i64)>) -> (TopologyDriver, Fired) {
    driver_at(0, schedules)
}

fn driver_at(start: u64, schedules: Vec<(PunctuationType, Option<i64>, i64)>) -> (TopologyDriver, Fired) {
    let fired = Fired::default();
    let seen = Rc::clone(&fired);
    let plugins = NativePlugins::default().processor("clock", move |_| {
        let (schedules, seen) = (schedules.clone(), Rc::clone(&seen));
        NativeProcessor::forwarding()
            .on_init(move |context| {
                for (kind, start, interval) in &schedules {
                    context.schedule(*kind, *start, *interval).expect("allowed");
                }
                Ok(())
            })
            .on_punctuate(move |_, id, _, timestamp| {
                seen.borrow_mut().push((id, timestamp));
                Ok(())
            })
    });
    let options = DriverOptions::default();
    options.clock.advance(Duration::from_millis(start));
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), options);
    driver.run_until_caught_up().expect("runs");
    (driver, fired)
}

fn times(fired: &Fired) -> Vec<i64> {
    fired.take().into_iter().map(|(_, timestamp)| timestamp).collect()
}

fn record_at(driver: &mut TopologyDriver, timestamp: i64) {
    driver.pipe_input("in", &TestRecord::new("k", "v", timestamp)).expect("runs");
}

#[test]
fn stream_time_fires_as_soon_as_it_is_known_and_then_on_its_grid() {
    // "first due at 0, i.e. fires as soon as stream time is known"; "if several intervals elapsed the missed ones are skipped,
    // alignment kept"; "Timestamp passed = stream time"
    let (mut driver, fired) = driver(vec![(StreamTime, None, 100)]);
    assert_eq!(times(&fired), [0; 0], "stream time is not known");
    let cases: &[(i64, &[i64])] =
        &[(42, &[42]), (99, &[]), (100, &[100]), (50, &[]), (199, &[]), (555, &[555]), (599, &[]), (600, &[600])];
    for (timestamp, expected) in cases {
        record_at(&mut driver, *timestamp);
        assert_eq!(times(&fired), *expected, "after {timestamp}");
    }
    driver.advance_wall_clock(Duration::from_secs(1_000)).expect("runs");
    assert_eq!(times(&fired), [0; 0], "stream-time punctuations fire only when stream time advances");
}

#[test]
fn wall_clock_fires_first_after_the_interval_and_without_any_record() {
    // "WALL_CLOCK: first due at now + interval"; "fire even w/o data"
    let (mut driver, fired) = driver_at(1_007, vec![(WallClockTime, None, 100)]);
    let cases: &[(u64, &[i64])] = &[(99, &[]), (1, &[1_107]), (50, &[]), (449, &[1_606]), (1, &[1_607]), (0, &[])];
    for (advance, expected) in cases {
        driver.advance_wall_clock(Duration::from_millis(*advance)).expect("runs");
        assert_eq!(times(&fired), *expected, "after {advance} more");
    }
}

#[test]
fn an_anchored_punctuation_is_due_at_its_start_and_never_at_once_for_a_past_one() {
    // "due at startTime; if startTime < now it is advanced by the same rule"
    let cases: &[(i64, &[(u64, bool)])] = &[
        (1_050, &[(0, false), (49, false), (1, true), (99, false), (1, true)]),
        (1_000, &[(0, true), (99, false), (1, true)]),
        (999, &[(0, false), (98, false), (1, true)]),
        (0, &[(0, false), (99, false), (1, true)]),
        (30, &[(0, false), (29, false), (1, true)]),
    ];
    for (start, steps) in cases {
        let (mut driver, fired) = driver_at(1_000, vec![(WallClockTime, Some(*start), 100)]);
        let mut first = times(&fired);
        for (advance, expected) in *steps {
            driver.advance_wall_clock(Duration::from_millis(*advance)).expect("runs");
            first.extend(times(&fired));
            assert_eq!(!std::mem::take(&mut first).is_empty(), *expected, "start {start}, after {advance} more");
        }
    }
    let (mut driver, fired) = driver(vec![(StreamTime, Some(500), 100)]);
    for (timestamp, expected) in [(499, false), (500, true), (601, true), (699, false), (700, true)] {
        record_at(&mut driver, timestamp);
        assert_eq!(!times(&fired).is_empty(), expected, "at stream time {timestamp}");
    }
}

#[test]
fn each_schedule_fires_at_most_once_a_check_and_earlier_ones_first() {
    let (mut driver, fired) =
        driver(vec![(WallClockTime, None, 70), (WallClockTime, None, 10), (WallClockTime, None, 70)]);
    driver.advance_wall_clock(Duration::from_millis(75)).expect("runs");
    assert_eq!(fired.take(), [(2, 75), (1, 75), (3, 75)], "due at 10, 70 and 70");
}

/// A driver of one plugin that schedules two wall-clock punctuations, 1 and 2, at the same times.
fn cancelling(on_fire: impl Fn(&mut TaskContext, u32) + Clone + 'static) -> (TopologyDriver, Fired) {
    let fired = Fired::default();
    let seen = Rc::clone(&fired);
    let plugins = NativePlugins::default().processor("clock", move |_| {
        let (seen, on_fire) = (Rc::clone(&seen), on_fire.clone());
        NativeProcessor::forwarding()
            .on_init(|context| {
                for _ in 0..2 {
                    context.schedule(WallClockTime, None, 10).expect("allowed");
                }
                Ok(())
            })
            .on_punctuate(move |context, id, _, timestamp| {
                seen.borrow_mut().push((id, timestamp));
                on_fire(context, id);
                Ok(())
            })
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), DriverOptions::default());
    driver.run_until_caught_up().expect("runs");
    (driver, fired)
}

#[test]
fn a_punctuation_may_cancel_itself_inside_its_callback() {
    let (mut driver, fired) = cancelling(|context, id| {
        if id == 1 {
            context.cancel(id);
        }
    });
    for _ in 0..3 {
        driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    }
    assert_eq!(fired.take(), [(1, 10), (2, 10), (2, 20), (2, 30)]);
}

#[test]
fn a_punctuation_may_cancel_another_one_that_is_due_in_the_same_check() {
    let (mut driver, fired) = cancelling(|context, id| {
        if id == 1 {
            context.cancel(2);
        }
    });
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    assert_eq!(fired.take(), [(1, 10), (1, 20)]);
}

#[test]
fn a_punctuation_may_schedule_another_one() {
    let (mut driver, fired) = cancelling(|context, id| {
        context.cancel(id);
        if id == 1 {
            let now = context.wall_clock_time;
            assert_eq!(context.schedule(WallClockTime, Some(now + 5), 1_000), Ok(3));
        }
    });
    for _ in 0..3 {
        driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    }
    assert_eq!(fired.take(), [(1, 10), (2, 10), (3, 20)]);
}

#[test]
fn a_record_may_schedule_and_cancel() {
    let fired = Fired::default();
    let seen = Rc::clone(&fired);
    let plugins = NativePlugins::default().processor("clock", move |_| {
        let seen = Rc::clone(&seen);
        NativeProcessor::of(|context, record, _| {
            match record.value {
                Some(b"start") => assert_eq!(context.schedule(StreamTime, None, 10), Ok(1)),
                _ => context.cancel(1),
            }
            Ok(())
        })
        .on_punctuate(move |_, id, _, timestamp| {
            seen.borrow_mut().push((id, timestamp));
            Ok(())
        })
    });
    let mut driver = TopologyDriver::new(topology(), Box::new(plugins), DriverOptions::default());
    driver.pipe_input("in", &TestRecord::new("k", "start", 5)).expect("runs");
    driver.pipe_input("in", &TestRecord::new("k", "stop", 50)).expect("runs");
    assert_eq!(fired.take(), [(1, 5)]);
}

/// What a node can see of the record's origin and of time.
fn origin(context: &TaskContext, index: usize) -> String {
    match context.record_metadata(index) {
        None => "none".to_owned(),
        Some(metadata) => {
            let partition = metadata.partition.map_or("-".to_owned(), ToString::to_string);
            format!("{partition} {} s{}", metadata.offset, context.stream_time_at(index))
        }
    }
}

#[test]
fn a_punctuation_and_the_nodes_below_it_see_no_topic_and_no_offset() {
    // "Context: topic null, partition −1, offset −1, empty headers"; "forwards go to its children"
    let topology = Draft::new()
        .source("in")
        .plugin("clock", &["in"], &[])
        .plugin("below", &["clock"], &[])
        .sink("out", &["below"])
        .build();
    let plugins = NativePlugins::default()
        .processor("clock", |_| {
            NativeProcessor::forwarding()
                .on_init(|context| {
                    assert_eq!(context.record_metadata(0), None);
                    assert_eq!(context.stream_time_at(0), -1);
                    context.schedule(WallClockTime, None, 10).expect("allowed");
                    Ok(())
                })
                .on_punctuate(|context, _, _, timestamp| {
                    let (text, headers) = (origin(context, 0), Headers::EMPTY);
                    let record =
                        Record { key: Some(b"p"), value: Some(text.as_bytes()), timestamp: timestamp + 1, headers };
                    context.forward_record(record, 0);
                    Ok(())
                })
        })
        .processor("below", |_| {
            NativeProcessor::saying(|context, record, index| {
                let above = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                format!("{above} | {}", origin(context, index))
            })
        });
    let mut driver = TopologyDriver::new(topology, Box::new(plugins), DriverOptions::default());
    driver.run_until_caught_up().expect("runs");
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    let before = TestRecord::new("p", "- -1 s-1 | - -1 s-1", 11);
    assert_eq!(driver.read_output("out"), [before], "before any record");
    // Stream time at the first record of the run is not that of the task when the run is over.
    driver.write("in", None, &TestRecord::new("k", "v", 3));
    driver.write("in", None, &TestRecord::new("k", "v", 7).header("h", Some(b"x")));
    driver.run_until_caught_up().expect("runs");
    assert_eq!(driver.read_texts("out"), ["v | in-0 0 s3", "v | in-0 1 s7"]);
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    let after = TestRecord::new("p", "- -1 s7 | - -1 s7", 21);
    assert_eq!(driver.read_output("out"), [after], "the last record is over");
}

#[test]
fn forwards_of_a_punctuation_reach_stores_and_are_committed() {
    // "Sets commitNeeded": nothing was consumed, and yet there is something to commit.
    let topology = Draft::new()
        .source("in")
        .plugin("clock", &["in"], &[])
        .count("counts", "clock", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["counts"])
        .build();
    let plugins = NativePlugins::default().processor("clock", |_| {
        NativeProcessor::forwarding()
            .on_init(|context| {
                context.schedule(WallClockTime, None, 10).expect("allowed");
                Ok(())
            })
            .on_punctuate(|context, _, _, timestamp| {
                let headers = Headers::EMPTY;
                for key in [b"a", b"a", b"b"] {
                    context.forward_record(Record { key: Some(key), value: Some(b"v"), timestamp, headers }, 0);
                }
                Ok(())
            })
    });
    let mut driver = TopologyDriver::new(topology, Box::new(plugins), DriverOptions::default());
    driver.run_until_caught_up().expect("runs");
    let commits = driver.thread.totals().commits;
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    assert_eq!(driver.thread.totals().commits, commits + 1);
    let count = |key: &str, count: i64| TestRecord::new(key, count.to_be_bytes(), 10);
    assert_eq!(driver.read_output("out"), [count("a", 1), count("a", 2), count("b", 1)]);
    assert_eq!(driver.read_output("app-counts-store-changelog"), [count("a", 2), count("b", 1)]);
}

#[test]
fn a_punctuation_without_effect_needs_a_commit_all_the_same() {
    let (mut driver, fired) = driver(vec![(WallClockTime, None, 10)]);
    let commits = driver.thread.totals().commits;
    driver.advance_wall_clock(Duration::from_millis(10)).expect("runs");
    assert_eq!((times(&fired).len(), driver.thread.totals().commits), (1, commits + 1));
}

#[test]
fn stream_time_goes_before_wall_clock_time_in_one_check() {
    let (mut driver, fired) = driver(vec![(WallClockTime, None, 10), (StreamTime, None, 10)]);
    driver.clock.advance(Duration::from_millis(10));
    record_at(&mut driver, 500);
    assert_eq!(fired.take(), [(2, 500), (1, 10)]);
}

#[test]
fn schedules_begin_anew_with_the_task_after_a_restart() {
    let (first, _) = driver(vec![(StreamTime, None, 100)]);
    let mut first = first;
    record_at(&mut first, 250);
    let fired = Fired::default();
    let seen = Rc::clone(&fired);
    let plugins = NativePlugins::default().processor("clock", move |_| {
        let seen = Rc::clone(&seen);
        NativeProcessor::forwarding()
            .on_init(|context| {
                assert_eq!(context.stream_time_at(0), 250, "partition time was committed");
                context.schedule(StreamTime, Some(100), 100).expect("allowed");
                Ok(())
            })
            .on_punctuate(move |_, id, _, timestamp| {
                seen.borrow_mut().push((id, timestamp));
                Ok(())
            })
    });
    let options = DriverOptions { log: first.log.clone(), ..DriverOptions::default() };
    drop(first);
    let mut second = TopologyDriver::new(topology(), Box::new(plugins), options);
    second.run_until_caught_up().expect("runs");
    assert_eq!(fired.take(), [], "a past anchor never fires at once");
    record_at(&mut second, 299);
    record_at(&mut second, 300);
    assert_eq!(fired.take(), [(1, 300)]);
}
