//! What a record costs in a plugin: `cargo run --release -p millstream-wasm --example measure`. Nanoseconds a record,
//! the quickest of several rounds, by the thread's own clock where the system has one; compare the rows, not machines.
//!
//! `measure --languages DIRECTORY..` measures `identity` and `count` of plugins in other languages beside those in Rust, and the
//! plugin of `tests/stranger`, which knows no SDK; it prints the table that `make bench-languages` keeps in bench/LANGUAGES.md.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::time::{Duration, Instant};

use millstream_core::context::{Forwarded, Phase};
use millstream_core::processor::Processor as _;
use millstream_core::record::RecordBatch;
use millstream_core::topology::NodeIndex;
use millstream_wasm::{Component, InstanceLimits};
use stage::{Row, Setting, Stage, component, row};

/// One as those of the workload W2 of the bench, which keeps half of them; `PRIORITY` is to be filled in.
const ORDER: &str = r#"{"id":1234567,"customer":"customer-00123","country":"de","state":"paid","priority":PRIORITY,"quantity":3,"cents":25033,"items":[123456,654321,991234],"note":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--languages") => languages(&arguments.collect::<Vec<_>>()),
        _ => samples(),
    }
}

fn text(index: usize) -> Row {
    row(&format!("key-{}", index % 1_000), &"v".repeat(100), 1)
}

fn counted(index: usize) -> Row {
    row(&format!("key-{}", index % 10_000), "", 1)
}

fn order(has_priority: bool) -> Row {
    row("customer", &ORDER.replace("PRIORITY", &has_priority.to_string()), 1)
}

fn samples() {
    heading();
    let (identity, words, count) = (component("identity"), component("words"), component("get-put-forward"));
    let bills = component("bills");
    measure("identity", &identity, "identity", &[], text);
    measure("capitals", &identity, "capitals", &[], text);
    measure("words, a line of 8", &words, "split", &[], |_| row("", "the quick brown Fox jumps over the dog", 1));
    measure("bills: JSON to JSON", &bills, "bills", &[], |_| order(true));
    measure("bills: JSON, left out", &bills, "bills", &[], |_| order(false));
    measure("count: get, put, forward", &count, "count", &["counts"], counted);
    measure("count, one key", &count, "count", &["counts"], |_| row("key", "", 1));
}

fn languages(directories: &[String]) {
    heading();
    measure("Rust: stateless", &component("identity"), "identity", &[], text);
    measure("Rust: count", &component("get-put-forward"), "count", &["counts"], counted);
    for directory in directories {
        let path = std::path::absolute(directory).expect("a path");
        let language = path.file_name().expect("a directory's name").to_string_lossy();
        let component = component(path.to_str().expect("a path that is text"));
        measure(&format!("{language}: stateless"), &component, "identity", &[], text);
        measure(&format!("{language}: count"), &component, "count", &["counts"], counted);
        for (processor, stores) in [("one-by-one-identity", &[][..]), ("one-by-one-count", &["counts"][..])] {
            if component.processors().iter().any(|known| known == processor) {
                let name = format!("{language}: {}, one by one", if stores.is_empty() { "stateless" } else { "count" });
                let make = if stores.is_empty() { text } else { counted };
                measure(&name, &component, processor, stores, make);
            }
        }
    }
    let stranger = stage::runtime().load(&stage::stranger()).expect("a plugin");
    measure("no SDK (C): get, put, forward", &stranger, "before", &["latest"], counted);
}

fn heading() {
    println!("| {:<34} | {:>8} | {:>8} | {:>8} | {:>8} |", "ns a record, in batches of", 1, 10, 100, 1000);
    println!("|{:-<36}|{:->9}:|{:->9}:|{:->9}:|{:->9}:|", "", "", "", "", "");
}

fn measure(
    name: &str,
    component: &Component,
    processor: &'static str,
    stores: &'static [&'static str],
    make: impl Fn(usize) -> Row,
) {
    let mut line = format!("| {name:<34} |");
    for size in [1, 10, 100, 1_000] {
        let limits = InstanceLimits { deadline: Duration::from_secs(60), ..InstanceLimits::default() };
        let setting = Setting { processor, stores, limits, ..Setting::default() };
        let mut stage = Stage::begun(component, &setting);
        let batches: Vec<RecordBatch> = (0..20)
            .map(|number| stage::batch(&(0..size).map(|index| make(number * 7_919 + index)).collect::<Vec<_>>()))
            .collect();
        let (mut forwarded, mut memory) = (Forwarded::default(), RecordBatch::new());
        let mut quickest = f64::MAX;
        for _ in 0..ROUNDS {
            let (started, started_cpu) = (Instant::now(), cpu_time());
            let mut records = 0;
            while started.elapsed() < ROUND {
                for batch in &batches {
                    stage.slot.lend_forwarded(std::mem::take(&mut forwarded));
                    stage.slot.enter(NodeIndex(1), Phase::Process, 1, false, batch);
                    let failures = stage.processor.process(batch, &mut stage.slot).expect("no trap");
                    assert!(failures.is_empty());
                    forwarded = stage.slot.take_forwarded();
                    for derived in &forwarded.by_child {
                        std::hint::black_box(derived.resolve(batch, &mut memory).expect("not too much"));
                    }
                    forwarded.clear();
                    records += batch.len();
                    if stage.processor.wants_recycling() {
                        // As a task does after a commit.
                        let mut fresh = Stage::begun(component, &setting);
                        std::mem::swap(&mut fresh.slot, &mut stage.slot);
                        stage = fresh;
                    }
                }
            }
            let spent = cpu_time().zip(started_cpu).map_or(started.elapsed(), |(now, then)| now - then);
            quickest = quickest.min(spent.as_nanos() as f64 / records as f64);
        }
        line.push_str(&format!(" {quickest:>8.0} |"));
    }
    println!("{line}");
}

/// The time that this thread has run; not that in which others did.
fn cpu_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    statistics.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
