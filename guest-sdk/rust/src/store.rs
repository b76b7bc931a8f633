//! State stores: every access behaves as if it went to the host at once, but those of a batch travel together.

mod cache;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::host::{self, CursorHandle, Entries, StoreHandle};
use crate::record::Record;
use crate::{Batch, Timestamp};
use cache::Cache;

/// In which direction a walk goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key to the highest.
    #[default]
    Ascending,
    /// From the highest key to the lowest.
    Descending,
}

/// A key-value store of the task, opened by [`Setup::store`](crate::Setup::store). Clones are the same store.
///
/// Reads see every write that this task made before. What a record wrote is taken back when its processing fails. Keys
/// are ordered by their bytes. Writes carry the timestamp of the record that is processed, unless another is given.
#[derive(Clone)]
pub struct KeyValueStore {
    name: Rc<str>,
    inner: Rc<RefCell<Inner>>,
    clock: Rc<Cell<Timestamp>>,
}

struct Inner {
    handle: StoreHandle,
    cache: Cache,
    read_ahead: ReadAhead,
}

type ChooseKeys = Box<dyn Fn(&Record<'_>, &mut ReadAheadKeys)>;

enum ReadAhead {
    Nothing,
    RecordKeys,
    Chosen(ChooseKeys),
}

/// Keys that a batch is going to read.
#[derive(Debug, Default)]
pub struct ReadAheadKeys {
    keys: Vec<u8>,
    key_ends: Vec<u8>,
}

impl ReadAheadKeys {
    /// Adds a key; one that is named again costs nothing more.
    pub fn push(&mut self, key: impl AsRef<[u8]>) {
        self.keys.extend_from_slice(key.as_ref());
        self.key_ends.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = &self.key_ends;
        let count = ends.len() / 4;
        (0..count).map(|index| &self.keys[host::start_at(ends, index) as usize..host::end_at(ends, index) as usize])
    }
}

impl KeyValueStore {
    pub(crate) fn open(name: &str, clock: Rc<Cell<Timestamp>>) -> Result<Self> {
        let handle = StoreHandle::open(name).map_err(Error::fatal)?;
        let inner = Inner { handle, cache: Cache::default(), read_ahead: ReadAhead::Nothing };
        Ok(Self { name: name.into(), inner: Rc::new(RefCell::new(inner)), clock })
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the entries of all records' keys at the beginning of each batch, in one call of the host. For a processor
    /// that looks up the key of every record; other keys are read as before.
    #[must_use]
    pub fn read_ahead(self) -> Self {
        self.inner.borrow_mut().read_ahead = ReadAhead::RecordKeys;
        self
    }

    /// As [`Self::read_ahead`], for the keys that `choose` names for a record.
    #[must_use]
    pub fn read_ahead_of(self, choose: impl Fn(&Record<'_>, &mut ReadAheadKeys) + 'static) -> Self {
        self.inner.borrow_mut().read_ahead = ReadAhead::Chosen(Box::new(choose));
        self
    }

    /// The value of `key`, or none.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Bytes> {
        self.get_with_timestamp(key).map(|(value, _)| value)
    }

    /// The value of `key` with its timestamp, which is -1 in a store that keeps none.
    #[inline]
    pub fn get_with_timestamp(&self, key: impl AsRef<[u8]>) -> Option<(Bytes, Timestamp)> {
        let Inner { handle, cache, .. } = &mut *self.inner.borrow_mut();
        cache.get(handle, key.as_ref())
    }

    /// The values of many keys, in the order of the keys; those that are not known yet are read in one call of the host.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<Bytes>> {
        {
            let Inner { handle, cache, .. } = &mut *self.inner.borrow_mut();
            cache.read_ahead(handle, keys.iter().map(AsRef::as_ref));
        }
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Sets the value of `key`.
    #[inline]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.write(key.as_ref(), Some(value.as_ref()), self.clock.get());
    }

    /// Sets the value of `key` with another timestamp than that of the record.
    pub fn put_at(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, timestamp: Timestamp) {
        self.write(key.as_ref(), Some(value.as_ref()), timestamp);
    }

    /// Sets the values of many keys, or deletes those without one, in their order. As every write they go to the host
    /// together, when the batch ends.
    pub fn put_many<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: impl IntoIterator<Item = (K, Option<V>)>) {
        for (key, value) in entries {
            self.write(key.as_ref(), value.as_ref().map(AsRef::as_ref), self.clock.get());
        }
    }

    /// Sets the value of `key` if there is none, and returns what was there.
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Option<Bytes> {
        let found = self.get(&key);
        if found.is_none() {
            self.put(key, value);
        }
        found
    }

    /// Removes `key`.
    pub fn delete(&self, key: impl AsRef<[u8]>) {
        self.write(key.as_ref(), None, self.clock.get());
    }

    #[inline]
    fn write(&self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) {
        self.inner.borrow_mut().cache.put(key, value, timestamp);
    }

    /// The entries from `lowest` to `highest`, both included; `None` means no bound.
    pub fn range(&self, lowest: Option<&[u8]>, highest: Option<&[u8]>, order: Order) -> Cursor {
        self.walk(|handle| handle.range(lowest, highest, order))
    }

    /// All entries.
    pub fn all(&self) -> Cursor {
        self.range(None, None, Order::Ascending)
    }

    /// The entries whose keys begin with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>, order: Order) -> Cursor {
        self.walk(|handle| handle.prefix(prefix.as_ref(), order))
    }

    fn walk(&self, open: impl FnOnce(&StoreHandle) -> CursorHandle) -> Cursor {
        self.write_back();
        let handle = open(&self.inner.borrow().handle);
        Cursor { store: self.clone(), handle, page: Page::default(), index: 0, at_end: false }
    }

    /// About how many entries the store has. Cheap.
    #[must_use]
    pub fn approximate_entries(&self) -> u64 {
        self.write_back();
        self.inner.borrow().handle.approximate_entries()
    }

    fn write_back(&self) {
        let Inner { handle, cache, .. } = &mut *self.inner.borrow_mut();
        cache.write_back(handle);
    }

    // === For the context ===

    pub(crate) fn begin_batch(&self, batch: &Batch<'_>) {
        // For one record a read ahead is a read too many.
        if batch.len() < 2 {
            return;
        }
        let Inner { handle, cache, read_ahead } = &mut *self.inner.borrow_mut();
        match read_ahead {
            ReadAhead::Nothing => {}
            ReadAhead::RecordKeys => {
                cache.read_ahead(handle, batch.records().filter_map(|(_, record)| record.key()));
            }
            ReadAhead::Chosen(choose) => {
                let mut keys = ReadAheadKeys::default();
                for (_, record) in batch.records() {
                    choose(&record, &mut keys);
                }
                cache.read_ahead(handle, keys.iter());
            }
        }
    }

    #[inline]
    pub(crate) fn begin_record(&self) {
        self.inner.borrow_mut().cache.begin_record();
    }

    pub(crate) fn take_back(&self) {
        self.inner.borrow_mut().cache.take_back();
    }

    /// Ends a call: writes go to the host, and what was read is forgotten, because others may change it.
    pub(crate) fn end(&self) {
        let Inner { handle, cache, .. } = &mut *self.inner.borrow_mut();
        cache.begin_record();
        cache.write_back(handle);
        cache.clear();
    }
}

