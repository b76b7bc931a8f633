//! A state directory that outlives the driver, as a disk outlives a process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{KeyRange, Page, StateChange, StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::InMemoryTaskState;
use millstream_core::{Error, Kind, Result};

type Shared<T> = Arc<Mutex<T>>;

#[derive(Debug, Default)]
struct Contents {
    tasks: BTreeMap<TaskId, Shared<InMemoryTaskState>>,
    open: BTreeSet<TaskId>,
    wiped: Vec<TaskId>,
}

/// The directory. A clone is another handle of the same one.
#[derive(Clone, Debug, Default)]
pub struct KeptState(Shared<Contents>);

impl KeptState {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.0)
    }

    /// Whether somebody has the task's state open.
    #[must_use]
    pub fn is_open(&self, task: TaskId) -> bool {
        self.contents().open.contains(&task)
    }

    /// The tasks that were wiped, in order.
    #[must_use]
    pub fn wiped(&self) -> Vec<TaskId> {
        self.contents().wiped.clone()
    }

    /// The bytes that are kept for `key` in the task's store with index `store`.
    ///
    /// # Panics
    ///
    /// When there is no such task.
    #[must_use]
    pub fn kept(&self, task: TaskId, store: usize, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let found = lock(&self.contents().tasks[&task]).get(store, key, &mut value);
        found.expect("memory can be read").then_some(value)
    }

    /// The next changelog offset of the task's store with index `store`.
    ///
    /// # Panics
    ///
    /// When there is no such task.
    #[must_use]
    pub fn changelog_offset(&self, task: TaskId, store: usize) -> Option<Offset> {
        lock(&self.contents().tasks[&task]).changelog_offset(store).expect("memory can be read")
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateDirectory for KeptState {
    fn open_task(&mut self, task: TaskId, stores: &[StateStoreSpec]) -> Result<Box<dyn TaskState>> {
        let mut contents = self.contents();
        if !contents.open.insert(task) {
            return Err(Error::new(Kind::Retriable, "somebody else has the state open").in_task(task));
        }
        let state =
            contents.tasks.entry(task).or_insert_with(|| Arc::new(Mutex::new(InMemoryTaskState::new(stores.len()))));
        Ok(Box::new(OpenState { state: Arc::clone(state), task, directory: self.clone() }))
    }

    fn wipe_task(&mut self, task: TaskId) -> Result<()> {
        let mut contents = self.contents();
        assert!(!contents.open.contains(&task), "the state of {task} is wiped while it is open");
        contents.tasks.remove(&task);
        contents.wiped.push(task);
        Ok(())
    }
}

struct OpenState {
    state: Shared<InMemoryTaskState>,
    task: TaskId,
    directory: KeptState,
}

impl Drop for OpenState {
    fn drop(&mut self) {
        self.directory.contents().open.remove(&self.task);
    }
}

impl TaskState for OpenState {
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        lock(&self.state).get(store, key, value)
    }

    fn scan(
        &self,
        store: usize,
        range: &KeyRange,
        descending: bool,
        entries_max: usize,
        bytes_max: usize,
        page: &mut Page,
    ) -> Result<()> {
        lock(&self.state).scan(store, range, descending, entries_max, bytes_max, page)
    }

    fn approximate_entries(&self, store: usize) -> u64 {
        lock(&self.state).approximate_entries(store)
    }

    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()> {
        lock(&self.state).apply(changes, offsets)
    }

    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>> {
        lock(&self.state).changelog_offset(store)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
