//! Tasks come and go in any order, and nothing is lost or done twice (reference §4.3, §4.5, §4.6, design §8).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use millstream_core::id::TaskId;
use millstream_core::port::Lag;
use millstream_core::task::{ActiveTask, TaskPhase};
use millstream_core::topology::{StoreKind, Topology};
use millstream_embedded::EmbeddedLog;
use millstream_tests::driver::declare::{Draft, store};
use millstream_tests::driver::kept_state::KeptState;
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const HOUR: Duration = Duration::from_secs(3_600);
const PARTITIONS: i32 = 3;
const CHANGELOG: &str = "app-counts-store-changelog";

fn topology() -> Topology {
    Draft::new()
        .source("in")
        .plugin("note", &["in"], &[])
        .count("counts", "note", "counts-store")
        .store_of("counts-store", store(StoreKind::TimestampedKeyValue))
        .sink("out", &["note"])
        .build()
}

type Calls = Rc<RefCell<Vec<String>>>;

/// Forwards, and notes when it is made, initialised and closed.
fn noting(calls: &Calls) -> NativePlugins {
    let calls = Rc::clone(calls);
    NativePlugins::default().processor("note", move |task| {
        let (on_init, on_close) = (Rc::clone(&calls), Rc::clone(&calls));
        NativeProcessor::forwarding()
            .on_init(move |_| {
                on_init.borrow_mut().push(format!("init {task}"));
                Ok(())
            })
            .on_close(move |_| on_close.borrow_mut().push(format!("close {task}")))
    })
}

struct World {
    driver: TopologyDriver,
    state: KeptState,
    calls: Calls,
    written: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self::on(EmbeddedLog::new(), KeptState::default(), Duration::ZERO)
    }

    fn on(log: EmbeddedLog, state: KeptState, commit_interval: Duration) -> Self {
        let mut options = DriverOptions { log, state: Box::new(state.clone()), ..DriverOptions::default() };
        options.settings.commit_interval = commit_interval;
        options.partitions = [("in".to_owned(), PARTITIONS)].into();
        let calls = Calls::default();
        let driver = TopologyDriver::new(topology(), Box::new(noting(&calls)), options);
        Self { driver, state, calls, written: Vec::new() }
    }

    fn write(&mut self, partition: i32) {
        let value = format!("{partition}-{}", self.written.len());
        self.driver.write("in", Some(partition), &TestRecord::new("k", &value, 1));
        self.written.push(value);
    }

    fn write_to_all(&mut self) {
        (0..PARTITIONS).for_each(|partition| self.write(partition));
    }

    fn rounds(&mut self, count: usize) {
        self.driver.run_rounds(count).expect("the thread goes on");
    }

    fn open(&self) -> Vec<(i32, TaskPhase)> {
        self.driver.thread.tasks().map(|task| (task.id().partition, task.phase())).collect()
    }

    /// Every record had its effect once.
    fn check(&mut self) {
        self.driver.membership.assign(tasks(&[0, 1, 2]));
        self.rounds(10);
        self.driver.clock.advance(HOUR);
        self.driver.run_until_caught_up().expect("runs");
        let mut found = self.driver.read_texts("out");
        found.sort();
        let mut expected = self.written.clone();
        expected.sort();
        assert_eq!(found, expected);
        let mut counts = 0;
        for task in tasks(&[0, 1, 2]) {
            for (_, value) in self.driver.store(task, "counts-store") {
                counts += i64::from_be_bytes(value.as_slice().try_into().expect("a count"));
            }
        }
        assert_eq!(counts, self.written.len() as i64);
    }
}

fn tasks(partitions: &[i32]) -> BTreeSet<TaskId> {
    partitions.iter().map(|partition| TaskId::new(0, *partition)).collect()
}

#[test]
fn tasks_are_initialised_once_and_closed_once_also_when_the_thread_is_closed_twice() {
    let mut world = World::new();
    world.write_to_all();
    world.driver.run_until_caught_up().expect("runs");
    assert_eq!(world.calls.take(), ["init 0_0", "init 0_1", "init 0_2"]);
    world.driver.thread.close(true).expect("closes");
    assert_eq!(world.calls.take(), ["close 0_0", "close 0_1", "close 0_2"]);
    world.driver.thread.close(true).expect("closes again");
    world.driver.thread.close_dirty(true);
    assert_eq!(world.calls.take(), [""; 0]);
    assert_eq!(world.open(), []);
}

