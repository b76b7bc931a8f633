//! What a record costs in a plugin: `cargo run --release -p millstream-wasm --example measure`. Nanoseconds a record,
//! the quickest of several rounds, by the thread's own clock where the system has one; compare the rows, not machines.
//!
//! With arguments, directories of plugins that contain the processors `identity`, `capitals` and `count`, it measures
//! those: `measure-js` and `measure-python` beside this file, for example.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::time::{Duration, Instant};

use millstream_core::context::{Forwarded, Phase};
use millstream_core::processor::Processor as _;
use millstream_core::record::RecordBatch;
use millstream_core::topology::NodeIndex;
use millstream_wasm::InstanceLimits;
use stage::{Row, Setting, Stage, component, row};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);

fn main() {
    println!("{:<34}{:>10}{:>10}{:>10}{:>10}", "ns a record, in batches of", 1, 10, 100, 1000);
    let text = |index: usize| row(&format!("key-{}", index % 1_000), &"v".repeat(100), 1);
    let counted = |index: usize| row(&format!("key-{}", index % 10_000), "", 1);
    let directories: Vec<String> = std::env::args().skip(1).collect();
    for directory in &directories {
        println!("{directory}");
        let plugin = std::path::absolute(directory).expect("a path");
        let plugin = plugin.to_str().expect("a path that is text");
        measure("  identity", plugin, "identity", &[], text);
        measure("  capitals", plugin, "capitals", &[], text);
        measure("  count: get, put, forward", plugin, "count", &["counts"], counted);
    }
    if !directories.is_empty() {
        return;
    }
    measure("identity", "identity", "identity", &[], text);
    measure("capitals", "identity", "capitals", &[], text);
    measure("words, a line of 8", "words", "split", &[], |_| row("", "the quick brown Fox jumps over the dog", 1));
    measure("count: get, put, forward", "get-put-forward", "count", &["counts"], counted);
    measure("count, one key", "get-put-forward", "count", &["counts"], |_| row("key", "", 1));
}

fn measure(
    name: &str,
    plugin: &str,
    processor: &'static str,
    stores: &'static [&'static str],
    make: impl Fn(usize) -> Row,
) {
    let component = component(plugin);
    let mut line = format!("{name:<34}");
    for size in [1, 10, 100, 1_000] {
        let limits = InstanceLimits { deadline: Duration::from_secs(60), ..InstanceLimits::default() };
        let setting = Setting { processor, stores, limits, ..Setting::default() };
        let mut stage = Stage::begun(&component, &setting);
        let batches: Vec<RecordBatch> = (0..20)
            .map(|number| stage::batch(&(0..size).map(|index| make(number * 7_919 + index)).collect::<Vec<_>>()))
            .collect();
        let mut forwarded = Forwarded::default();
        let mut quickest = f64::MAX;
        for _ in 0..ROUNDS {
            let (started, started_cpu) = (Instant::now(), cpu_time());
            let mut records = 0;
            while started.elapsed() < ROUND {
                for batch in &batches {
                    stage.slot.enter(NodeIndex(1), Phase::Process, 1, false, batch);
                    let failures = stage.processor.process(batch, &mut stage.slot).expect("no trap");
                    assert!(failures.is_empty());
                    stage.slot.swap_forwarded(&mut forwarded);
                    forwarded.by_child.iter_mut().for_each(RecordBatch::clear);
                    records += batch.len();
                    if stage.processor.wants_recycling() {
                        // As a task does after a commit.
                        let mut fresh = Stage::begun(&component, &setting);
                        std::mem::swap(&mut fresh.slot, &mut stage.slot);
                        stage = fresh;
                    }
                }
            }
            let spent = cpu_time().zip(started_cpu).map_or(started.elapsed(), |(now, then)| now - then);
            quickest = quickest.min(spent.as_nanos() as f64 / records as f64);
        }
        line.push_str(&format!("{quickest:>10.0}"));
    }
    println!("{line}");
}

/// The time that this thread has run; not that in which others did.
fn cpu_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    statistics.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
