//! The fault simulator: the engine's own stream threads on a model of Kafka and of a disk, in a world that a seed decides.
//!
//! A world has a broker, processes with disks and stream threads, and one virtual clock; a single OS thread runs it. Processes die before or
//! after any call of a port, freeze in one while others go on, lose answers, are thrown out of the group; disks lose what was not flushed. Then the
//! world calms down, everything catches up, and `check.rs` compares what is there with what the input leads to.

pub mod application;
pub mod broker;
mod chaos;
mod check;
pub mod consumer;
pub mod disk;
pub mod fuse;
pub mod group;
pub mod log;
pub mod plan;
pub mod plugins;
pub mod producer;
pub mod random;
pub mod site;
pub mod trace;
pub mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_core::stream_thread::Totals;

use fuse::Deaths;
use plan::{Plan, Sabotage};
use world::World;

/// What became of a world.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The broken promises.
    pub violations: Vec<String>,
    /// A hash of everything that happened.
    pub hash: u64,
    /// The last things that happened, when asked for.
    pub tail: String,
    /// How often processes died, and where.
    pub deaths: Deaths,
    /// What the threads did.
    pub totals: Totals,
    /// How often other things happened.
    pub counts: BTreeMap<&'static str, u64>,
}

/// Runs the world of `seed`.
#[must_use]
pub fn run(seed: u64, sabotage: Sabotage, keep_lines: bool) -> Outcome {
    let world = World::new(Plan::new(seed, sabotage), keep_lines);
    world.run();
    if !world.trace.is_violated() {
        check::check(&world);
    }
    let (violations, hash, tail) = (world.trace.violations(), world.trace.hash(), world.trace.tail());
    let counts = world.trace.counts();
    let (deaths, totals) = world.end();
    Outcome { violations, hash, tail, deaths, totals, counts }
}

/// What became of many worlds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The seeds that broke a promise, ascending, with the first one that they broke.
    pub failed: Vec<(u64, String)>,
    /// How often processes died, and where.
    pub deaths: Deaths,
    /// What all threads did.
    pub totals: Totals,
    /// How often other things happened.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        for (point, times) in outcome.deaths {
            *self.deaths.entry(point).or_default() += times;
        }
        for (what, times) in outcome.counts {
            *self.counts.entry(what).or_default() += times;
        }
        self.totals.records_processed += outcome.totals.records_processed;
        self.totals.records_dropped += outcome.totals.records_dropped;
        self.totals.commits += outcome.totals.commits;
        self.totals.records_restored += outcome.totals.records_restored;
        self.totals.restarts += outcome.totals.restarts;
        if let Some(first) = outcome.violations.into_iter().next() {
            self.failed.push((seed, first));
            self.failed.sort();
        }
    }
}

/// Runs the worlds of all seeds below `seeds`, on all processors; stops early when `failures_max` have broken a promise.
#[must_use]
pub fn run_many(seeds: u64, sabotage: Sabotage, failures_max: usize) -> Summary {
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Summary::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let outcome = run(seed, sabotage, false);
                    let mut summary = summary.lock().expect("no worker panics while it adds");
                    summary.add(seed, outcome);
                    if summary.failed.len() >= failures_max {
                        break;
                    }
                }
            });
        }
    });
    summary.into_inner().expect("no worker panics while it adds")
}
