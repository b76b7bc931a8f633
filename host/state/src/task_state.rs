//! The committed state of one task: its stores on disk in one database, its stores in memory beside it.

use std::fs::File;
use std::sync::Arc;

use millstream_core::Result;
use millstream_core::id::{Offset, StoreName};
use millstream_core::port::{KeyBound, KeyRange, Page, StateChange, StateStoreSpec, TaskState};
use millstream_core::store::InMemoryTaskState;
use rocksdb::{ReadOptions, WriteBatch};

use crate::database::Database;
use crate::load::Load;
use crate::open_tasks::OpenTask;

/// What an entry takes in a write buffer besides its key and value: RocksDB's own eight bytes, lengths, and the skip
/// list's pointers.
const ENTRY_OVERHEAD_BYTES: usize = 40;

/// What is worth a file of its own; less goes through the write buffer.
const FILE_BYTES_MIN: usize = 1 << 20;

/// The first guess of a batch's size, and the most that is kept as a guess for the next one.
const BATCH_BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=4 << 20;

/// A task's state.
pub struct RocksTaskState {
    stores: Vec<Store>,
    memory: InMemoryTaskState,
    open: OpenTask,
    /// How large the last batch was: the next one is allocated at once.
    batch_bytes: usize,
    /// Declared last, dropped last: the directory stays locked until the database is closed.
    _lock: Arc<File>,
}

struct Store {
    name: StoreName,
    /// The column family of a store on disk; `None` keeps the store in memory.
    family: Option<String>,
    /// What a restore has read and the database does not have yet.
    load: Load,
    /// The offset behind it.
    loaded: Option<Offset>,
}

impl Store {
    fn new(name: StoreName, family: Option<String>) -> Self {
        Self { name, family, load: Load::default(), loaded: None }
    }
}

impl RocksTaskState {
    /// The state of a task whose database has the `families` named for `stores`.
    pub fn new(stores: &[StateStoreSpec], families: Vec<Option<String>>, open: OpenTask, lock: Arc<File>) -> Self {
        let memory = InMemoryTaskState::new(stores.len());
        let stores = stores.iter().zip(families).map(|(spec, family)| Store::new(spec.name.clone(), family)).collect();
        Self { stores, memory, open, batch_bytes: *BATCH_BYTES.start(), _lock: lock }
    }

    /// The database and the family of a store on disk.
    fn on_disk(&self, store: usize) -> Option<(&Database, &str)> {
        let family = self.stores[store].family.as_deref()?;
        Some((self.database(), family))
    }

    fn database(&self) -> &Database {
        self.open.database().expect("a task with a store on disk has a database")
    }
}

