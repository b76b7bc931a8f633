//! Looks into the state that a process has left on disk.

use std::path::Path;

use millstream_core::id::{StoreName, TaskId};
use millstream_core::port::{KeyRange, Page, StateDirectory, StateStoreSpec};
use millstream_core::store::MemoryBudget;
use millstream_state::RocksStateDirectory;

/// Memory for reading.
const MEMORY_BYTES: usize = 64 << 20;

/// Calls `visit` with every entry of a task's store, keys ascending, after the process that wrote it has ended.
///
/// # Panics
///
/// When the state can't be read.
pub fn visit_store(
    state_directory: &Path,
    application_id: &str,
    task: TaskId,
    store: &str,
    mut visit: impl FnMut(&[u8], &[u8]),
) {
    let directory =
        RocksStateDirectory::open(state_directory, application_id, MemoryBudget { bytes_max: MEMORY_BYTES });
    let mut directory = directory.expect("the process that had the state has ended");
    let spec = StateStoreSpec { name: StoreName::from(store), persistent: true };
    let state = directory.open_task(task, &[spec]).expect("the state can be opened");
    let mut from = None;
    loop {
        let mut page = Page::default();
        let range = KeyRange { from: from.clone(), to: None };
        state.scan(0, &range, false, 10_000, usize::MAX, &mut page).expect("the state can be read");
        for index in 0..page.len() {
            let (key, value) = page.entry(index);
            visit(key, value);
        }
        let Some(last) = page.len().checked_sub(1) else { break };
        // The next key that there could be.
        from = Some([page.entry(last).0, &[0]].concat());
    }
}

/// All entries of a store, one task after the other.
#[must_use]
pub fn entries(
    state_directory: &Path,
    application_id: &str,
    tasks: impl IntoIterator<Item = TaskId>,
    store: &str,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    for task in tasks {
        visit_store(state_directory, application_id, task, store, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
        });
    }
    entries
}