/// An entry of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The timestamp kept with the value; -1 in a store that keeps none.
    pub timestamp: Timestamp,
}

/// A walk over entries, page by page. It ends with the call in which it began: don't keep it. Writing while walking is
/// allowed; whether the walk meets what was written is not promised.
pub struct Cursor {
    store: KeyValueStore,
    handle: CursorHandle,
    page: Page,
    index: usize,
    at_end: bool,
}

#[derive(Default)]
struct Page {
    keys: Rc<Vec<u8>>,
    values: Rc<Vec<u8>>,
    ends: Entries,
}

impl Cursor {
    fn turn_page(&mut self) {
        self.store.write_back();
        let mut entries = self.handle.next();
        let keys = Rc::new(std::mem::take(&mut entries.keys));
        let values = Rc::new(std::mem::take(&mut entries.values));
        self.at_end = entries.len() == 0;
        self.page = Page { keys, values, ends: entries };
        self.index = 0;
    }
}

impl Iterator for Cursor {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.index == self.page.ends.len() && !self.at_end {
            self.turn_page();
        }
        if self.at_end {
            return None;
        }
        let (Page { keys, values, ends }, index) = (&self.page, self.index);
        self.index += 1;
        let key_ends = &ends.key_ends;
        let value_ends = &ends.value_ends;
        Some(Entry {
            key: Bytes::share(keys, host::start_at(key_ends, index), host::end_at(key_ends, index)),
            value: Bytes::share(values, host::start_at(value_ends, index), host::end_at(value_ends, index)),
            timestamp: host::timestamp_at(&ends.timestamps, index),
        })
    }
}