impl TaskState for RocksTaskState {
    fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        match self.on_disk(store) {
            Some((database, family)) => database.get(family, key, value),
            None => self.memory.get(store, key, value),
        }
    }

    fn get_many(&self, store: usize, keys: &[&[u8]], found: &mut dyn FnMut(usize, Option<&[u8]>)) -> Result<()> {
        match self.on_disk(store) {
            Some((database, family)) => database.get_many(family, keys, found),
            None => self.memory.get_many(store, keys, found),
        }
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
        let Some((database, family)) = self.on_disk(store) else {
            return self.memory.scan(store, range, descending, entries_max, bytes_max, page);
        };
        let Some(read) = bounded(range) else {
            return Ok(());
        };
        let mut iter = database.iter(family, read);
        if descending {
            iter.seek_to_last()
        } else {
            iter.seek_to_first()
        }
        while page.len() < entries_max && page.byte_len() < bytes_max {
            let Some((key, value)) = iter.item() else { break };
            page.push(key, value);
            if descending { iter.prev() } else { iter.next() }
        }
        iter.status().map_err(|error| database.error(error))
    }

    fn approximate_entries(&self, store: usize) -> u64 {
        match self.on_disk(store) {
            Some((database, family)) => database.approximate_entries(family),
            None => self.memory.approximate_entries(store),
        }
    }

    fn apply(&mut self, changes: &mut dyn Iterator<Item = StateChange<'_>>, offsets: &[(usize, Offset)]) -> Result<()> {
        let mut batch = WriteBatch::with_capacity_bytes(self.batch_bytes);
        let mut in_memory = Vec::new();
        let mut run = None;
        for change in changes {
            if run.is_none_or(|(store, _)| store != change.store) {
                // Changes come sorted by store: its family is looked up once.
                let family = self.on_disk(change.store).map(|(database, family)| database.family(family));
                run = Some((change.store, family));
            }
            match (run.and_then(|(_, family)| family), change.value) {
                (Some(family), Some(value)) => batch.put_cf(family, change.key, value),
                (Some(family), None) => batch.delete_cf(family, change.key),
                (None, _) => in_memory.push(change),
            }
        }
        let mut offsets_in_memory = Vec::new();
        for (store, offset) in offsets {
            match self.on_disk(*store) {
                Some((database, _)) => database.put_offset(&mut batch, self.stores[*store].name.as_str(), *offset),
                None => offsets_in_memory.push((*store, *offset)),
            }
        }
        self.write(batch)?;
        self.memory.apply(&mut in_memory.into_iter(), &offsets_in_memory)
    }

    fn apply_many(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        if self.on_disk(store).is_none() {
            return self.apply(changes, &[(store, next)]);
        }
        self.take_in(store, changes, next)?;
        self.open.flush_soon();
        Ok(())
    }

    fn restore(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        if self.stores[store].family.is_none() {
            return self.memory.restore(store, changes, next);
        }
        let Store { load, loaded, .. } = &mut self.stores[store];
        changes.for_each(|change| load.push(change.key, change.value));
        *loaded = Some(next);
        let is_full = load.byte_len() >= self.open.load_bytes_max() / self.stores.len();
        if is_full { self.finish_load(store) } else { Ok(()) }
    }

    fn changelog_offset(&self, store: usize) -> Result<Option<Offset>> {
        match self.on_disk(store) {
            // A restore that was interrupted goes on behind what it has read.
            Some(_) if self.stores[store].loaded.is_some() => Ok(self.stores[store].loaded),
            Some((database, _)) => database.offset(self.stores[store].name.as_str()),
            None => self.memory.changelog_offset(store),
        }
    }

    fn flush(&mut self) -> Result<()> {
        for store in 0..self.stores.len() {
            self.finish_load(store)?;
            self.stores[store].load = Load::default();
        }
        let Some(database) = self.open.database() else {
            return Ok(());
        };
        database.flush()?;
        self.open.on_flushed();
        Ok(())
    }
}

impl RocksTaskState {
    /// Gives the database what a restore has read of a store, first the changes and then the offset.
    fn finish_load(&mut self, store: usize) -> Result<()> {
        let Some(next) = self.stores[store].loaded.take() else {
            return Ok(());
        };
        let mut load = std::mem::take(&mut self.stores[store].load);
        load.sort();
        let mut changes = load.changes().map(|(key, value)| StateChange { store, key, value });
        if load.byte_len() < FILE_BYTES_MIN {
            self.apply(&mut changes, &[(store, next)])?;
        } else {
            self.take_in(store, &mut changes, next)?;
        }
        drop(changes);
        load.clear();
        self.stores[store].load = load;
        Ok(())
    }

    /// Gives the database sorted changes of a store on disk as a file, and then the offset behind them.
    fn take_in(
        &mut self,
        store: usize,
        changes: &mut dyn Iterator<Item = StateChange<'_>>,
        next: Offset,
    ) -> Result<()> {
        if let Some((database, family)) = self.on_disk(store) {
            database.take_in(family, changes.map(|change| (change.key, change.value)))?;
        }
        self.apply(&mut std::iter::empty(), &[(store, next)])
    }

    fn write(&mut self, batch: WriteBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let (bytes, entries) = (batch.size_in_bytes(), batch.len());
        self.batch_bytes = bytes.clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end());
        self.database().write(batch)?;
        self.open.on_written(bytes + entries * ENTRY_OVERHEAD_BYTES);
        Ok(())
    }
}

/// The range as RocksDB takes it; `None` when it is empty. RocksDB's upper bound is exclusive, and between a key and
/// the same key with a zero byte behind it there is no other.
fn bounded(range: &KeyRange) -> Option<ReadOptions> {
    let end = match &range.to {
        None => None,
        Some(KeyBound::Excluded(key)) => Some(key.clone()),
        Some(KeyBound::Included(key)) => Some([key.as_slice(), &[0]].concat()),
    };
    let from = range.from.as_deref().unwrap_or_default();
    if end.as_deref().is_some_and(|end| end <= from) {
        return None;
    }
    let mut read = ReadOptions::default();
    read.set_iterate_lower_bound(from);
    if let Some(end) = end {
        read.set_iterate_upper_bound(end);
    }
    Some(read)
}
