//! A process that is killed leaves every store as it was at the offset noted for it, and all stores at the same point.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and its child process prints")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::MemoryBudget;
use millstream_core::testing::task_state_suite::{apply, apply_many, entries};
use millstream_state::RocksStateDirectory;

const CHILD: &str = "MILLSTREAM_TEST_CRASH";
const KILLS: u64 = 30;
const STORES: [&str; 3] = ["first", "second", "third"];
/// Small, so that flushes and compactions happen all the time and most kills hit one.
const MEMORY: MemoryBudget = MemoryBudget { bytes_max: 512 << 10 };

type Store = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(root: &Path) -> Box<dyn TaskState> {
    let stores = STORES.map(|name| StateStoreSpec { name: name.into(), persistent: true });
    RocksStateDirectory::open(root, "app", MEMORY).unwrap().open_task(TaskId::new(0, 0), &stores).unwrap()
}

fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

type Changes = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

/// The changes between the offsets `number` and `number + 1`: the same in every process. The third store is written
/// rarely.
fn changes(number: u64) -> Changes {
    let mut changes = Changes::new();
    for index in 0..50 {
        let random = scramble(number * 64 + index);
        let store = if number.is_multiple_of(40) { 2 } else { (random % 2) as usize };
        let key = format!("key-{}", (random >> 8) % 2_000).into_bytes();
        let value = (!random.is_multiple_of(5)).then(|| random.to_be_bytes().repeat(4));
        changes.insert((store, key), value);
    }
    changes
}

fn apply_forever(root: &Path) -> ! {
    let mut state = open(root);
    let mut number = state.changelog_offset(0).unwrap().map_or(0, |Offset(offset)| offset as u64);
    loop {
        let changes = changes(number);
        let changes: Vec<_> =
            changes.iter().map(|((store, key), value)| (*store, key.as_slice(), value.as_deref())).collect();
        number += 1;
        apply(&mut *state, &changes, &[(0, number as i64), (1, number as i64), (2, number as i64)]);
        println!("\napplied {number}");
    }
}

/// Runs `test` as a process that applies batches, kills it after about `batches`, and returns how many it said it had applied.
fn run_and_kill(test: &str, root: &Path, batches: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let applied = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .filter_map(|line| line.unwrap().strip_prefix("applied ").map(|number| number.parse().unwrap()))
        .nth(batches as usize)
        .expect("the process goes on until it is killed");
    child.kill().unwrap();
    child.wait().unwrap();
    applied
}

#[test]
fn a_killed_process_leaves_data_that_agree_with_their_offsets() {
    if let Some(root) = std::env::var_os(CHILD) {
        apply_forever(Path::new(&root));
    }
    let root = tempfile::tempdir().unwrap();
    let mut expected = vec![Store::new(); STORES.len()];
    let mut folded = 0;
    let mut lost = 0;
    for kill in 0..KILLS {
        let applied = run_and_kill(
            "a_killed_process_leaves_data_that_agree_with_their_offsets",
            root.path(),
            scramble(kill) % 1_500,
        );
        let state = open(root.path());
        let offsets: Vec<_> = (0..STORES.len()).map(|store| state.changelog_offset(store).unwrap()).collect();
        assert!(offsets.iter().all(|offset| *offset == offsets[0]), "kill {kill}: {offsets:?}");
        let offset = offsets[0].map_or(0, |Offset(offset)| offset as u64);
        assert!(offset >= folded, "kill {kill}: what was on disk is gone, {offset} < {folded}");
        lost += applied.saturating_sub(offset);
        for number in folded..offset {
            for ((store, key), value) in changes(number) {
                match value {
                    Some(value) => expected[store].insert(key, value),
                    None => expected[store].remove(&key),
                };
            }
        }
        folded = offset;
        for (store, expected) in expected.iter().enumerate() {
            let found: Store = entries(&*state, store).into_iter().collect();
            assert!(found == *expected, "kill {kill}, store {store} is not what its offset {offset} says");
        }
    }
    assert!(folded > 0, "flushes happened");
    assert!(lost > 0, "kills hit what was not flushed");
}

const MANY_KEYS: u32 = 2_000;

/// The changelog of this one writes its offset to all keys at each offset.
fn apply_many_to(state: &mut dyn TaskState, offset: u64) {
    let keys: Vec<_> = (0..MANY_KEYS).map(u32::to_be_bytes).collect();
    let value = offset.to_be_bytes();
    let changes: Vec<_> = keys.iter().map(|key| (key.as_slice(), Some(value.as_slice()))).collect();
    apply_many(state, 0, &changes, offset as i64);
}

#[test]
fn a_killed_process_leaves_many_changes_whole_and_their_offset_never_ahead_of_them() {
    if let Some(root) = std::env::var_os(CHILD) {
        let mut state = open(Path::new(&root));
        let Offset(start) = state.changelog_offset(0).unwrap().unwrap_or(Offset(0));
        for offset in start as u64 + 1.. {
            apply_many_to(&mut *state, offset);
            println!("\napplied {offset}");
        }
    }
    let root = tempfile::tempdir().unwrap();
    let (mut behind, mut folded) = (0, 0);
    for kill in 0..KILLS {
        let test = "a_killed_process_leaves_many_changes_whole_and_their_offset_never_ahead_of_them";
        let applied = run_and_kill(test, root.path(), scramble(kill) % 40);
        let state = open(root.path());
        let offset = state.changelog_offset(0).unwrap().map_or(0, |Offset(offset)| offset as u64);
        let values: BTreeSet<_> = entries(&*state, 0).into_iter().map(|(_, value)| value).collect();
        let values: Vec<_> = values.into_iter().map(|value| u64::from_be_bytes(value.try_into().unwrap())).collect();
        let [value] = values[..] else { panic!("kill {kill}: changes were torn apart: {values:?}") };
        assert!(value >= applied, "kill {kill}: {applied} was applied, and {value} is there");
        assert!(offset <= value, "kill {kill}: the offset {offset} is ahead of {value}");
        assert!(offset >= folded, "kill {kill}: an offset that was on disk is gone, {offset} < {folded}");
        behind += value - offset;
        folded = offset;
    }
    assert!(folded > KILLS, "offsets are soon on disk, without a flush that was asked for");
    assert!(behind > 0, "kills hit offsets that were not on disk");
}

#[test]
fn a_file_that_a_crash_left_with_a_second_name_is_not_written_into() {
    let root = tempfile::tempdir().unwrap();
    let mut state = open(root.path());
    apply_many_to(&mut *state, 1);
    let task = root.path().join("app/0_0");
    let names = || std::fs::read_dir(&task).unwrap().map(|entry| entry.unwrap().path());
    let file = names().filter(|path| path.extension().is_some_and(|kind| kind == "sst"));
    let file = file.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    drop(state);
    // As a crash leaves it between the two steps of a move: both names are of one file.
    std::fs::hard_link(&file, task.join("load.sst")).unwrap();
    let mut state = open(root.path());
    apply_many(&mut *state, 0, &[(b"another", Some(b"value"))], 2);
    drop(state);
    let state = open(root.path());
    let found = entries(&*state, 0);
    assert_eq!(found.len(), MANY_KEYS as usize + 1);
    assert!(found.iter().filter(|(_, value)| *value == 1_u64.to_be_bytes()).count() == MANY_KEYS as usize);
}
