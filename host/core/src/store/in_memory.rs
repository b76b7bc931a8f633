//! Committed state in memory: for stores with the backend `memory`, for dev mode, and the reference that every other
//! state is tested against.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::id::{Offset, TaskId};
use crate::port::{KeyBound, KeyRange, Page, StateChange, StateDirectory, StateStoreSpec, TaskState};

/// The state of one task in memory. It ends with the task: the changelogs restore it.
#[derive(Debug, Default)]
pub struct InMemoryTaskState {
    stores: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
    offsets: Vec<Option<Offset>>,
}

impl InMemoryTaskState {
    /// Empty state for `stores` stores.
    #[must_use]
    pub fn new(stores: usize) -> Self {
        Self { stores: vec![BTreeMap::new(); stores], offsets: vec![None; stores] }
    }
}

impl TaskState for InMemoryTaskState {
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let found = self.stores[store].get(key);
        value.extend_from_slice(found.map_or(&[], Vec::as_slice));
        Ok(found.is_some())
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
        let Some(bounds) = ordered_bounds(range) else {
            return Ok(());
        };
        let mut entries = self.stores[store].range::<[u8], _>(bounds);
        while page.len() < entries_max && page.byte_len() < bytes_max {
            let next = if descending { entries.next_back() } else { entries.next() };
            let Some((key, value)) = next else { break };
            page.push(key, value);
        }
        Ok(())
    }

    fn approximate_entries(&self, store: usize) -> u64 {
        self.stores[store].len() as u64
    }

    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()> {
        for change in changes {
            let store = &mut self.stores[change.store];
            match change.value {
                None => {
                    store.remove(change.key);
                }
                Some(value) => match store.get_mut(change.key) {
                    Some(present) => {
                        present.clear();
                        present.extend_from_slice(value);
                    }
                    None => {
                        store.insert(change.key.to_vec(), value.to_vec());
                    }
                },
            }
        }
        for (store, offset) in offsets {
            self.offsets[*store] = Some(*offset);
        }
        Ok(())
    }

    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>> {
        Ok(self.offsets[store])
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The bounds of a range for a map; `None` when the range is inverted, which a map would refuse.
fn ordered_bounds(range: &KeyRange) -> Option<Bounds<'_>> {
    let from = range.from.as_deref();
    let (to, end) = match &range.to {
        None => (Bound::Unbounded, None),
        Some(KeyBound::Included(key)) => (Bound::Included(key.as_slice()), Some((key.as_slice(), true))),
        Some(KeyBound::Excluded(key)) => (Bound::Excluded(key.as_slice()), Some((key.as_slice(), false))),
    };
    let inverted = match (from, end) {
        (Some(from), Some((to, inclusive))) => from > to || (from == to && !inclusive),
        (None, Some((to, inclusive))) => to.is_empty() && !inclusive,
        _ => false,
    };
    (!inverted).then_some((from.map_or(Bound::Unbounded, Bound::Included), to))
}

/// A state directory in memory, shared by the stream threads of a process. Nothing survives it.
#[derive(Clone, Debug, Default)]
pub struct InMemoryStateDirectory {
    open: Arc<Mutex<BTreeSet<TaskId>>>,
}

struct OpenState {
    state: InMemoryTaskState,
    task: TaskId,
    open: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Drop for OpenState {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task);
    }
}

impl StateDirectory for InMemoryStateDirectory {
    fn open_task(&mut self, task: TaskId, stores: &[StateStoreSpec]) -> Result<Box<dyn TaskState>> {
        if !self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(task) {
            let message = "another stream thread still has the state open, wait until it has closed the task";
            return Err(Error::new(Kind::Retriable, message).in_task(task));
        }
        let state = InMemoryTaskState::new(stores.len());
        Ok(Box::new(OpenState { state, task, open: Arc::clone(&self.open) }))
    }

    fn wipe_task(&mut self, _task: TaskId) -> Result<()> {
        Ok(())
    }
}

impl TaskState for OpenState {
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        self.state.get(store, key, value)
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
        self.state.scan(store, range, descending, entries_max, bytes_max, page)
    }

    fn approximate_entries(&self, store: usize) -> u64 {
        self.state.approximate_entries(store)
    }

    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()> {
        self.state.apply(changes, offsets)
    }

    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>> {
        self.state.changelog_offset(store)
    }

    fn flush(&mut self) -> Result<()> {
        self.state.flush()
    }
}
