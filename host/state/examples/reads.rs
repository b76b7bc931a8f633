//! Measures the state on disk: point reads, commits, scans, reopening, and memory with many tasks.
//!
//! `cargo build --release -p millstream-kafka -p millstream-state --examples`, then `target/release/examples/reads`.
//! Both crates are named so that RocksDB is not compiled anew: they share a library, with the features that both ask
//! for.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{KeyBound, KeyRange, Page, StateChange, StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::MemoryBudget;
use millstream_state::RocksStateDirectory;

const KEYS: u64 = 1_000_000;
const BATCH: u64 = 10_000;

fn main() {
    let root = tempfile::tempdir().unwrap();
    restore(root.path());
    reopen(root.path());
    let mut state = open(&directory(root.path()), TaskId::new(0, 0));
    let value = value(7);
    state.apply(&mut changes(&[key(1)], &value), &[]).unwrap();
    reads(&*state);
    reads_of_many(&*state);
    commits(&mut *state);
    scans(&*state);
    drop(state);
    many_tasks(root.path());
}

fn directory(root: &Path) -> RocksStateDirectory {
    RocksStateDirectory::open(root, "measure", MemoryBudget::default()).unwrap()
}

fn open(directory: &RocksStateDirectory, task: TaskId) -> Box<dyn TaskState> {
    let stores = ["counts", "windows"].map(|name| StateStoreSpec { name: name.into(), persistent: true });
    directory.clone().open_task(task, &stores).unwrap()
}