#[test]
fn closing_commits_what_was_processed() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.write_to_all();
    world.rounds(5);
    assert_eq!(world.driver.read_texts("out"), [""; 0]);
    world.driver.thread.close(true).expect("closes");
    assert_eq!(world.driver.read_texts("out").len(), 3);
    assert!(!world.state.is_open(TaskId::new(0, 0)));
}

#[test]
fn closing_dirty_commits_nothing_and_the_next_start_repeats_it() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.write_to_all();
    world.rounds(5);
    world.driver.thread.close_dirty(true);
    let World { driver, state, written, .. } = world;
    let log = driver.log.clone();
    drop(driver);
    let mut next = World::on(log, state, Duration::ZERO);
    next.written = written;
    next.check();
}

#[test]
fn a_revocation_commits_first_and_is_confirmed_then() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.write_to_all();
    world.rounds(5);
    world.driver.membership.revoke(tasks(&[1]));
    world.rounds(1);
    assert_eq!(world.driver.membership.revocations_acknowledged(), 1);
    assert_eq!(world.driver.read_texts("out").len(), 3, "all tasks of the thread are committed");
    assert_eq!(world.open()[1], (1, TaskPhase::Suspended));
    world.write_to_all();
    world.rounds(5);
    world.driver.membership.assign(tasks(&[0, 2]));
    world.rounds(5);
    assert_eq!(world.open(), [(0, TaskPhase::Running), (2, TaskPhase::Running)]);
    world.driver.clock.advance(HOUR);
    world.rounds(5);
    assert_eq!(world.driver.read_texts("out").len(), 2, "the revoked task has processed nothing more");
    assert!(!world.state.is_open(TaskId::new(0, 1)));
}

#[test]
fn a_task_that_stays_keeps_its_processors_and_replays_nothing() {
    let mut world = World::new();
    world.write_to_all();
    world.driver.run_until_caught_up().expect("runs");
    world.calls.take();
    for event in 0..3 {
        world.driver.membership.revoke(tasks(&[0, 1, 2]));
        world.rounds(event);
        world.driver.membership.assign(tasks(&[0, 1, 2]));
        world.write_to_all();
        world.driver.run_until_caught_up().expect("runs");
    }
    assert_eq!(world.calls.take(), [""; 0], "neither init nor close");
    assert_eq!(world.driver.thread.totals().records_restored, 0);
    world.check();
}

#[test]
fn a_task_that_comes_back_restores_only_what_others_did_meanwhile() {
    let mut world = World::new();
    world.write_to_all();
    world.driver.run_until_caught_up().expect("runs");
    world.driver.membership.revoke(tasks(&[1]));
    world.driver.membership.assign(tasks(&[0, 2]));
    world.driver.run_until_caught_up().expect("runs");
    world.driver.membership.assign(tasks(&[0, 1, 2]));
    world.driver.run_until_caught_up().expect("runs");
    assert_eq!(world.driver.thread.totals().records_restored, 0, "nobody else had it");
    world.check();
}

#[test]
fn more_tasks_than_before_do_not_disturb_those_that_have_uncommitted_work() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.driver.membership.assign(tasks(&[0]));
    world.write_to_all();
    world.rounds(5);
    world.driver.membership.assign(tasks(&[0, 1]));
    world.rounds(5);
    world.write_to_all();
    world.driver.membership.assign(tasks(&[0, 1, 2]));
    world.rounds(5);
    world.check();
}

#[test]
fn fewer_tasks_without_a_revocation_abandon_what_can_not_be_committed() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.write_to_all();
    world.rounds(5);
    world.driver.membership.assign(tasks(&[0]));
    world.rounds(5);
    world.driver.clock.advance(HOUR);
    world.rounds(5);
    assert_eq!(world.driver.read_texts("out"), ["0-0"]);
    let position = |partition| world.driver.committed("in", partition).map(|committed| committed.offset.0);
    assert_eq!([position(0), position(1), position(2)], [Some(1), None, None]);
}

