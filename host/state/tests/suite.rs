//! The state on disk does what the one in memory does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use millstream_core::id::TaskId;
use millstream_core::port::{StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::MemoryBudget;
use millstream_core::testing::task_state_suite;
use millstream_state::RocksStateDirectory;

fn check(memory: MemoryBudget) {
    let root = tempfile::tempdir().unwrap();
    let mut directory = RocksStateDirectory::open(root.path(), "app", memory).unwrap();
    let mut partition = 0;
    task_state_suite::check(&mut |stores: &[StateStoreSpec]| -> Box<dyn TaskState> {
        partition += 1;
        directory.open_task(TaskId::new(0, partition), stores).unwrap()
    });
}

#[test]
fn rocksdb_passes_the_suite() {
    check(MemoryBudget::default());
}

#[test]
fn rocksdb_passes_the_suite_when_it_flushes_all_the_time() {
    check(MemoryBudget { bytes_max: 64 << 10 });
}

#[test]
fn a_task_without_a_store_on_disk_passes_the_suite_and_has_no_database() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = RocksStateDirectory::open(root.path(), "app", MemoryBudget::default()).unwrap();
    task_state_suite::check(&mut |stores: &[StateStoreSpec]| -> Box<dyn TaskState> {
        let in_memory = stores.iter().map(|store| StateStoreSpec { persistent: false, ..store.clone() });
        directory.open_task(TaskId::new(0, 0), &in_memory.collect::<Vec<_>>()).unwrap()
    });
    assert!(directory.tasks().unwrap().is_empty());
}