/// 16 bytes, spread over the key space as hashed or textual keys are.
fn key(number: u64) -> [u8; 16] {
    let mut key = [b'k'; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

/// 100 bytes, half of them compressible.
fn value(number: u64) -> [u8; 100] {
    let mut value = [b'v'; 100];
    for (index, chunk) in value[..48].chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&(number + index as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    }
    value
}

fn changes<'a>(keys: &'a [[u8; 16]], value: &'a [u8]) -> impl Iterator<Item = StateChange<'a>> {
    keys.iter().map(|key| StateChange { store: 0, key, value: Some(value) })
}

fn sorted_keys(numbers: impl Iterator<Item = u64>) -> Vec<[u8; 16]> {
    let mut keys: Vec<_> = numbers.map(key).collect();
    keys.sort_unstable();
    keys
}

fn rate(what: &str, count: u64, took: Duration) {
    let each = took.as_nanos() as f64 / count as f64;
    println!("{what:<58} {each:>9.0} ns each {:>12.0}/s", count as f64 / took.as_secs_f64());
}

fn restore(root: &Path) {
    let mut state = open(&directory(root), TaskId::new(0, 0));
    let mut spent = Duration::ZERO;
    for batch in 0..KEYS / BATCH {
        let keys = sorted_keys(batch * BATCH..(batch + 1) * BATCH);
        let value = value(batch);
        let start = Instant::now();
        state.apply(&mut changes(&keys, &value), &[(0, Offset(((batch + 1) * BATCH) as i64))]).unwrap();
        spent += start.elapsed();
    }
    rate("restore: apply 1 M entries in sorted batches of 10 000", KEYS, spent);
    let start = Instant::now();
    state.flush().unwrap();
    println!("{:<58} {:>9.1} ms", "  flush after it", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    drop(state);
    println!("{:<58} {:>9.1} ms", "  close after it", start.elapsed().as_secs_f64() * 1e3);
}

fn reopen(root: &Path) {
    let start = Instant::now();
    let directory = directory(root);
    println!("{:<58} {:>9.1} ms", "open the directory", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let state = open(&directory, TaskId::new(0, 0));
    let offset = state.changelog_offset(0).unwrap();
    println!("{:<58} {:>9.1} ms, {offset:?}", "open the task with 1 M keys", start.elapsed().as_secs_f64() * 1e3);
}

fn reads(state: &dyn TaskState) {
    let mut value = Vec::new();
    for (what, first) in [("get, cold cache, 1 M keys", 0), ("get, warm cache", 0), ("get of a missing key", KEYS)] {
        let count = 300_000;
        let start = Instant::now();
        let mut found = 0;
        for index in 0..count {
            value.clear();
            let number = first + index * 7_919 % KEYS;
            found += u64::from(state.get(0, black_box(&key(number)), &mut value).unwrap());
        }
        rate(&format!("{what} ({found} found)"), count, start.elapsed());
    }
}

fn reads_of_many(state: &dyn TaskState) {
    for (what, first) in [("get many, 1 000 keys at once, warm cache", 0), ("the same, missing keys", KEYS)] {
        let (batches, size) = (300, 1_000);
        let mut found = 0;
        let start = Instant::now();
        for batch in 0..batches {
            let keys = sorted_keys((0..size).map(|index| first + (batch * size + index) * 7_919 % KEYS));
            let keys: Vec<&[u8]> = keys.iter().map(<[u8; 16]>::as_slice).collect();
            state.get_many(0, black_box(&keys), &mut |_, value| found += u64::from(value.is_some())).unwrap();
        }
        rate(&format!("{what} ({found} found)"), batches * size, start.elapsed());
    }
}

fn commits(state: &mut dyn TaskState) {
    let value = value(3);
    for size in [1, 100, BATCH] {
        let rounds = 200_000 / size.max(20);
        let mut spent = Duration::ZERO;
        for round in 0..rounds {
            let keys = sorted_keys((0..size).map(|index| (round * size + index) * 31 % KEYS));
            let start = Instant::now();
            state.apply(&mut changes(&keys, &value), &[(0, Offset(round as i64))]).unwrap();
            spent += start.elapsed();
        }
        rate(&format!("apply of {size} sorted changes, a change"), rounds * size, spent);
    }
    let count = 300_000;
    let mut buffer = Vec::new();
    let start = Instant::now();
    for index in 0..count {
        buffer.clear();
        state.get(0, &key(index * 7_919 % KEYS), &mut buffer).unwrap();
    }
    rate("get, warm cache, after these commits", count, start.elapsed());
}

fn scans(state: &dyn TaskState) {
    for descending in [false, true] {
        let mut range = KeyRange { from: None, to: None };
        let mut page = Page::default();
        let mut count = 0;
        let start = Instant::now();
        loop {
            page.clear();
            state.scan(0, &range, descending, 1_000, 1 << 20, &mut page).unwrap();
            let Some(last) = page.len().checked_sub(1) else { break };
            count += page.len() as u64;
            let last = page.entry(last).0;
            if descending {
                range.to = Some(KeyBound::Excluded(last.to_vec()));
            } else {
                range.from = Some([last, &[0]].concat());
            }
        }
        rate(&format!("scan in pages of 1 000, descending {descending}"), count, start.elapsed());
    }
    let mut page = Page::default();
    let start = Instant::now();
    for number in 0..50_000 {
        page.clear();
        let range = KeyRange { from: Some(key(number).to_vec()), to: None };
        state.scan(0, &range, false, 10, 1 << 20, &mut page).unwrap();
    }
    rate("scan of 10 entries, a scan", 50_000, start.elapsed());
}

fn many_tasks(root: &Path) {
    let directory = directory(root);
    let before = resident_bytes();
    let start = Instant::now();
    let mut tasks: Vec<_> = (0..200).map(|partition| open(&directory, TaskId::new(1, partition))).collect();
    println!("{:<58} {:>9.1} ms", "open 200 new tasks of two stores", start.elapsed().as_secs_f64() * 1e3);
    println!("{:<58} {:>9.1} MiB more resident", "  empty", (resident_bytes() - before) / 1048576.0);
    let value = value(1);
    let mut peak: f64 = 0.0;
    let start = Instant::now();
    for round in 0..100_u64 {
        for state in &mut tasks {
            let keys = sorted_keys(round * 100..(round + 1) * 100);
            state.apply(&mut changes(&keys, &value), &[(0, Offset(round as i64))]).unwrap();
        }
        peak = peak.max(resident_bytes());
    }
    rate("  2 M changes, 100 a commit, round the tasks", 2_000_000, start.elapsed());
    println!("{:<58} {:>9.1} MiB more resident", "  at most", (peak - before) / 1048576.0);
    let start = Instant::now();
    drop(tasks);
    println!("{:<58} {:>9.1} ms", "  close them without a flush before", start.elapsed().as_secs_f64() * 1e3);
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0) * 4096.0
}
