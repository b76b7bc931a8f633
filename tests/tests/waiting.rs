//! How long a thread with nothing to do waits for records: never past its next work, and never not at all (reference §4.2).

use std::time::Duration;

use millstream_core::id::TaskId;
use millstream_core::port::Lag;
use millstream_core::processor::{PunctuationType, Reaction};
use millstream_core::topology::Topology;
use millstream_tests::driver::corked::Corks;
use millstream_tests::driver::declare::Draft;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const POLL: Duration = Duration::from_secs(3_600);

fn topology() -> Topology {
    let draft = Draft::new().source("a").source("b").plugin("node", &["a", "b"], &["kept"]).store("kept");
    draft.sink("out", &["node"]).build()
}

/// Fires every 500 ms where `punctuates`; asks to try again on the value `retry`.
fn driver(punctuates: bool, change: impl FnOnce(&mut DriverOptions)) -> (TopologyDriver, Corks) {
    let plugins = NativePlugins::default().processor("node", move |_| {
        NativeProcessor::answering(|context, record, index| {
            if record.value == Some(b"retry") {
                return Err(Reaction::Retry("not now".into()));
            }
            context.forward_record(record, index);
            Ok(())
        })
        .on_init(move |context| {
            if punctuates {
                context.schedule(PunctuationType::WallClockTime, None, 500).expect("allowed");
            }
            Ok(())
        })
    });
    let mut options = DriverOptions::default();
    options.settings.poll_timeout = POLL;
    change(&mut options);
    let corks = options.corks.clone();
    (TopologyDriver::new(topology(), Box::new(plugins), options), corks)
}

fn wait(driver: &mut TopologyDriver, corks: &Corks) -> u128 {
    let _ = corks.take_last_wait();
    driver.run_rounds(3).expect("the thread goes on");
    corks.take_last_wait().expect("there was nothing to do").as_millis()
}

fn advance(driver: &TopologyDriver, milliseconds: u64) {
    driver.clock.advance(Duration::from_millis(milliseconds));
}

fn write(driver: &mut TopologyDriver, value: &str) {
    driver.write("a", None, &TestRecord::new("k", value, 1));
}

#[test]
fn without_work_it_waits_for_the_poll_time_out() {
    let (mut driver, corks) = driver(false, |_| {});
    assert_eq!(wait(&mut driver, &corks), POLL.as_millis());
    write(&mut driver, "v");
    driver.run_rounds(1).expect("runs");
    assert_eq!(wait(&mut driver, &corks), POLL.as_millis());
}

#[test]
fn at_rest_it_waits_longer() {
    let (mut driver, corks) = driver(false, |options| {
        options.settings.poll_timeout = Duration::from_millis(100);
        options.settings.rest_after = Duration::from_secs(5);
    });
    assert_eq!(wait(&mut driver, &corks), 100);
    advance(&driver, 5_000);
    assert_eq!(wait(&mut driver, &corks), 1_000);
    write(&mut driver, "v");
    assert_eq!(wait(&mut driver, &corks), 100, "there was work");
}

#[test]
fn uncommitted_work_is_committed_in_time() {
    let (mut driver, corks) = driver(false, |options| options.settings.commit_interval = Duration::from_millis(100));
    driver.run_rounds(3).expect("runs");
    advance(&driver, 30);
    write(&mut driver, "v");
    driver.run_rounds(1).expect("runs");
    assert_eq!(wait(&mut driver, &corks), 70);
}

#[test]
fn punctuations_are_waited_for() {
    let (mut driver, corks) = driver(true, |_| {});
    assert_eq!(wait(&mut driver, &corks), 500);
    advance(&driver, 120);
    assert_eq!(wait(&mut driver, &corks), 380);
    advance(&driver, 380);
    assert_eq!(wait(&mut driver, &corks), 500, "it has fired");
}

#[test]
fn an_input_that_is_idled_for_is_waited_for_until_the_deadline() {
    let (mut driver, corks) = driver(false, |options| options.settings.task_idle_max = Some(Duration::from_millis(50)));
    write(&mut driver, "v");
    assert_eq!(wait(&mut driver, &corks), 50);
    advance(&driver, 20);
    assert_eq!(wait(&mut driver, &corks), 30);
    corks.cork("b", 0, Lag::Behind);
    assert_eq!(wait(&mut driver, &corks), POLL.as_millis(), "only a record of `b` ends this");
}

#[test]
fn a_task_that_backs_off_is_not_looked_at_before() {
    for (punctuates, idle_max) in [(false, Some(Duration::ZERO)), (true, Some(Duration::ZERO)), (true, None)] {
        let (mut driver, corks) = driver(punctuates, |options| options.settings.task_idle_max = idle_max);
        write(&mut driver, "retry");
        for expected in [100, 200, 400, 800, 1_600] {
            assert_eq!(wait(&mut driver, &corks), expected, "punctuates: {punctuates}");
            advance(&driver, expected as u64);
        }
    }
}

#[test]
fn a_suspended_task_does_not_keep_the_thread_awake() {
    let (mut driver, corks) = driver(true, |options| options.settings.task_idle_max = None);
    driver.run_until_caught_up().expect("runs");
    driver.membership.revoke([TaskId::new(0, 0)].into());
    driver.run_rounds(1).expect("runs");
    advance(&driver, 5_000);
    write(&mut driver, "v");
    assert_eq!(wait(&mut driver, &corks), POLL.as_millis());
}

#[test]
fn a_restore_is_looked_at_every_millisecond() {
    let (mut driver, corks) = driver(false, |_| {});
    driver.write("app-kept-changelog", Some(0), &TestRecord::new("k", "v", 1));
    corks.cork("app-kept-changelog", 0, Lag::Behind);
    assert_eq!(wait(&mut driver, &corks), 1);
}