#[test]
fn lost_tasks_commit_nothing_and_are_processed_again() {
    let mut world = World::on(EmbeddedLog::new(), KeptState::default(), HOUR);
    world.write_to_all();
    world.rounds(5);
    world.driver.membership.lose();
    world.rounds(3);
    assert_eq!(world.open(), []);
    assert_eq!(world.driver.log.committed("app"), Default::default());
    world.driver.clock.advance(HOUR);
    world.rounds(3);
    assert_eq!(world.driver.read_texts("out"), [""; 0]);
    world.check();
}

fn corked_world(log: EmbeddedLog) -> (World, millstream_tests::driver::corked::Corks) {
    let mut options = DriverOptions { log, ..DriverOptions::default() };
    let state = KeptState::default();
    options.state = Box::new(state.clone());
    options.partitions = [("in".to_owned(), PARTITIONS)].into();
    let (corks, calls) = (options.corks.clone(), Calls::default());
    (0..PARTITIONS).for_each(|partition| corks.cork(CHANGELOG, partition, Lag::Behind));
    let driver = TopologyDriver::new(topology(), Box::new(noting(&calls)), options);
    (World { driver, state, calls, written: Vec::new() }, corks)
}

#[test]
fn a_task_may_be_revoked_lost_or_closed_while_it_restores() {
    let mut first = World::new();
    first.write_to_all();
    first.driver.run_until_caught_up().expect("runs");
    let (log, written) = (first.driver.log.clone(), first.written.clone());
    drop(first);
    for event in ["revoked", "revoked and assigned", "lost", "closed", "fenced"] {
        let (mut world, corks) = corked_world(log.clone());
        world.written.clone_from(&written);
        world.rounds(3);
        let restoring = |world: &World| world.driver.thread.tasks().all(|task| task.phase() == TaskPhase::Restoring);
        assert!(restoring(&world) && world.open().len() == 3);
        match event {
            "revoked" => world.driver.membership.revoke(tasks(&[0, 1, 2])),
            "revoked and assigned" => {
                world.driver.membership.revoke(tasks(&[0, 1, 2]));
                world.rounds(2);
                world.driver.membership.assign(tasks(&[0, 1, 2]));
            }
            "lost" => world.driver.membership.lose(),
            "closed" => {
                world.driver.thread.close(true).expect("closes");
                assert_eq!(world.calls.take(), [""; 0], "what was never initialised is not closed");
                assert!(!world.state.is_open(TaskId::new(0, 0)));
                continue;
            }
            _ => world.driver.fence_producer(),
        }
        world.rounds(3);
        (0..PARTITIONS).for_each(|partition| corks.pull(CHANGELOG, partition));
        world.rounds(3);
        world.check();
        assert_eq!(world.calls.take(), ["init 0_0", "init 0_1", "init 0_2"], "{event}");
    }
}

#[test]
fn events_in_any_order_lose_nothing_and_do_nothing_twice() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let interval = Duration::from_millis(random.u64(0..30));
        let mut world = World::on(EmbeddedLog::new(), KeptState::default(), interval);
        let mut owned = tasks(&[0, 1, 2]);
        for _ in 0..random.usize(1..30) {
            let some: BTreeSet<TaskId> = tasks(&[0, 1, 2]).into_iter().filter(|_| random.bool()).collect();
            match random.u8(0..8) {
                0 => {
                    world.driver.membership.revoke(owned.intersection(&some).copied().collect());
                }
                1 => {
                    world.driver.membership.assign(some.clone());
                    owned = some;
                }
                2 => world.driver.membership.lose(),
                3 => world.driver.fence_producer(),
                _ => world.write(random.i32(0..PARTITIONS)),
            }
            world.driver.clock.advance(Duration::from_millis(random.u64(0..20)));
            world.rounds(random.usize(0..4));
        }
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
        assert!(failed.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_thread_without_tasks_waits_for_some() {
    let mut world = World::new();
    world.driver.membership.assign(BTreeSet::new());
    world.write_to_all();
    world.rounds(5);
    assert_eq!(world.driver.thread.tasks().map(ActiveTask::id).count(), 0);
    assert!(world.driver.thread.is_caught_up());
    world.check();
}
